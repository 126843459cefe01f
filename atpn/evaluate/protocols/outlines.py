"""Landmark errors against outlines drawn by hand: distance and direction.

The London set's template marks curves (lids, lips, brows, outline) more finely than any landmark scheme. Where along a
curve a landmark lies depends on the scheme; that it lies on the curve does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.interpolate import CubicSpline

from atpn.data.converting import Conversion
from atpn.evaluate.backend import CropPredictor
from atpn.evaluate.passes import run_passes
from atpn.evaluate.protocols.photographs import chunks
from edge_runtime.geometry import ROI
from edge_runtime.landmarks import WFLW_98


@dataclass(frozen=True)
class Curve:
    """A drawn line and the landmarks on it."""

    drawn: tuple[int, ...]
    """Points of the template, from the image's left to its right."""
    landmarks: tuple[int, ...]
    """WFLW's points without the curve's ends, where markups differ."""


# fmt: off
CURVES: Mapping[str, tuple[Curve, ...]] = {
    "brows, upper edge": (Curve((71, 72, 73, 74, 75), (34, 35, 36)), Curve((78, 79, 80, 81, 82), (43, 44, 45))),
    "brows, lower edge": (Curve((71, 83, 84, 76), (39, 40, 41)), Curve((77, 85, 86, 82), (47, 48, 49))),
    "upper lids": (Curve((18, 19, 20, 21, 22), (61, 62, 63)), Curve((23, 24, 25, 26, 27), (69, 70, 71))),
    "lower lids": (Curve((18, 28, 29, 30, 22), (65, 66, 67)), Curve((23, 31, 32, 33, 27), (73, 74, 75))),
    "upper lip's edge": (Curve((87, 88, 89, 90, 91, 92, 93), (77, 78, 79, 80, 81)),),
    "lower lip's edge": (Curve((87, 104, 105, 106, 107, 108, 93), (83, 84, 85, 86, 87)),),
    "upper lip, inner": (Curve((94, 95, 96, 97, 98), (89, 90, 91)),),
    "lower lip, inner": (Curve((99, 100, 101, 102, 103), (93, 94, 95)),),
    "jaw line": (Curve((111, *range(125, 134), 114), (*range(6, 13), *range(20, 27))),),
    "chin": (Curve((111, *range(125, 134), 114), tuple(range(13, 20))),),
}
# fmt: on
POINTS: Mapping[str, tuple[tuple[int, int], ...]] = {
    "pupils": ((0, 96), (1, 97)),
    "eye corners": ((18, 60), (22, 64), (23, 68), (27, 72)),
    "brows' outer ends": ((71, 33), (82, 46)),
    "mouth corners": ((87, 76), (93, 82)),
    "middle of lips, nose": ((90, 79), (106, 85), (55, 57)),
}
"""Template point and landmark of 13 places that both define."""
OUTER_CORNERS = (18, 27)
"""Template points of the outer eye corners: unit of errors and level line."""
FRAMED = tuple(sorted({i for curves in CURVES.values() for curve in curves for i in curve.drawn}))
"""Template points that the ROI is computed from; others lie on hair, ears and neck."""
_STEPS = 40
"""Samples of a curve between two drawn points."""


def evaluate_outlines(network: CropPredictor, conversion: Conversion) -> dict[str, Any]:
    """Return metrics over the outer eye corners' distance, by pass and row (a curve or a kind of point).

    "first" crops by the labels, "upright" by the first pass' landmarks. `nme` is the distance to the curve (a cubic
    spline through the drawn points) or to the point. `bias` is signed: positive down, for curves along their normal (at
    the jaw: outward). `outward` is the offset away from the middle between the eyes. Rows "curves" and "points" are
    means over all.
    """
    rows: dict[str, dict[str, list[np.ndarray]]] = {"first": {}, "upright": {}}
    for chunk in chunks(conversion):
        rois = [ROI.from_landmarks(face.landmarks[list(FRAMED)]) for face in chunk]
        passes = run_passes(network, [sample.image for sample in chunk], rois, WFLW_98)
        for name, kept in rows.items():
            for sample, landmarks in zip(chunk, passes[name].landmarks, strict=True):
                for row, errors in face_errors(sample.landmarks, landmarks).items():
                    kept.setdefault(row, []).append(errors)
    return {name: {row: _means(errors) for row, errors in kept.items()} for name, kept in rows.items()}


def face_errors(drawn: np.ndarray, landmarks: np.ndarray) -> dict[str, np.ndarray]:
    """Return (k, 3) distance, bias and outward offset of k landmarks by row; takes (189, 2) and (98, 2) points."""
    left, right = drawn[list(OUTER_CORNERS)].astype(float)
    across = right - left
    level = np.array([across, (-across[1], across[0])]).T / (across @ across)
    drawn, landmarks = (drawn - (left + right) / 2) @ level, (landmarks - (left + right) / 2) @ level
    curves = {
        name: np.concatenate([_from_curve(c, drawn, landmarks) for c in curves_of_row])
        for name, curves_of_row in CURVES.items()
    }
    points = {name: _from_points(pairs, drawn, landmarks) for name, pairs in POINTS.items()}
    whole = {"curves": np.concatenate(list(curves.values())), "points": np.concatenate(list(points.values()))}
    return whole | curves | points


def _from_curve(curve: Curve, drawn: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    knots = drawn[list(curve.drawn)]
    along = np.concatenate([[0.0], np.linalg.norm(np.diff(knots, axis=0), axis=1).cumsum()])
    spline = CubicSpline(along, knots)
    places = np.interp(np.arange(_STEPS * (len(along) - 1) + 1) / _STEPS, np.arange(len(along)), along)
    line, tangent = spline(places), spline(places, 1)
    points = landmarks[list(curve.landmarks)]
    nearest = np.linalg.norm(points[:, None] - line, axis=2).argmin(axis=1)
    offset, tangent = points - line[nearest], tangent[nearest]
    normal = np.column_stack([-tangent[:, 1], tangent[:, 0]]) / np.linalg.norm(tangent, axis=1, keepdims=True)
    outward = offset[:, 0] * np.sign(points[:, 0])
    return np.column_stack([np.linalg.norm(offset, axis=1), (offset * normal).sum(axis=1), outward])


def _from_points(pairs: tuple[tuple[int, int], ...], drawn: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    theirs, ours = map(list, zip(*pairs, strict=True))
    offset = landmarks[ours] - drawn[theirs]
    return np.column_stack([np.linalg.norm(offset, axis=1), offset[:, 1], offset[:, 0] * np.sign(drawn[theirs, 0])])


def _means(errors: list[np.ndarray]) -> dict[str, float]:
    distance, bias, outward = np.concatenate(errors).mean(axis=0).tolist()
    return {"faces": len(errors), "nme": distance, "bias": bias, "outward": outward}
