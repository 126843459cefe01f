"""Overlay of results: landmarks colored by uncertainty, points, pose axes, gaze, ROI, text, and expressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from edge_runtime.expressions import EXPRESSIONS
from edge_runtime.face import Face
from edge_runtime.gaze import gaze_directions

LOW_UNCERTAINTY, HIGH_UNCERTAINTY = 0.005, 0.05
"""Standard deviations drawn green and red, as fractions of the ROI's size."""
_AXIS_COLORS = ((60, 60, 255), (60, 220, 60), (255, 120, 40))
_ROI_COLOR = (200, 200, 200)
_EDGE_COLOR = (255, 255, 255)
_SQUARE = ((0, 1), (1, 2), (2, 3), (3, 0))
_TEMPLATE_COLOR = (255, 0, 255)
"""Magenta, which no landmark has."""
_GAZE_COLOR = (255, 255, 0)
_GAZE_LENGTH = 0.4
"""Length of the ray of an eye that looks along the image, ROI sizes."""
_BAR_COLOR, _BAR_BACK_COLOR = (60, 220, 60), (60, 60, 60)
_BAR_TEXT_HEIGHT, _MIN_BAR_TEXT = 32.0, 0.29
"""Height of a line of text at scale 1, pixels, and the smallest scale that is readable."""
_FRACTION_BITS = 4
"""Fraction bits of drawn coordinates: subpixel positions keep landmarks of small faces from jumping."""


def draw_faces(image: np.ndarray, faces: Sequence[Face], mirror: bool = False, expressions: bool = False) -> np.ndarray:
    """Draw faces on a copy of an (H, W, 3) uint8 BGR image, with the edges of their scheme and template.

    `mirror` flips the result horizontally; text stays readable. Pose axes: red to the image's right, green down, blue
    out of the face; cyan: gaze. `expressions` adds the first face's coefficients as bars, in a strip at the right.
    """
    canvas = image.copy()
    for face in faces:
        width = max(1, round(face.roi.size / 250))
        _lines(canvas, face.roi.corners(), _SQUARE, _ROI_COLOR, 1)
        if face.scheme is not None:
            _lines(canvas, face.landmarks, face.scheme.edges, _EDGE_COLOR, 1)
        _draw_axes(canvas, face, width)
        _draw_gaze(canvas, face, width)
        colors = uncertainty_colors(face.uncertainty, face.roi.size).tolist()
        _dots(canvas, face.landmarks, max(0.8, face.roi.size / 180), colors)
        if face.points is not None:
            _draw_points(canvas, face.points, () if face.template is None else face.template.edges, face.roi.size)
    if mirror:
        canvas = np.asarray(cv2.flip(canvas, 1))
    for face in faces:
        _draw_text(canvas, face, mirror)
    if expressions:
        values = faces[0].expressions if faces else None
        canvas = np.hstack([canvas, bars(values or dict.fromkeys(EXPRESSIONS, 0.0), canvas.shape[0])])
    return canvas


def bars(values: Mapping[str, float], height: int) -> np.ndarray:
    """Draw numbers in [0, 1] as bars with their names: (height, W, 3) uint8 BGR; below 500 pixels without the names."""
    step = height / (len(values) + 1)
    scale = step / _BAR_TEXT_HEIGHT
    sizes = [cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0] for name in values]
    text, length = max(sizes) + 6 if scale >= _MIN_BAR_TEXT else 0, max(8, round(8 * step))
    strip = np.zeros((height, length + text + 8, 3), np.uint8)
    for row, (name, value) in enumerate(values.items()):
        top, bottom = round((row + 0.65) * step), round((row + 1.35) * step) - 1
        cv2.rectangle(strip, (4, top), (4 + length, bottom), _BAR_BACK_COLOR, cv2.FILLED)
        cv2.rectangle(strip, (4, top), (4 + round(length * value), bottom), _BAR_COLOR, cv2.FILLED)
        if text:
            at = 8 + length, round((row + 1.25) * step)
            cv2.putText(strip, name, at, cv2.FONT_HERSHEY_SIMPLEX, scale, _EDGE_COLOR, 1, cv2.LINE_AA)
    return strip


def draw_lines(canvas: np.ndarray, lines: Sequence[str]) -> None:
    """Draw lines of text in the top left corner, as large as fits up to a readable size."""
    height, width = canvas.shape[:2]
    widest = max(cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 1)[0][0] for line in lines)
    scale = min(0.7, 0.9 * width / widest, height / (40 * (len(lines) + 1)))
    for i, line in enumerate(lines):
        _outlined(canvas, line, (round(12 * scale), round(40 * scale * (i + 1))), scale)


def uncertainty_colors(uncertainty: np.ndarray, size: float) -> np.ndarray:
    """Convert (N,) standard deviations in pixels to (N, 3) BGR colors, green to red, for an ROI of `size` pixels."""
    level = np.clip((uncertainty / size - LOW_UNCERTAINTY) / (HIGH_UNCERTAINTY - LOW_UNCERTAINTY), 0.0, 1.0)
    colors = np.stack([np.zeros_like(level), 2 * (1 - level), 2 * level], axis=1)
    return np.asarray(np.rint(255 * np.clip(colors, 0, 1)), np.uint8)


def _draw_points(canvas: np.ndarray, points: np.ndarray, edges: Sequence[tuple[int, int]], size: float) -> None:
    """Draw a template's points on a face whose ROI has `size` pixels."""
    _lines(canvas, points, edges, _TEMPLATE_COLOR, max(1, round(size / 250)))
    _dots(canvas, points, max(1.2, size / 120), [_TEMPLATE_COLOR] * len(points))


def _draw_axes(canvas: np.ndarray, face: Face, width: int) -> None:
    """Draw the head's axes at the mean of the landmarks, in parallel projection."""
    origin = face.landmarks.mean(axis=0)
    # Image and camera have x right and y down. The head's z axis points into the head.
    axes = face.pose.matrix * (1.0, 1.0, -1.0)
    for axis, color in zip(axes.T, _AXIS_COLORS, strict=True):
        ends = np.stack([origin, origin + axis[:2] * face.roi.size * 0.3])
        _lines(canvas, ends, ((0, 1),), color, width + 1)


def _draw_gaze(canvas: np.ndarray, face: Face, width: int) -> None:
    """Draw a ray from each eye, in parallel projection; an eye that looks into the camera has none."""
    if face.gaze is None or face.scheme is None:
        return
    for eye, direction in zip(("right_eye", "left_eye"), gaze_directions(face.gaze), strict=True):  # the image's sides
        if eye in face.scheme.groups:
            start = face.landmarks[list(face.scheme.groups[eye])].mean(axis=0)
            ends = np.stack([start, start + direction[:2] * face.roi.size * _GAZE_LENGTH])
            _lines(canvas, ends, ((0, 1),), _GAZE_COLOR, width + 1)


def _draw_text(canvas: np.ndarray, face: Face, mirrored: bool) -> None:
    """Draw id, state, confidence, and angles above the ROI, moved into the frame if necessary."""
    pitch, yaw, roll = np.degrees(face.pose.angles)
    lines = (f"#{face.id} {face.state} {face.confidence:.2f}", f"p{pitch:+.0f} y{yaw:+.0f} r{roll:+.0f}")
    height, width = canvas.shape[:2]
    # Text below 0.4 is not readable.
    scale = float(np.clip(face.roi.size / 400, 0.4, 1.2))
    sizes = [cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, scale, _thickness(scale))[0] for line in lines]
    step = round(max(h for _, h in sizes) * 1.5)
    corners = face.roi.corners()
    left = width - 1 - corners[:, 0].max() if mirrored else corners[:, 0].min()
    x = int(np.clip(left, 2, max(2, width - max(w for w, _ in sizes) - 2)))
    y = int(np.clip(corners[:, 1].min() - step * (len(lines) - 1) - 4, step, max(step, height - step * len(lines))))
    for i, line in enumerate(lines):
        _outlined(canvas, line, (x, y + i * step), scale)


def _outlined(canvas: np.ndarray, text: str, position: tuple[int, int], scale: float) -> None:
    """Draw white text with a black outline."""
    for color, extra in (((0, 0, 0), 2), ((255, 255, 255), 0)):
        width = _thickness(scale) + extra
        cv2.putText(canvas, text, position, cv2.FONT_HERSHEY_SIMPLEX, scale, color, width, cv2.LINE_AA)


def _thickness(scale: float) -> int:
    return max(1, round(scale * 1.6))


def _lines(
    canvas: np.ndarray, points: np.ndarray, edges: Sequence[tuple[int, int]], color: tuple[int, int, int], width: int
) -> None:
    """Draw the edges between (N, 2) points."""
    if edges:
        ends = _fixed(points)[np.array(edges)]
        cv2.polylines(canvas, list(ends), False, color, width, cv2.LINE_AA, _FRACTION_BITS)


def _dots(canvas: np.ndarray, points: np.ndarray, radius: float, colors: Sequence[Sequence[int]]) -> None:
    fixed = round(radius * 2**_FRACTION_BITS)
    for point, color in zip(_fixed(points).tolist(), colors, strict=True):
        cv2.circle(canvas, point, fixed, color, cv2.FILLED, cv2.LINE_AA, _FRACTION_BITS)


def _fixed(points: np.ndarray) -> np.ndarray:
    """Convert (N, 2) pixels to OpenCV's int32 fixed point, clamped to the range that it can clip."""
    return np.asarray(np.rint(np.clip(points, -32000, 32000) * 2**_FRACTION_BITS), np.int32)
