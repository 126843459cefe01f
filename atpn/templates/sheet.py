"""Drawings of templates on the mean face and on images."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from atpn.data.drawing import draw_edge, draw_points
from atpn.templates.anchors import AnchoredNetwork
from atpn.templates.faces import PhotographedFace, to_image_points
from atpn.templates.mean_face import PAPER, SIDE, mean_face
from edge_runtime.draw import draw_lines
from edge_runtime.geometry import extract_crop
from edge_runtime.landmarks import WFLW_98
from edge_runtime.template import Template

_COLORS = (
    *((40, 40, 230), (220, 110, 0), (30, 150, 20), (200, 40, 200)),
    *((0, 130, 250), (160, 150, 0), (90, 60, 150), (0, 90, 120)),
)
"""BGR, one for each group in turn; legible on skin and on the gray face."""
_LOOSE = (30, 30, 30)
"""Color of points in no group and of edges between groups."""
_ANCHOR = (170, 140, 110)
_FONT_SCALE = 0.45
_LABEL_DISTANCE = 11
"""Pixels from a point to its number."""


def template_sheet(
    templates: Sequence[Template], anchored: AnchoredNetwork, faces: Sequence[PhotographedFace] = ()
) -> np.ndarray:
    """Draw a row per template: the mean face with its 98 anchors, then each of the faces in its crop.

    Returns:
        (rows * SIDE, columns * SIDE, 3) uint8 BGR.
    """
    anchors = anchored.of(WFLW_98)
    face = mean_face(anchors)
    draw_points(face, anchors * SIDE - 0.5, radius=2, color=_ANCHOR)
    rows = []
    for template in templates:
        row = [_drawn(face, template, template.points)]
        draw_lines(row[0], [f"{template.name}: {len(template.points)} points"])
        _draw_legend(row[0], template)
        for photo in faces:
            points = photo.roi.to_crop(to_image_points(template.points, photo, anchored))
            row.append(_drawn(extract_crop(photo.image, photo.roi, SIDE), template, points))
        rows.append(np.hstack(row))
    return np.vstack(rows)


def _drawn(image: np.ndarray, template: Template, points: np.ndarray) -> np.ndarray:
    """Copy a (SIDE, SIDE, 3) image and draw the template at (M, 2) points in [0, 1] of it."""
    canvas, pixels = image.copy(), points * SIDE - 0.5
    group = _first_group(template)
    for a, b in template.edges:
        color = _color(group[a]) if group[a] == group[b] else _LOOSE
        draw_edge(canvas, pixels[a], pixels[b], color)
    for number, pixel in enumerate(pixels):
        draw_points(canvas, pixel[None], radius=5, color=(255, 255, 255))
        draw_points(canvas, pixel[None], radius=4, color=_color(group[number]))
    for number, pixel in enumerate(pixels):
        # Numbers are outside the group, off its lines; that of a single point is above it.
        offset = pixel - pixels[group == group[number]].mean(axis=0)
        distance = float(np.linalg.norm(offset))
        direction = offset / distance if distance > 1 else np.array([0.0, -1.0])
        _write(canvas, str(number), pixel + direction * _LABEL_DISTANCE, _color(group[number]))
    return canvas


def _draw_legend(canvas: np.ndarray, template: Template) -> None:
    for i, name in enumerate(template.groups):
        cv2.putText(canvas, name, (12, SIDE - 12 - 20 * i), cv2.FONT_HERSHEY_SIMPLEX, 0.55, _color(i), 1, cv2.LINE_AA)


def _first_group(template: Template) -> np.ndarray:
    """Return the (M,) index of each point's first group; -1 for none."""
    group = np.full(len(template.points), -1)
    for i, members in reversed(list(enumerate(template.groups.values()))):
        group[list(members)] = i
    return group


def _color(group: int) -> tuple[int, int, int]:
    return _LOOSE if group < 0 else _COLORS[group % len(_COLORS)]


def _write(canvas: np.ndarray, text: str, center: np.ndarray, color: tuple[int, int, int]) -> None:
    """Write letters centered on a pixel, with a light outline."""
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, _FONT_SCALE, 1)
    corner = round(float(center[0]) - width / 2), round(float(center[1]) + height / 2)
    for shade, thickness in (((PAPER,) * 3, 3), (color, 1)):
        cv2.putText(canvas, text, corner, cv2.FONT_HERSHEY_SIMPLEX, _FONT_SCALE, shade, thickness, cv2.LINE_AA)
