"""Steps of expressions and gaze on random inputs: filters, another frame, and resting faces."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_runtime.gaze import turn_gaze
from edge_runtime.geometry import angles_to_matrix
from edge_runtime.neutral import RestingFaces
from edge_runtime.smoothing import EXPRESSION_SPEED_COEFFICIENT, POSE_SPEED_COEFFICIENT, OneEuroNumbers
from export.testing.golden.recorder import numbers

TIMES = (0.0, 0.033, 0.07, 0.07, 0.1, 0.4, 0.3, 0.333)
"""Uneven; one repeats, one decreases."""


def expression_steps(rng: np.random.Generator) -> dict[str, list[Any]]:
    """Return cases of inputs and results by step."""
    return {
        "turn_gaze": _turn_gaze(rng),
        "one_euro_numbers": _one_euro_numbers(rng),
        "resting_faces": _resting_faces(rng),
    }


def _turn_gaze(rng: np.random.Generator) -> list[Any]:
    cases = []
    for spread in (0.3, 0.3, 1.4):
        angles, turn = rng.uniform(-spread, spread, (2, 2)).round(3), rng.uniform(-0.8, 0.8, 3)
        rotation = angles_to_matrix(turn)
        cases.append([numbers(angles), numbers(rotation), numbers(turn_gaze(angles, rotation.tolist()))])
    return cases


def _one_euro_numbers(rng: np.random.Generator) -> list[Any]:
    cases = []
    for strength in (0.1, 0.5, 1.0):
        for coefficient in (EXPRESSION_SPEED_COEFFICIENT, POSE_SPEED_COEFFICIENT):
            smooth, walk = OneEuroNumbers(strength, coefficient), rng.normal(0, 0.1, (len(TIMES), 4)).cumsum(0).round(3)
            results = [numbers(smooth(values, time)) for values, time in zip(walk, TIMES, strict=True)]
            cases.append([strength, coefficient, list(TIMES), [numbers(values) for values in walk], results])
    return cases


def _resting_faces(rng: np.random.Generator) -> list[Any]:
    """Return cases of rows [begin or null, time, [key, coefficients] of each face, calibrating, subtracted].

    A face appears late, time decreases, another calibration replaces the first, and a third waits for a face. The last
    coefficient is strong at rest.
    """
    keys = ((), (0,), (0,), (0, 3), (0, 3), (0, 3), (0,), (3,), (0, 3), (), (), (0, 3))
    times = (0.0, 5.0, 5.1, 5.2, 5.31, 5.4, 0.0, 0.1, 0.21, 0.3, 0.4, 0.5)
    begins = {0: 0.3, 5: 0.2, 9: 0.3}
    rows, resting = list[Any](), RestingFaces()
    for number, (present, time) in enumerate(zip(keys, times, strict=True)):
        faces = {key: np.array([*rng.uniform(-0.1, 1.2, 4).clip(0, 1).round(3), 0.95]) for key in present}
        if number in begins:
            resting.begin(begins[number])
        resting.watch(faces, time)
        subtracted = [numbers(resting.subtract(key, values)) for key, values in faces.items()]
        seen = [[key, numbers(values)] for key, values in faces.items()]
        rows.append([begins.get(number), time, seen, resting.calibrating, subtracted])
    return [rows]
