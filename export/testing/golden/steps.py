"""Single steps of the runtime on random inputs, most of them near thresholds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from edge_runtime.detector.network import decode_detections, letterbox, tiles
from edge_runtime.expression import openings
from edge_runtime.geometry import (
    ROI,
    Intrinsics,
    Rectangle,
    angles_to_matrix,
    crop_to_camera,
    extract_crop,
    matrix_to_angles,
    upright_roll,
)
from edge_runtime.identity import LostTrack, LostTrackBuffer, same_face
from edge_runtime.landmarks import SCHEMES
from edge_runtime.motion import RoiMotion
from edge_runtime.observation import is_plausible, is_possible
from edge_runtime.options import TrackerOptions
from edge_runtime.smoothing import OneEuroPoints, OneEuroRotation, turn_fraction
from export.testing.golden.expression_steps import TIMES, expression_steps
from export.testing.golden.recorder import DECIMALS, numbers, pixels, rgb, roi_values
from export.testing.golden.scenes import Sprite, composite

SEED = 9
LOST_FRAME_SIZE = 320, 240
"""Width and height of the frame in which faces return."""
TILED = ((1280, 720, 192), (575, 400, 192), (576, 400, 192), (480, 1000, 192), (4000, 3001, 320), (1000, 870, 192))
"""Width and height of frames, and input size of a detector."""


def steps(faces: Sequence[np.ndarray]) -> dict[str, list[Any]]:
    """Return cases of inputs and results by step; `faces` are `scenes.cut_faces()`."""
    rng = np.random.default_rng(SEED)
    return {
        "iou": _iou(rng),
        "fraction_inside": _fraction_inside(rng),
        "is_plausible": _is_plausible(),
        "upright_roll": _upright_roll(rng),
        "angles": _angles(rng),
        "crop_to_camera": _crop_to_camera(rng),
        "one_euro_points": _one_euro_points(rng),
        "one_euro_rotation": _one_euro_rotation(rng),
        "turn_fraction": [
            [angle, weight, _rounded(turn_fraction(angle, weight))]
            for angle in (0.0, 0.1, 2.0, 3.1)
            for weight in (0.05, 0.5, 0.9)
        ],
        "motion": _motion(rng),
        "same_face": _same_face(rng),
        "match_lost_track": _match_lost_track(),
        "decode_detections": _decode_detections(rng),
        "tiles": [[*sizes, tiles(*sizes)] for sizes in TILED],
        "letterbox": _letterbox(faces),
        "extract_crop": _extract_crop(faces),
        "openings": _openings(rng),
        "is_possible": _is_possible(),
        **expression_steps(rng),
    }


def _rounded(value: float) -> float:
    return round(float(value), DECIMALS)


def _drawn_roi(rng: np.random.Generator) -> ROI:
    values = numbers(rng.uniform((100, 80, 40, -3.1), (140, 110, 120, 3.1)))
    return ROI(*values)


def _iou(rng: np.random.Generator) -> list[Any]:
    pairs = [(_drawn_roi(rng), _drawn_roi(rng)) for _ in range(20)]
    square = ROI(50, 60, 40)
    pairs += [
        (square, other) for other in (square, ROI(90, 60, 40), ROI(200, 60, 40), ROI(50, 60, 20), ROI(70, 60, 40))
    ]
    return [[roi_values(a), roi_values(b), _rounded(a.iou(b))] for a, b in pairs]


def _fraction_inside(rng: np.random.Generator) -> list[Any]:
    cases = []
    for _ in range(20):
        values = numbers(rng.uniform((-20, -20, 30, 30, -1.5), (340, 260, 150, 150, 1.5)))
        cases.append([values, 320, 240, _rounded(Rectangle(*values).fraction_inside(320, 240))])
    return cases


def _is_plausible() -> list[Any]:
    """Return cases of extent, aspect, and position on either side of their limits."""
    roi = ROI(100, 100, 100)
    boxes = [
        (100.0, 100.0, w, h) for w, h in ((24.9, 24), (25.1, 24), (125.1, 100), (124.9, 100), (90, 29.9), (90, 30.1))
    ]
    boxes += [(x, 100.0, 60.0, 60.0) for x in (-0.6, -0.4, 319.4, 319.6)]
    return [[[*b, 0.0], roi_values(roi), 320, 240, is_plausible(Rectangle(*b, 0.0), roi, (320, 240))] for b in boxes]


def _upright_roll(rng: np.random.Generator) -> list[Any]:
    cases = []
    for _ in range(6):
        landmarks, mean = rng.uniform(0, 200, (12, 2)).round(3), rng.uniform(0, 1, (12, 2)).round(3)
        cases.append([numbers(landmarks), numbers(mean), _rounded(upright_roll(landmarks, mean))])
    return cases


def _angles(rng: np.random.Generator) -> list[Any]:
    drawn = [*rng.uniform(-3.1, 3.1, (12, 3)), [math.pi / 2, 0.3, 0.0], [-math.pi / 2, -0.4, 0.2], [0, 0, 0]]
    cases = []
    for values in drawn:
        angles = np.array(numbers(np.array(values)))
        if abs(abs(angles[0]) - math.pi / 2) < 1e-3:  # exact, not rounded
            angles[0] = math.copysign(math.pi / 2, angles[0])
        matrix = angles_to_matrix(angles)
        cases.append([angles.tolist(), numbers(matrix), numbers(matrix_to_angles(matrix))])
    return cases


def _crop_to_camera(rng: np.random.Generator) -> list[Any]:
    cases = []
    for _ in range(8):
        roi, camera = _drawn_roi(rng), numbers(rng.uniform((200, 200, 100, 80), (400, 400, 220, 160)))
        rotation = crop_to_camera(roi, Intrinsics(*camera))
        cases.append([roi_values(roi), camera, numbers(rotation), numbers(Intrinsics(*camera).ray(roi.cx, roi.cy))])
    default, roi = Intrinsics.from_fov(1280, 720), ROI(*cases[0][0])
    values = numbers(np.array([default.fx, default.fy, default.cx, default.cy]))
    turned, ray = crop_to_camera(roi, default), default.ray(roi.cx, roi.cy)
    cases.append([cases[0][0], values, numbers(turned), numbers(ray)])
    return cases


def _one_euro_points(rng: np.random.Generator) -> list[Any]:
    cases = []
    for strength in (0.1, 0.5, 1.0):
        smooth, walk = OneEuroPoints(strength), rng.normal(0, 3, (len(TIMES), 3, 2)).cumsum(axis=0).round(3)
        results = [numbers(smooth(points, time, 80.0)) for points, time in zip(walk, TIMES, strict=True)]
        cases.append([strength, 80.0, list(TIMES), [numbers(points) for points in walk], results])
    return cases


def _one_euro_rotation(rng: np.random.Generator) -> list[Any]:
    cases = []
    for strength in (0.1, 0.5, 1.0):
        smooth, walk = OneEuroRotation(strength), rng.normal(0, 0.2, (len(TIMES), 3)).cumsum(axis=0).round(3)
        walk[-1] = walk[-2]  # no rotation between two frames
        results = [numbers(smooth(angles_to_matrix(angles), time)) for angles, time in zip(walk, TIMES, strict=True)]
        cases.append([strength, list(TIMES), [numbers(angles) for angles in walk], results])
    return cases


def _motion(rng: np.random.Generator) -> list[Any]:
    """Return predictions before each update: slow motion, motion beyond `MAX_STEP`, and a long gap."""
    cases = []
    for speed in (30.0, 900.0):
        motion, place, time = RoiMotion(ROI(100, 100, 60, 0.1), 0.0), np.array([100.0, 100.0]), 0.0
        rows: list[Any] = []
        for dt in (0.033, 0.034, 0.033, 0.0, 0.03, 0.6, -0.2, 0.1):
            time = round(time + dt, DECIMALS)
            place = (place + rng.normal((speed * dt, -0.5 * speed * dt), 1.0)).round(3)
            seen = ROI(float(place[0]), float(place[1]), 60.0 + len(rows), 0.1)
            rows.append(
                [time, roi_values(motion.predict(time)), roi_values(motion.extrapolate(time, 1.0)), roi_values(seen)]
            )
            motion.update(seen, time)
        cases.append(rows)
    return cases


def _same_face(rng: np.random.Generator) -> list[Any]:
    face = rng.uniform(0, 100, (10, 2)).round(2)
    extent = float(np.ptp(face, axis=0).max())
    moved = [(face + np.array([shift * extent, 0.0]), face) for shift in (0.0, 0.19, 0.21, 0.5)]
    smaller = face * 0.5
    pairs = [*moved, (smaller, face), (face * 0.8 + 10, face)]
    return [[numbers(a), numbers(b), same_face(a, b)] for a, b in pairs]


def _match_lost_track() -> list[Any]:
    """Return [lost tracks as [id, ROI, x velocity, time], ROI, time, last search, id or null] around each limit.

    The frame has `LOST_FRAME_SIZE`.
    """
    near, far = [0, [100, 100, 60, 0.0], 0.0, 1.0], [1, [180, 100, 60, 0.0], 0.0, 1.0]
    moving = [2, [100, 100, 60, 0.0], 60.0, 1.0]
    left, right = [3, [20, 100, 60, 0.0], 0.0, 1.0], [4, [295, 150, 60, 0.0], 0.0, 1.0]
    top, bottom, leaving = (
        [5, [150, 20, 60, 0.0], 0.0, 1.0],
        [6, [150, 212, 60, 0.0], 0.0, 1.0],
        [7, [40, 100, 60, 0.0], -120.0, 1.0],
    )
    lower = [8, [20, 200, 60, 0.0], 0.0, 1.0]
    cases = [
        ([near], [159, 100, 60, 0.0], 1.5),
        ([near], [161, 100, 60, 0.0], 1.5),
        ([near], [100, 100, 89, 0.0], 1.5),
        ([near], [100, 100, 91, 0.0], 1.5),
        ([near], [100, 100, 40.1, 0.0], 1.5),
        ([near], [100, 100, 39.9, 0.0], 1.5),
        ([near], [100, 100, 60, 0.0], 2.99),
        ([near], [100, 100, 60, 0.0], 3.01),
        ([near], [100, 100, 60, 0.0], 0.9),
        ([near, far], [145, 100, 60, 0.0], 1.5),
        ([near, far], [135, 100, 60, 0.0], 1.5),
        ([moving], [184.5, 100, 60, 0.0], 2.9),
        ([moving], [186, 100, 60, 0.0], 2.9),
        ([near], [100, 100, 60, 0.0], 3.24),
        ([near], [100, 100, 60, 0.0], 3.26),
        ([left], [89, 190, 60, 0.0], 1.5),
        ([left], [91, 190, 60, 0.0], 1.5),
        ([left], [280, 100, 60, 0.0], 1.5),
        ([left], [50, 281, 60, 0.0], 1.5),
        ([left], [50, 190, 91, 0.0], 1.5),
        ([right], [250, 60, 60, 0.0], 1.5),
        ([top], [300, 60, 60, 0.0], 1.5),
        ([bottom], [20, 180, 60, 0.0], 1.5),
        ([leaving], [50, 190, 60, 0.0], 1.5),
        ([left], [50, 190, 60, 0.0], 4.24),
        ([left], [50, 190, 60, 0.0], 4.26),
        ([leaving], [50, 190, 60, 0.0], 4.08),
        ([leaving], [50, 190, 60, 0.0], 4.09),
        ([left, lower], [88, 150, 60, 0.0], 1.5),
        ([left, lower], [50, 120, 60, 0.0], 1.5),
        ([left, lower], [88, 255, 60, 0.0], 1.5),
    ]
    searched = 2.95
    return [[lost, found, time, searched, _matched(lost, found, time, searched)] for lost, found, time in cases]


def _matched(lost: Sequence[Any], found: Sequence[float], now: float, searched: float) -> int | None:
    buffer = LostTrackBuffer(TrackerOptions().reid_seconds)
    for number, place, speed, time in lost:
        cx, cy, size, roll = place
        motion = RoiMotion(ROI(cx - speed, cy, size, roll), time - 1.0)
        motion.update(ROI(cx, cy, size, roll), time)
        buffer.add(LostTrack(number, motion, time))
    buffer.remove_expired(now, searched, LOST_FRAME_SIZE)
    return buffer.match(ROI(*found), now, LOST_FRAME_SIZE)


def _decode_detections(rng: np.random.Generator) -> list[Any]:
    cases = []
    for grid in (6, 6, 9):
        # Few levels, so that neighbors tie and the order of equals matters.
        scores = (rng.integers(0, 8, (grid, grid)) / 8).astype(np.float32)
        centers = (np.stack(np.meshgrid(np.arange(grid), np.arange(grid)), axis=-1) + 0.5) / grid
        sizes = rng.uniform(0.1, 0.4, (grid, grid, 1))
        rois = np.concatenate([centers, sizes], axis=-1).round(4).astype(np.float32)
        cases.append(_read(scores, rois))
        cases.append(_read(scores, rois, rng.normal(0, 1, (grid, grid, 2)).round(4).astype(np.float32)))
    for shift in (0.53, 0.55):  # squares of side 1 so far apart overlap by 0.307 and 0.290
        scores, rois = np.zeros((5, 5), np.float32), np.ones((5, 5, 3), np.float32)
        scores[0, 0], scores[3, 3], rois[3, 3, 0] = 0.9, 0.8, 1 + shift
        cases.append(_read(scores, rois))
    return cases


def _read(scores: np.ndarray, rois: np.ndarray, roll: np.ndarray | None = None) -> list[Any]:
    found = [[_rounded(score), *roi_values(roi)] for score, roi in decode_detections(scores, rois, 0.3, roll)]
    return [None if roll is None else numbers(roll), numbers(scores), numbers(rois), 0.3, found]


def _letterbox(faces: Sequence[np.ndarray]) -> list[Any]:
    cases = []
    for width, height in ((640, 480), (384, 384), (300, 200), (1280, 720), (200, 301), (192, 192), (120, 90)):
        sprite = Sprite(0, 5, -10, 1)
        image, square = letterbox(composite(width, height, 1, [sprite], faces), 192)
        cases.append([width, height, pixels(rgb(image)), roi_values(square)])
    return cases


def _extract_crop(faces: Sequence[np.ndarray]) -> list[Any]:
    """Return upright and tilted crops, beyond the frame's edges, enlarged and shrunk."""
    rois = [(100, 90, 112, 0), (100.3, 90.7, 90.5, 0.3), (5, 8, 130, -2.5), (150, 120, 224, 0.1), (150, 120, 226, 0.1)]
    rois += [(160, 110, 500, -0.2), (160, 110, 1000, 0), (160, 110, 3000, 1.0), (60, 60, 9, 0.5)]
    image = composite(320, 240, 2, [Sprite(1, 40, 30), Sprite(0, 200, 100)], faces)
    return [[list(map(float, r)), pixels(rgb(extract_crop(image, ROI(*r), 112)))] for r in rois]


def _openings(rng: np.random.Generator) -> list[Any]:
    """Return [scheme, landmarks, openings]: parts between shut and open, and beyond."""
    cases = []
    for name, scheme in SCHEMES.items():
        for height in (10.0, 40.0, 160.0):
            landmarks = rng.uniform(0, (160.0, height), (scheme.count, 2)).round(3)
            found = openings(landmarks, scheme)
            cases.append([name, numbers(landmarks), {part: _rounded(value) for part, value in found.items()}])
    return cases


def _is_possible() -> list[Any]:
    """Return [output, values, whether they are possible]: on either side of each limit, and not a number."""
    crops, angles, fraction = (-10.0, 10.0), (-2 * math.pi, 2 * math.pi), (-1e-3, 1.001)
    limits = {"landmarks": crops, "uncertainty": (0.0, 10.0), "points": crops, "points_uncertainty": (0.0, 10.0)}
    limits |= {"pose": angles, "confidence": fraction, "expressions": fraction, "gaze": angles}
    cases = []
    for name, (low, high) in limits.items():
        for value in (low - 2e-4, low + 2e-4, high - 2e-4, high + 2e-4, math.nan):
            values = np.array([[0.5, value]], np.float32)
            cases.append([name, numbers(values), is_possible({name: values})])
    return cases
