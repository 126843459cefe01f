"""Which crops of rendered faces the tracking branch accepts, and which it refuses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from atpn.data.crops import JitterConfig, jittered_roi
from atpn.data.scenes import SceneConfig, background_roi, cut, make_scene, negative_roi
from atpn.data.store import SampleStore
from atpn.data.textures import texture
from atpn.evaluate.backend import CropPredictor
from atpn.evaluate.tracking import FOLLOWED, THRESHOLD
from edge_runtime.geometry import ROI, extract_crop, upright_roll

MOVING = JitterConfig(center_sigma=0.07, scale_sigma=0.12, flip_prob=0.0)
"""Changes of a fast head's ROI between two frames, and of a detector's first one: rolls up to 45 degrees."""
TURNED = (75.0, 180.0)
"""Rolls against the crop, degrees, at which no landmark can be read (measured)."""
ACCEPTED = "tracked", "moving"
REFUSED = "turned", "cut", "around", "background", "texture"


def refusal_crops(
    store: SampleStore, faces: np.ndarray, mean_shape: np.ndarray, crop_size: int, seed: int = 0
) -> dict[str, np.ndarray]:
    """Return (n, S, S, 3) crops by kind, one of each for every face, the same for a seed.

    `ACCEPTED` kinds frame a face, with the ROI errors of a tracked head or of a moving one. `REFUSED` ones show a face
    turned by `TURNED`, one with more than half of it cut off, what is around a face, an image without a face, or a
    procedural texture. Without backgrounds in the store, the fourth kind is empty.
    """
    rng, scenes = np.random.default_rng(seed), SceneConfig(trim_prob=0.0)
    crops: dict[str, list[np.ndarray]] = {kind: [] for kind in (*ACCEPTED, *REFUSED)}

    def add(kind: str, image: np.ndarray, roi: ROI) -> None:
        crops[kind].append(extract_crop(image, roi, crop_size))

    for index in faces:
        background = store.image(int(rng.choice(store.backgrounds))) if len(store.backgrounds) else None
        image, landmarks = make_scene(store.image(index), store.landmarks[index], background, scenes, rng)
        upright = upright_roll(landmarks, mean_shape)
        for kind, jitter in zip(ACCEPTED, (FOLLOWED, MOVING), strict=True):
            add(kind, image, jittered_roi(landmarks, mean_shape, jitter, rng))
        turn = math.radians(rng.uniform(*TURNED)) * rng.choice([-1, 1])
        add("turned", image, ROI.from_landmarks(landmarks, upright + turn))
        rest, moved = cut(image, landmarks, rng)
        add("cut", rest, jittered_roi(moved, mean_shape, FOLLOWED, rng))
        add("around", image, negative_roi(ROI.from_landmarks(landmarks, upright), rng))
        if background is not None:
            add("background", background, background_roi(background, rng))
        pattern = texture(2 * crop_size, rng)
        add("texture", pattern, background_roi(pattern, rng))
    return {kind: np.array(images, np.uint8).reshape(-1, crop_size, crop_size, 3) for kind, images in crops.items()}


def refusal_report(network: CropPredictor, crops: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return, by kind, the fraction of crops that pass the tracking threshold; and the curve over all thresholds.

    `curve` has the fractions of accepted kinds' crops, and of refused kinds', that pass each of the thresholds.
    """
    confidence = {kind: network.predict(images).confidence for kind, images in crops.items() if len(images)}
    report: dict[str, Any] = {kind: float((values >= THRESHOLD).mean()) for kind, values in confidence.items()}
    thresholds = (0.1, 0.3, 0.5, THRESHOLD, 0.8, 0.9, 0.95, 0.98)
    faces, others = (np.concatenate([confidence[k] for k in kinds if k in confidence]) for kinds in (ACCEPTED, REFUSED))
    curve = [
        {"threshold": t, "passed": float((faces >= t).mean()), "false_alarms": float((others >= t).mean())}
        for t in thresholds
    ]
    return {"crops": len(next(iter(crops.values()))), **report, "curve": curve}
