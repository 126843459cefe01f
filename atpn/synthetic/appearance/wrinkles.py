"""Folds, wrinkles and pores: grooves in the skin's relief, slightly darker."""

from __future__ import annotations

import cv2
import numpy as np

Line = list[np.ndarray]
"""Corners of one groove, texels."""


class Wrinkles:
    """Draws a face's folds into an atlas, placed by its landmarks' texels."""

    def __init__(self, landmark_texel: np.ndarray, shape: tuple[int, int]) -> None:
        """Take the (98, 2) x, y texels of the WFLW points and the atlas' shape (rows, columns)."""
        self._points = landmark_texel
        self._rows, self._columns = shape
        # Nothing is drawn beyond the face's own part of the atlas.
        self._shape = shape[0], min(shape[1], int(landmark_texel[:, 0].max()) + 16)
        self._unit = float(np.linalg.norm(landmark_texel[60] - landmark_texel[72]))  # the eye distance

    def paint(self, atlas: np.ndarray, age: float, rng: np.random.Generator) -> np.ndarray:
        """Darken the grooves of the (rows, columns, 3) atlas in place; the relief, (rows, columns) uint8, 128 flat.

        `age` is 0 (smooth but for a hint of the fold beside the nose) to 1 (all lines deep).
        """
        relief, light = np.zeros(self._shape, np.float32), np.ones(self._shape, np.float32)
        for lines, width, onset in self._groups(rng):
            depth = np.clip((age - onset) / (1 - onset) + rng.normal(0, 0.15), 0, 1)
            if depth < 0.05:
                continue
            groove = self._groove(lines, width * self._unit)
            # Skin bulges beside a fold.
            relief += depth * (0.4 * cv2.GaussianBlur(groove, (0, 0), 2.5 * width * self._unit) - groove)
            light *= 1 - np.float32(0.22 * depth) * groove
        atlas[:, : self._shape[1]] *= light[..., None]
        pores = rng.standard_normal((self._shape[0] // 2, self._shape[1] // 2), np.float32)
        relief += np.float32(rng.uniform(0.02, 0.12)) * cv2.resize(pores, self._shape[::-1])
        whole = np.full((self._rows, self._columns), 128, np.uint8)
        whole[:, : self._shape[1]] = 128 + 127 * np.clip(relief, -1, 1)
        return whole

    def _groups(self, rng: np.random.Generator) -> list[tuple[list[Line], float, float]]:
        """Return the lines of each kind, their width over the eye distance, and the age at which they appear."""
        p, unit = self._points, self._unit
        folds: list[Line] = []
        corners: list[Line] = []
        feet: list[Line] = []
        bags: list[Line] = []
        # Outwards is to the image's left for the first side, to its right for the second.
        for out, wing, mouth, eye, lid in (
            (-1, 55, 76, 60, (60, 67, 66, 65, 64)),
            (1, 59, 82, 72, (72, 73, 74, 75, 68)),
        ):
            reach = rng.uniform(0.07, 0.13)
            start, end = p[wing] + (out * 0.03 * unit, -0.03 * unit), p[mouth] + (out * 0.09 * unit, 0.04 * unit)
            bend = (start + end) / 2 + (out * reach * unit, -0.02 * unit)
            folds.append(_curve(start, bend, end))
            low = p[mouth] + np.array([out * 0.02, 0.04]) * unit
            corners.append(
                _curve(low, low + np.array([out * 0.06, 0.1]) * unit, low + np.array([out * 0.04, 0.22]) * unit)
            )
            for angle in rng.normal((-0.45, -0.05, 0.35), 0.1):
                ray = np.array([out * np.cos(angle), np.sin(angle)]) * unit
                begin = p[eye] + 0.05 * ray
                feet.append(_curve(begin, begin + 0.09 * ray, begin + 0.18 * ray + (0, 0.03 * unit)))
            drop = rng.uniform(0.09, 0.15)
            bags.append(
                [p[i] + (0, drop * unit * share) for i, share in zip(lid, (0.4, 0.9, 1.0, 0.9, 0.4), strict=True)]
            )
        top = p[33:51, 1].min()
        left, right = p[34, 0], p[45, 0]
        forehead = [
            [
                np.array(
                    [x, top - (0.14 + 0.13 * row) * unit + rng.normal(0, 0.012) * unit - 0.02 * unit * np.cos(6 * x)]
                )
                for x in np.linspace(left + rng.uniform(0, 0.3) * unit, right - rng.uniform(0, 0.3) * unit, 8)
            ]
            for row in range(int(rng.integers(2, 5)))
        ]
        middle, height = (p[37] + p[42]) / 2, rng.uniform(0.1, 0.2) * unit
        low, high = np.array([0.05 * unit, 0.03 * unit]), np.array([rng.uniform(0.03, 0.06) * unit, -height])
        frown = [[middle + low * (side, 1), middle + high * (side, 1)] for side in (-1, 1)]
        return [
            (folds, 0.028, -0.3),
            (bags, 0.022, 0.0),
            (corners, 0.02, 0.25),
            (feet, 0.012, 0.2),
            (forehead, 0.014, 0.15),
            (frown, 0.014, 0.2),
        ]

    def _groove(self, lines: list[Line], width: float) -> np.ndarray:
        """Return (rows, columns) float32: 1 in the lines' middle, falling off over `width` texels."""
        drawn = np.zeros(self._shape, np.uint8)
        paths = [(np.array(line) * 16).round().astype(np.int32) for line in lines]
        cv2.polylines(drawn, paths, False, 255, 1, cv2.LINE_AA, 4)
        soft = cv2.GaussianBlur(drawn.astype(np.float32), (0, 0), max(width, 0.6))
        return soft / max(float(soft.max()), 1e-6)


def _curve(start: np.ndarray, bend: np.ndarray, end: np.ndarray) -> Line:
    """Return ten corners of a quadratic Bézier curve."""
    t = np.linspace(0, 1, 10)[:, None]
    return list((1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end)
