"""Stages of one tracked face and of one detection, as calls to time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import cv2
import numpy as np

from edge_runtime import ROI, Face, Pose, TrackState
from edge_runtime.backends import Backend
from edge_runtime.detector import decode_detections
from edge_runtime.detector.network import letterbox
from edge_runtime.draw import draw_faces
from edge_runtime.geometry import Intrinsics, angles_to_matrix, crop_to_camera, extract_crop, upright_roll
from edge_runtime.smoothing import OneEuroPoints, OneEuroRotation
from edge_runtime.spec import DetectorSpec

FRAME_SIZE = (640, 480)
FACE_SIZE = 240.0
"""Side of the face's ROI in that frame, pixels: a person at a webcam."""

Stages = Mapping[str, Callable[[], object]]


def stages(backend: Backend) -> Stages:
    """Return the stages by name and in order: of a detector up to its regions, else up to the overlay."""
    rng = np.random.default_rng(0)
    frame = cv2.GaussianBlur(rng.integers(0, 256, (*FRAME_SIZE[::-1], 3), np.uint8), (0, 0), 3)
    return _detection(backend, frame) if isinstance(backend.spec, DetectorSpec) else _tracking(backend, frame)


def _detection(backend: Backend, frame: np.ndarray) -> Stages:
    spec = backend.spec
    image = cv2.cvtColor(letterbox(frame, spec.input_size)[0], cv2.COLOR_BGR2RGB)
    outputs = backend.run(image)
    return {
        "crop": lambda: cv2.cvtColor(letterbox(frame, spec.input_size)[0], cv2.COLOR_BGR2RGB),
        "network": lambda: backend.run(image),
        "decode": lambda: decode_detections(
            outputs["scores"], outputs["rois"], spec.track_threshold, outputs.get("roll")
        ),
    }


def _tracking(backend: Backend, frame: np.ndarray) -> Stages:
    spec = backend.spec
    roi = ROI(FRAME_SIZE[0] / 2, FRAME_SIZE[1] / 2, FACE_SIZE, 0.1)
    intrinsics = Intrinsics.from_fov(*FRAME_SIZE)
    crop = cv2.cvtColor(extract_crop(frame, roi, spec.input_size), cv2.COLOR_BGR2RGB)
    outputs = backend.run(crop)
    points, rotations = OneEuroPoints(0.5), OneEuroRotation(0.5)
    landmarks, rotation = roi.to_frame(spec.mean_shape), crop_to_camera(roi, intrinsics)
    sigma = np.full(len(landmarks), 0.01 * FACE_SIZE)
    face = Face(0, TrackState.TRACKED, landmarks, sigma, Pose(rotation), 1.0, roi, rotation[:, 2], 1)
    clock = itertools.count(0.0, 1 / 30)

    def decode() -> None:
        landmarks = roi.to_frame(outputs["landmarks"])
        ROI.from_landmarks(landmarks, upright_roll(landmarks, spec.mean_shape), spec.crop_margin)

    def smooth() -> None:
        now = next(clock)
        points(landmarks, now, roi.size)
        rotations(rotation, now)

    calls: dict[str, Callable[[], object]] = {
        "crop": lambda: cv2.cvtColor(extract_crop(frame, roi, spec.input_size), cv2.COLOR_BGR2RGB),
        "network": lambda: backend.run(crop),
        "decode": decode,
        "smooth": smooth,
    }
    if "pose" in outputs:
        calls["pose"] = lambda: crop_to_camera(roi, intrinsics) @ angles_to_matrix(outputs["pose"])
    return {**calls, "draw": lambda: draw_faces(frame, [face])}
