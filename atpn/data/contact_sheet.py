"""A grid of faces with their labels drawn, to check the labels by eye."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from atpn.data.drawing import BITS, draw_edge, draw_points, fixed_point, write_image
from atpn.data.sample import Sample
from edge_runtime.geometry import ROI, Intrinsics, crop_to_camera, extract_crop

TILE = 224
COLUMNS = 5
SEEN, HIDDEN, EDGE, BOX = (80, 255, 80), (80, 80, 255), (230, 230, 230), (255, 200, 60)
"""BGR colors of visible landmarks, hidden ones, the lines between them, and boxes."""
AXES = (60, 60, 255), (60, 220, 60), (255, 120, 40)
"""BGR colors of the head's axes: to the image's right, down, and out of the face."""


def write_contact_sheet(path: Path, samples: Sequence[Sample]) -> None:
    """Write a grid of faces with all their labels drawn."""
    write_image(path, image_grid([face_tile(sample) for sample in samples], COLUMNS))


def image_grid(tiles: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Return images of one shape in rows of `columns`; the last row is filled with black."""
    tiles = [*tiles, *[np.zeros_like(tiles[0])] * (-len(tiles) % columns)]
    return np.vstack([np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)])


def face_tile(sample: Sample) -> np.ndarray:
    """Return a (TILE, TILE, 3) BGR image of a sample's face and labels; ValueError for a sample without a face."""
    outline = sample.outline
    if outline is None:
        raise ValueError(f"sample {sample.key!r} has no face to draw")
    face = ROI.from_landmarks(outline)
    roi = ROI(face.cx, face.cy, 1.2 * face.size)
    tile = np.ascontiguousarray(extract_crop(sample.image, roi, TILE)[:, :, ::-1])
    for box in sample.boxes.values():
        corners = roi.to_crop(np.array([box[:2], box[2:]])) * TILE - 0.5
        cv2.rectangle(tile, *map(fixed_point, corners), BOX, 1, cv2.LINE_AA, BITS)
    if sample.landmarks is not None:
        points = roi.to_crop(sample.landmarks) * TILE - 0.5
        known = ~np.isnan(points).any(axis=1)
        for a, b in () if sample.scheme is None else sample.scheme.edges:
            if known[a] and known[b]:
                draw_edge(tile, points[a], points[b], EDGE)
        seen = known if sample.visibility is None else sample.visibility
        for point, visible in zip(points[known], seen[known], strict=True):
            draw_points(tile, point[None], color=SEEN if visible else HIDDEN)
    if sample.rotation is not None:
        height, width = sample.image.shape[:2]
        # Drawn as seen along the ray to the face: its axes in parallel projection.
        rotation = crop_to_camera(roi, sample.intrinsics or Intrinsics.from_fov(width, height)).T @ sample.rotation
        for axis, color in zip((rotation * (1.0, 1.0, -1.0)).T, AXES, strict=True):
            middle = np.full(2, TILE / 2)
            ends = fixed_point(middle), fixed_point(middle + axis[:2] * TILE * 0.3)
            cv2.line(tile, *ends, color, 2, cv2.LINE_AA, BITS)
    for color, width in (((0, 0, 0), 3), (EDGE, 1)):
        cv2.putText(tile, sample.key[-34:], (4, TILE - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.35, color, width, cv2.LINE_AA)
    return tile
