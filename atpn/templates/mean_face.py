"""The mean face as a picture, to draw templates on."""

from __future__ import annotations

import logging
from functools import cache

import cv2
import numpy as np

from atpn.synthetic.appearance.lighting import Light
from atpn.synthetic.appearance.look import Painter
from atpn.synthetic.drawing.gl import GraphicsError, HeadCanvas, Shading
from atpn.synthetic.heads.procedural import procedural_head
from atpn.tufa.spline import carry
from edge_runtime.geometry import ROI, Intrinsics
from edge_runtime.landmarks import WFLW_98

log = logging.getLogger(__name__)

SIDE = 768
"""Pixels of the picture."""
PAPER = 235
"""Grey level where there is no head."""
_INK = 150
_CANVAS = 1.4
"""Sides of the plane that are rendered: warping asks for what lies a little outside."""
_DISTANCE = 900.0
"""Centimetres to the camera: so far that perspective moves nothing by a pixel, as on the plane."""
_LOOK = 11
"""Seed of a light skin without a beard."""
_EXPRESSION = {"jawOpen": 0.12}
"""Mean faces are the mean of open and closed mouths, too."""
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
    """(SIDE, SIDE, 3) uint8 grey picture of the plane; pixel = plane * SIDE - 0.5.

    The procedural head, warped so that its landmarks lie at the (98, 2) anchors. Where there is no OpenGL, the anchors'
    outlines.
    """
    try:
        picture, landmarks = _portrait()
    except GraphicsError as error:
        log.warning("the mean face is drawn as outlines only: %s", error)
        return _outlines(anchors)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    plane = (np.stack([columns, rows], axis=-1).reshape(-1, 2) + 0.5) / SIDE
    source = (carry(plane, anchors, landmarks) - 0.5) * SIDE + len(picture) / 2 - 0.5
    source = source.astype(np.float32).reshape(SIDE, SIDE, 2)
    return cv2.remap(picture, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


@cache
def _portrait() -> tuple[np.ndarray, np.ndarray]:
    """The procedural head from the front, and its (98, 2) landmarks on its plane, whose middle is the picture's and
    whose side is SIDE pixels; GraphicsError without OpenGL."""
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
    ahead = np.array([0.0, 0.0, -1.0])
    rgba, _ = canvas.draw(surface, head.normals(surface), look, None, head_to_camera, camera, ahead, light, _SHADING)
    alpha = rgba[..., 3] / 255.0
    grey = cv2.cvtColor(np.ascontiguousarray(rgba[..., :3]), cv2.COLOR_RGB2GRAY)
    picture = np.rint(grey * alpha + PAPER * (1 - alpha)).astype(np.uint8)
    return cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR), roi.to_crop(points[:, :2])


def _outlines(anchors: np.ndarray) -> np.ndarray:
    picture = np.full((SIDE, SIDE, 3), PAPER, np.uint8)
    pixels = np.rint((anchors * SIDE - 0.5) * 16).astype(int)
    for a, b in WFLW_98.edges:
        cv2.line(picture, pixels[a].tolist(), pixels[b].tolist(), (_INK,) * 3, 2, cv2.LINE_AA, 4)
    return picture
