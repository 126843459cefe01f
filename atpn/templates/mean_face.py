"""An image of the mean face to draw templates on."""

from __future__ import annotations

import logging
from functools import cache

import cv2
import numpy as np

from atpn.synthetic.appearance.lighting import Light
from atpn.synthetic.appearance.look import Painter
from atpn.synthetic.drawing.gl import GraphicsError, HeadCanvas, Shading
from atpn.synthetic.heads.procedural import procedural_head
from atpn.tufa.spline import warp_points
from edge_runtime.geometry import ROI, Intrinsics
from edge_runtime.landmarks import WFLW_98

log = logging.getLogger(__name__)

SIDE = 768
"""Pixels of the image."""
PAPER = 235
"""Gray level of the background."""
_INK = 150
_CANVAS = 1.4
"""Side of the rendered area in sides of the plane: the warp samples a little outside."""
_DISTANCE = 900.0
"""Centimeters to the camera: far enough that perspective is below a pixel."""
_LOOK = 11
"""Seed of a light skin without a beard."""
_EXPRESSION = {"jawOpen": 0.12}
"""Expression of the mean of open and closed mouths."""
_SHADING = Shading(
    gloss=(0.08, 20.0, 0.1),
    sclera=np.full(3, 0.9),
    eye_shade=0.9,
    teeth=np.full(3, 0.8),
    mouth_light=0.8,
    lash_opacity=0.3,
    cloth=np.full(3, 0.5),
    collar=(14.0, 0.0, 0.0, 0.0),
    gamma=0.5,
    shadow=(0.0, 1.0),
    bump=0.02,
    hair_cut=0.5,
)
_AMBIENT, _LAMP, _LAMP_DIRECTION = 0.42, 0.5, (-0.45, -0.55, -0.7)


def mean_face(anchors: np.ndarray) -> np.ndarray:
    """Render a (SIDE, SIDE, 3) uint8 gray image of the plane; pixel = plane * SIDE - 0.5.

    The procedural head is warped so that its landmarks lie at the (98, 2) anchors. Fallback without OpenGL: outlines.
    """
    try:
        image, landmarks = _portrait()
    except GraphicsError as error:
        log.warning("drawing the mean face as outlines only: %s", error)
        return _outlines(anchors)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    plane = (np.stack([columns, rows], axis=-1).reshape(-1, 2) + 0.5) / SIDE
    source = (warp_points(plane, anchors, landmarks) - 0.5) * SIDE + len(image) / 2 - 0.5
    source = source.astype(np.float32).reshape(SIDE, SIDE, 2)
    return cv2.remap(image, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


@cache
def _portrait() -> tuple[np.ndarray, np.ndarray]:
    """Render the procedural head from the front; return also its (98, 2) landmarks on the plane."""
    head, size = procedural_head(), round(_CANVAS * SIDE)
    canvas = HeadCanvas(head, (), size)
    look = Painter(head, None).paint(np.random.default_rng(_LOOK))
    surface = head.express(head.neutral, _EXPRESSION)
    points = head.landmarks.at(surface)
    points[33:51] = look.brows.at(surface)
    points[96:98] = head.eye_centers(surface) - (0, 0, head.eye_radius)
    roi = ROI.from_landmarks(points[:, :2])
    head_to_camera = np.eye(4)
    head_to_camera[:3, 3] = -roi.cx, -roi.cy, _DISTANCE - points[:, 2].mean()
    focal = _DISTANCE * SIDE / roi.size
    camera = Intrinsics(focal, focal, size / 2 - 0.5, size / 2 - 0.5)
    harmonics = np.zeros((9, 3), np.float32)
    harmonics[0] = _AMBIENT / 0.282095
    light = Light(harmonics, np.array(_LAMP_DIRECTION) / np.linalg.norm(_LAMP_DIRECTION), np.full(3, _LAMP))
    ahead = np.tile((0.0, 0.0, -1.0), (2, 1))  # both eyes
    rgba, _ = canvas.draw(surface, head.normals(surface), look, None, head_to_camera, camera, ahead, light, _SHADING)
    alpha = rgba[..., 3] / 255.0
    gray = cv2.cvtColor(np.ascontiguousarray(rgba[..., :3]), cv2.COLOR_RGB2GRAY)
    image = np.rint(gray * alpha + PAPER * (1 - alpha)).astype(np.uint8)
    return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), roi.to_crop(points[:, :2])


def _outlines(anchors: np.ndarray) -> np.ndarray:
    image = np.full((SIDE, SIDE, 3), PAPER, np.uint8)
    pixels = np.rint((anchors * SIDE - 0.5) * 16).astype(int)
    for a, b in WFLW_98.edges:
        cv2.line(image, pixels[a].tolist(), pixels[b].tolist(), (_INK,) * 3, 2, cv2.LINE_AA, 4)
    return image
