"""Templates as one sees them: on the mean face, and on faces."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from atpn.templates.anchors import AnchoredNetwork
from atpn.templates.faces import PhotographedFace, onto_face
from atpn.templates.mean_face import PAPER, SIDE, mean_face
from edge_runtime.draw import draw_lines
from edge_runtime.geometry import extract_crop
from edge_runtime.landmarks import WFLW_98
from edge_runtime.template import Template

_COLOURS = (
    *((40, 40, 230), (220, 110, 0), (30, 150, 20), (200, 40, 200)),
    *((0, 130, 250), (160, 150, 0), (90, 60, 150), (0, 90, 120)),
)
"""BGR, one for each group in turn; legible on skin and on the grey face."""
_LOOSE = (30, 30, 30)
"""Of points in no group and of edges between groups."""
_ANCHOR = (170, 140, 110)
_BITS = 4
"""OpenCV draws at sixteenths of a pixel."""
_NUMBER = 0.45
_AWAY = 11
"""Pixels from a point to its number."""


def template_sheet(
    templates: Sequence[Template], anchored: AnchoredNetwork, faces: Sequence[PhotographedFace] = ()
) -> np.ndarray:
    """One row per template: (rows * SIDE, columns * SIDE, 3) uint8 BGR, first the mean face with the 98 anchors shown
    faintly, then each of the faces in its crop."""
    anchors = anchored.of(WFLW_98)
    face = mean_face(anchors)
    for point in anchors:
        cv2.circle(face, _fixed(point * SIDE - 0.5), 2 << _BITS, _ANCHOR, -1, cv2.LINE_AA, _BITS)
    rows = []
    for template in templates:
        row = [_drawn(face, template, template.points)]
        draw_lines(row[0], [f"{template.name}: {len(template.points)} points"])
        _draw_legend(row[0], template)
        for found in faces:
            points = found.roi.to_crop(onto_face(template.points, found, anchored))
            row.append(_drawn(extract_crop(found.image, found.roi, SIDE), template, points))
        rows.append(np.hstack(row))
    return np.vstack(rows)


def _drawn(picture: np.ndarray, template: Template, points: np.ndarray) -> np.ndarray:
    """A copy of a (SIDE, SIDE, 3) picture with the template at (M, 2) points in [0, 1] of it."""
    canvas, pixels = picture.copy(), points * SIDE - 0.5
    group = _first_group(template)
    for a, b in template.edges:
        colour = _colour(group[a]) if group[a] == group[b] else _LOOSE
        cv2.line(canvas, _fixed(pixels[a]), _fixed(pixels[b]), colour, 1, cv2.LINE_AA, _BITS)
    for number, pixel in enumerate(pixels):
        cv2.circle(canvas, _fixed(pixel), 5 << _BITS, (255, 255, 255), -1, cv2.LINE_AA, _BITS)
        cv2.circle(canvas, _fixed(pixel), 4 << _BITS, _colour(group[number]), -1, cv2.LINE_AA, _BITS)
    for number, pixel in enumerate(pixels):
        # Numbers stand on the far side of the group's middle, where the group's own lines are not; a lone one above.
        away = pixel - pixels[group == group[number]].mean(axis=0)
        distance = float(np.linalg.norm(away))
        direction = away / distance if distance > 1 else np.array([0.0, -1.0])
        _write(canvas, str(number), pixel + direction * _AWAY, _colour(group[number]))
    return canvas


def _draw_legend(canvas: np.ndarray, template: Template) -> None:
    for i, name in enumerate(template.groups):
        cv2.putText(canvas, name, (12, SIDE - 12 - 20 * i), cv2.FONT_HERSHEY_SIMPLEX, 0.55, _colour(i), 1, cv2.LINE_AA)


def _first_group(template: Template) -> np.ndarray:
    """(M,) index of the first group that each point is in; -1 for none."""
    group = np.full(len(template.points), -1)
    for i, members in reversed(list(enumerate(template.groups.values()))):
        group[list(members)] = i
    return group


def _colour(group: int) -> tuple[int, int, int]:
    return _LOOSE if group < 0 else _COLOURS[group % len(_COLOURS)]


def _write(canvas: np.ndarray, text: str, centre: np.ndarray, colour: tuple[int, int, int]) -> None:
    """Letters centred on a pixel, with a light rim."""
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, _NUMBER, 1)
    corner = round(float(centre[0]) - width / 2), round(float(centre[1]) + height / 2)
    for shade, thickness in (((PAPER,) * 3, 3), (colour, 1)):
        cv2.putText(canvas, text, corner, cv2.FONT_HERSHEY_SIMPLEX, _NUMBER, shade, thickness, cv2.LINE_AA)


def _fixed(point: np.ndarray) -> tuple[int, int]:
    x, y = np.rint(np.clip(point, -32000, 32000) * 2**_BITS)
    return int(x), int(y)
