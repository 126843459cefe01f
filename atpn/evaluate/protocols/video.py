"""300VW's videos in detection mode and in tracking mode (thesis, section 3.3.4 and tables 3.3, 3.4).

Detection mode crops every frame by its labels. Tracking mode crops by the previous frame's landmarks; if the network
then rejects the crop, that is a failure, and the frame is repeated by its labels. The first frame of a sequence and
failures are detection frames, all others tracking frames.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from tqdm import tqdm

from atpn.data.converting import Conversion
from atpn.evaluate.backend import CropPredictor, scheme_of
from edge_runtime.geometry import ROI, extract_crop, upright_roll
from edge_runtime.landmarks import IBUG_68, convert
from edge_runtime.spec import ModelSpec

PUPILS = (tuple(range(36, 42)), tuple(range(42, 48)))
"""Landmarks whose mean is each pupil."""


def evaluate_video(network: CropPredictor, conversion: Conversion) -> dict[str, Any]:
    """Return a category's frame counts, failures, and NME in both modes by outer eye corners and by pupils."""
    own, size = scheme_of(network), network.spec.input_size
    mean_shape = network.spec.mean_shape
    labeled_shape = convert(mean_shape, own, IBUG_68)
    counts = {"sequences": 0, "detection_frames": 0, "tracking_frames": 0, "failures": 0}
    predicted: dict[str, list[np.ndarray]] = {"tracking": [], "detection": []}
    ground_truth: list[np.ndarray] = []
    sequence, next_roi = None, None
    for sample in tqdm(conversion.samples(), conversion.split, unit=" frames"):
        labels, image = sample.labels, sample.image.read()
        by_labels = ROI.from_landmarks(labels.landmarks, upright_roll(labels.landmarks, labeled_shape))
        if (labels.attributes["identity"], labels.attributes["sequence"]) != sequence:
            sequence, next_roi = (labels.attributes["identity"], labels.attributes["sequence"]), None
            counts["sequences"] += 1
        rois = [by_labels] if next_roi is None else [by_labels, next_roi]
        predictions = network.predict(np.stack([extract_crop(image, roi, size) for roi in rois]))
        tracked = len(rois) == 2 and predictions.confidence[1] >= ModelSpec.track_threshold
        counts["failures"] += len(rois) == 2 and not tracked
        counts["tracking_frames" if tracked else "detection_frames"] += 1
        points = [roi.to_frame(landmarks) for roi, landmarks in zip(rois, predictions.landmarks, strict=True)]
        kept = points[1] if tracked else points[0]
        next_roi = ROI.from_landmarks(kept, upright_roll(kept, mean_shape))
        predicted["detection"].append(convert(points[0], own, IBUG_68))
        predicted["tracking"].append(convert(kept, own, IBUG_68))
        ground_truth.append(labels.landmarks)
    if not ground_truth:
        raise ValueError(f"{conversion.found.root} holds no frame of 300vw {conversion.split}")
    target = np.stack(ground_truth)
    left, right = (target[:, list(eye)].mean(axis=1) for eye in PUPILS)
    pupils = np.linalg.norm(left - right, axis=-1)
    report: dict[str, Any] = {"frames": len(target), **counts, "failure_rate": counts["failures"] / len(target)}
    for mode, landmarks in predicted.items():
        distance = np.linalg.norm(np.stack(landmarks) - target, axis=-1).mean(axis=1)
        report[f"{mode}_nme"] = float((distance / IBUG_68.inter_ocular(target)).mean())
        report[f"{mode}_nme_pupils"] = float((distance / pupils).mean())
    return report
