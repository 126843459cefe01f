"""A drawing of the 98 landmarks for the docs: two rendered heads with lines and numbers."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np

from atpn.data.drawing import BITS, draw_edge, draw_points, fixed_point
from atpn.synthetic.drawing.renderer import FaceRenderer, Figure, RenderOptions
from edge_runtime.files import write_atomically
from edge_runtime.landmarks import WFLW_98

SIDE = 640
"""Side of a head's image in pixels."""
_PERSON, _IMAGE = 2, 2
"""With seed 0: distinct brows, lids and lips, a slightly open mouth, no hair before the face."""
_NUMBERED = {
    *(*range(0, 33, 4), 33, 35, 37, 40, 42, 44, 46, 48),
    *(*range(51, 60, 2), *range(60, 76, 2), 76, 79, 82, 85),
}
"""Landmarks whose number is written."""
_FRONTAL = {"frontal_prob": 0.0, "max_yaw": 2.0, "max_tilt": 2.0}
_TURNED = {"frontal_prob": 0.0, "max_yaw": 45.0, "max_tilt": 2.0}
_LINE, _SEEN, _HIDDEN = (255, 220, 120), (80, 255, 80), (80, 80, 255)


def write_definitions(path: Path, assets: Path | None, cache: Path) -> None:
    """Write a person from the front and turned, side by side, as a JPEG; see `FaceRenderer` for the folders."""
    plain = RenderOptions(size=SIDE, roi_fraction=(0.95, 0.96), glasses=0, headwear=0, face_mask=0, occluder=0)
    renderer = FaceRenderer(assets, cache, plain, seed=0)
    identity = renderer.identity(_PERSON)
    tiles = []
    for pose in (_FRONTAL, _TURNED):
        rng = np.random.default_rng((0, _PERSON, 1 + _IMAGE))
        tiles.append(_drawn(renderer.figure(identity, rng, options=dataclasses.replace(plain, **pose))))
    written, data = cv2.imencode(".jpg", np.hstack(tiles), [cv2.IMWRITE_JPEG_QUALITY, 85])
    if not written:
        raise OSError(f"cannot encode {path}")
    write_atomically(path, data.tobytes())


def _drawn(figure: Figure) -> np.ndarray:
    image = np.ascontiguousarray(figure.image.clip(0, 255).astype(np.uint8)[:, :, ::-1])
    for a, b in WFLW_98.edges:
        draw_edge(image, figure.landmarks[a], figure.landmarks[b], _LINE)
    for number, (point, seen) in enumerate(zip(figure.landmarks, figure.visibility, strict=True)):
        draw_points(image, point[None], radius=1.5, color=_SEEN if seen else _HIDDEN)
        if number not in _NUMBERED:
            continue
        x, y = fixed_point(point)
        place = (x >> BITS) + 3, (y >> BITS) - 3
        for color, width in (((0, 0, 0), 2), ((255, 255, 255), 1)):
            cv2.putText(image, str(number), place, cv2.FONT_HERSHEY_SIMPLEX, 0.3, color, width, cv2.LINE_AA)
    return image
