"""Occluders of a face: glasses, face masks, objects (hands: `hands.py`).

Every function takes an image (H, W, 3) float32 RGB 0..255 in display space and returns a new one and a bool mask (H, W)
of the pixels where the face is hidden. Landmarks are the 98 of `edge_runtime.landmarks.WFLW_98`, in pixels (x right, y
down, centers at integers).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import cv2
import numpy as np

Occluded = tuple[np.ndarray, np.ndarray]
"""The painted image (H, W, 3) float32 and the (H, W) bool mask of hidden pixels."""

_SUBPIXEL_BITS = 4
_COVERED_FROM = 0.5


def polygon_alpha(shape: tuple[int, int], polygon: np.ndarray) -> np.ndarray:
    """Return the anti-aliased coverage (H, W) float32, in [0, 1], of a filled polygon (N, 2) in pixels."""
    alpha = np.zeros(shape, np.uint8)
    cv2.fillPoly(alpha, [_fixed_point(shape, polygon)], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    return alpha.astype(np.float32) * np.float32(1 / 255)


def stroke_alpha(shape: tuple[int, int], points: np.ndarray, width: float) -> np.ndarray:
    """Return the coverage (H, W) of an open line through (N, 2) points; a `width` below 1 pixel is fainter."""
    alpha = np.zeros(shape, np.uint8)
    thickness = max(1, round(width))
    cv2.polylines(alpha, [_fixed_point(shape, points)], False, 255, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
    return alpha.astype(np.float32) * np.float32(min(1.0, width / thickness) / 255)


def _fixed_point(shape: tuple[int, int], points: np.ndarray) -> np.ndarray:
    """Convert (N, 2) pixels to OpenCV's fixed-point coordinates, limited to near the image."""
    limited = np.clip(np.nan_to_num(points), -4 * max(shape), 5 * max(shape))
    return np.round(limited * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def blend(image: np.ndarray, color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Paint a color (3,) or image (H, W, 3) over an image with coverage alpha (H, W)."""
    paint, cover = np.asarray(color, np.float32), np.asarray(alpha, np.float32)[..., None]
    return (image + (paint - image) * cover).astype(np.float32, copy=False)


def _dented_superellipse(rng: np.random.Generator, count: int = 48) -> np.ndarray:
    """Return a lens outline (count, 2) of half-size 1: round to rectangular, drooping or winged."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    power = 2 / rng.uniform(2.0, 5.0)
    x = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power
    y = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power
    # Wings lift the outer upper corner (cat eye), a droop lowers the outer lower one (aviator).
    wing, droop = rng.uniform(0, 0.3) * (rng.random() < 0.3), rng.uniform(0, 0.35) * (rng.random() < 0.3)
    outer = np.clip(x, 0, 1) ** 2
    return np.stack([x, y - wing * outer * (y < 0) + droop * np.clip(x + 0.6, 0, 1) * (y > 0)], axis=1)


def _view_direction(project: Callable[[np.ndarray], np.ndarray], at: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the viewing direction (3,) in the head frame, away from the camera, and the pixels per unit there."""
    base, *moved = project(np.concatenate([at[None], at + 0.5 * np.eye(3)]))
    jacobian = (np.stack(moved, axis=1) - base[:, None]) / 0.5  # (2 pixels, 3 head axes)
    direction = np.cross(jacobian[0], jacobian[1])
    length = float(np.linalg.norm(direction))
    return direction / max(length, 1e-9), length**0.5


def _midline_silhouette(bridge: np.ndarray) -> np.ndarray:
    """Return a closed outline (N, 3) of an average face's midline, from the bridge: it hides the far lens."""
    # Offsets (down, toward the camera) in centimeters: hairline, brow, bridge, nose tip, lip, chin.
    profile = np.array([[-7.0, -1.0], [-1.5, 0.5], [0.0, 0.0], [3.8, 2.4], [5.0, 1.2], [9.5, 0.6]])
    front = np.stack([np.zeros(6), bridge[1] + profile[:, 0], bridge[2] - profile[:, 1]], axis=1)
    return np.concatenate([front, front[::-1] + np.array([0.0, 0.0, 9.0])])


def draw_glasses(
    image: np.ndarray,
    project: Callable[[np.ndarray], np.ndarray],
    eye_centers: np.ndarray,
    bridge: np.ndarray,
    temples: np.ndarray,
    rng: np.random.Generator,
    dark_prob: float = 0.25,
) -> Occluded:
    """Draw glasses or sunglasses, modeled in 3D.

    `project` maps head-frame points (N, 3) in centimeters to pixels (N, 2); `bridge` (3,) is the nose's surface between
    the (2, 3) `eye_centers`, `temples` (2, 3) are above the ears, the image's left first. Only dark lenses, of
    probability `dark_prob`, frames and temple arms hide landmarks.
    """
    shape = image.shape[:2]
    view, scale = _view_direction(project, bridge)
    half_width, half_height = rng.uniform(2.2, 2.9), rng.uniform(1.5, 2.4)
    thickness = rng.uniform(0.06, 0.16) if rng.random() < 0.5 else rng.uniform(0.16, 0.45)
    outline = _dented_superellipse(rng)
    lowered, tilt, wrap = rng.uniform(-0.1, 0.7), rng.uniform(0.05, 0.18), rng.uniform(0.01, 0.04)
    front = min(bridge[2] - 0.25, float(eye_centers[:, 2].min()) - 1.9)  # lashes need 0.7 cm before the cornea

    def place(flat: np.ndarray) -> np.ndarray:
        # The frame bends around the face and its lower rim leans toward the cheeks.
        depth = front + wrap * (flat[:, 0] - bridge[0]) ** 2 + tilt * (flat[:, 1] - eye_centers[:, 1].mean())
        return np.column_stack([flat, depth])

    frame = np.zeros(shape, np.float32)
    lenses = np.zeros(shape, np.float32)
    middle = polygon_alpha(shape, project(_midline_silhouette(bridge)))
    hinges = []
    for side, eye in zip((-1.0, 1.0), eye_centers, strict=True):
        center = np.array([eye[0], eye[1] + lowered])
        inner_gap = max(0.5, side * (center[0] - bridge[0]) - half_width)
        center[0] = bridge[0] + side * (inner_gap + half_width)
        facing = [side, 1.0]
        rim = place(center + outline * (np.array([half_width, half_height]) + thickness) * facing)
        glass = place(center + outline * [half_width, half_height] * facing)
        # On the side turned away the face itself hides part of the glasses.
        hidden = middle if side * view[0] > 0.05 else 0.0
        lens = polygon_alpha(shape, project(glass)) * (1 - hidden)
        # Anti-aliasing widens both outlines; a line between them keeps wires thinner than a pixel from breaking up.
        wire = project(0.5 * (rim + glass))
        wire = stroke_alpha(shape, np.concatenate([wire, wire[:1]]), max(0.6, thickness * scale))
        frame = np.maximum(frame, np.maximum(polygon_alpha(shape, project(rim)) - lens, wire) * (1 - hidden))
        lenses = np.maximum(lenses, lens)
        hinges.append(place(center[None] + [[side * (half_width + thickness), -0.45 * half_height]])[0])
        nose_end = center + np.array([-side * (half_width + thickness / 2), -0.25 * half_height])
        joint = place(np.stack([nose_end, [bridge[0], nose_end[1] - 0.2]]))
        nose_piece = stroke_alpha(shape, project(joint), max(0.6, 1.6 * thickness * scale))
        frame = np.maximum(frame, nose_piece * (1 - (middle if side * view[0] > 0.3 else 0.0)))
    for side, hinge, temple in zip((-1.0, 1.0), hinges, temples, strict=True):
        if side * view[0] < -0.08:  # only the side that is turned toward the camera shows its arm
            arm = project(np.stack([hinge, 0.5 * (hinge + temple) + [0.25 * side, 0, 0], temple]))
            frame = np.maximum(frame, stroke_alpha(shape, arm, max(0.6, 1.3 * thickness * scale)))
    return _paint_glasses(image, frame, lenses, scale, rng, dark_prob)


def _paint_glasses(
    image: np.ndarray, frame: np.ndarray, lenses: np.ndarray, scale: float, rng: np.random.Generator, dark_prob: float
) -> Occluded:
    shape = image.shape[:2]
    rows, columns = (np.linspace(0, 1, n, dtype=np.float32) for n in shape)
    # A frame's shadow falls a few millimeters below it.
    offset = np.array([[1, 0, rng.uniform(-0.3, 0.3) * scale], [0, 1, rng.uniform(0.1, 0.6) * scale]], np.float32)
    shadow = cv2.GaussianBlur(cv2.warpAffine(frame, offset, shape[::-1]), (0, 0), max(0.3, 0.12 * scale))
    out = image * (1 - rng.uniform(0.05, 0.35) * shadow)[..., None]

    kind = rng.choice(["clear", "tinted", "dark"], p=[0.8 * (1 - dark_prob), 0.2 * (1 - dark_prob), dark_prob])
    low, high = {"clear": (0.0, 0.08), "tinted": (0.15, 0.5), "dark": (0.8, 0.98)}[kind]
    opacity = rng.uniform(low, high)
    lens_color = rng.uniform(150, 255, 3) if kind == "clear" else rng.uniform(5, 60, 3) * rng.uniform(0.6, 1.2, 3)
    used = rows[np.nonzero(lenses.max(axis=1) > 0)[0]] if lenses.any() else rows
    ramp = (rows - used[0]) / max(float(used[-1] - used[0]), 1e-6)
    fade = rng.uniform(0, 0.5) if kind != "clear" and rng.random() < 0.4 else 0.0
    glass = lenses * (opacity * (1 - fade * np.clip(ramp, 0, 1)))[:, None]
    out = blend(out, lens_color, glass)
    if rng.random() < (0.7 if kind == "dark" else 0.35):
        # A bright window or sky mirrored in both lenses: one soft band across the image, seen only in the glass.
        angle = rng.uniform(-1.0, 1.0)
        across = columns[None] * np.cos(angle) + rows[:, None] * np.sin(angle)
        center = float(across[lenses > 0.5].mean()) if (lenses > 0.5).any() else 0.5
        width = rng.uniform(0.02, 0.12)
        band = np.exp(-(((across - center - rng.normal(0, 0.08)) / width) ** 2), dtype=np.float32)
        out = blend(out, rng.uniform(150, 255) * rng.uniform(0.85, 1.0, 3), lenses * band * rng.uniform(0.1, 0.45))

    color = rng.uniform(5, 50) * rng.uniform(0.7, 1.3, 3) if rng.random() < 0.65 else rng.uniform(20, 220, 3)
    lit = np.clip(1.0 + rng.uniform(0, 0.8) * (0.5 - ramp), 0.4, 1.8)[:, None, None]
    out = blend(out, np.clip(color * lit, 0, 255), frame)
    covered = (frame > _COVERED_FROM) | (glass > _COVERED_FROM)
    return np.clip(out, 0, 255).astype(np.float32, copy=False), covered


def _smooth_curve(points: np.ndarray, count: int) -> np.ndarray:
    """Return a Catmull-Rom curve (count, 2) through points (N, 2)."""
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    position = np.linspace(0, len(points) - 1, count)
    index = np.minimum(position.astype(int), len(points) - 2)
    t = (position - index)[:, None]
    a, b, c, d = (padded[index + k] for k in range(4))
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)


def draw_face_mask(image: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator) -> Occluded:
    """Draw a surgical or cloth mask from the jaw (points 4 to 28) to the nose bridge (52, 53), with ear loops.

    Its brightness follows the face beneath.
    """
    shape = image.shape[:2]
    jaw_start = int(rng.integers(3, 6))
    jaw = landmarks[jaw_start : 33 - jaw_start].astype(np.float64)
    size = max(float(np.linalg.norm(landmarks[16] - landmarks[51])), 1.0)
    swell = 1 + rng.uniform(0.02, 0.08) * np.sin(np.linspace(0, np.pi, len(jaw)))[:, None]
    lower = landmarks[57] + (jaw - landmarks[57]) * swell
    # From the bridge (some wear it below the nose) to both ends; the cloth is stretched over what protrudes.
    under_nose = rng.random() < 0.08
    nose = landmarks[57] if under_nose else landmarks[52] + rng.uniform() * (landmarks[53] - landmarks[52])
    stretched_over = landmarks[[76, 79, 82, 85]] if under_nose else landmarks[[54, 55, 59, 76, 79, 82, 85]]
    points = np.concatenate([lower, nose[None], stretched_over])
    outline = cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)
    alpha = polygon_alpha(shape, outline)
    inside = alpha > _COVERED_FROM

    palette = np.array([[150, 195, 215], [235, 238, 240], [28, 28, 32], [120, 175, 190], [225, 205, 195]])
    color = palette[rng.integers(len(palette))] if rng.random() < 0.75 else rng.uniform(20, 230) + rng.normal(0, 40, 3)
    color = np.clip(color * rng.uniform(0.85, 1.1, 3), 8, 250).astype(np.float32)
    light = cv2.blur(image.mean(axis=2), (2 * int(0.12 * size) + 1,) * 2)
    typical = float(light[inside].mean()) if inside.any() else 128.0
    light = np.clip(0.55 + 0.45 * light / max(typical, 1.0), 0.5, 1.4) * np.clip(typical / 150, 0.35, 1.1)
    # Folds: each follows the sides at the same fraction of the way from the nose to the chin.
    relief = np.ones(shape, np.float32)
    if rng.random() < 0.7:
        bottom = _smooth_curve(lower, 32)
        top = _smooth_curve(np.stack([lower[0], nose, lower[-1]]), 32)
        for fraction in np.linspace(0.3, 0.75, int(rng.integers(2, 5))):
            fold = stroke_alpha(shape, top + fraction * (bottom - top), max(1.0, 0.02 * size))
            relief -= rng.uniform(0.1, 0.3) * fold
            relief += rng.uniform(0.0, 0.12) * np.roll(fold, -max(1, round(0.03 * size)), axis=0)
    edge = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 3) / (0.12 * size)
    relief = cv2.GaussianBlur(relief, (0, 0), max(0.4, 0.008 * size)) * (0.75 + 0.25 * np.minimum(edge, 1))
    cloth = color * (light * relief)[..., None]

    out = image
    loops = np.zeros(shape, np.float32)
    middle = landmarks[54]
    for ear, ends in ((0, (lower[0], lower[4])), (32, (lower[-1], lower[-5]))):
        # The far ear cannot be seen once the contour there has closed in on the nose.
        if np.linalg.norm(landmarks[ear] - middle) > 0.6 * size:
            outwards = landmarks[ear] + 0.05 * (landmarks[ear] - middle)
            for end in ends:
                loops = np.maximum(loops, stroke_alpha(shape, np.stack([end, outwards]), max(0.8, 0.02 * size)))
    out = blend(out, np.clip(color * 0.5 + 110, 0, 255) * np.clip(typical / 150, 0.35, 1.1), loops * 0.9)
    out = blend(out, np.clip(cloth, 0, 255), alpha)
    return out, inside | (loops > _COVERED_FROM)


def paint_limb(
    image: np.ndarray,
    joints: np.ndarray,
    radii: Sequence[float],
    color: np.ndarray,
    light: np.ndarray,
    covered: np.ndarray,
) -> None:
    """Paint a bent, round-ended, shaded limb in place, and mark it in covered (H, W).

    joints (N, 2) in pixels with a radius each; light (3,): unit direction toward the light, z toward the viewer.
    """
    reach = max(radii) + 2
    height, width = covered.shape
    left, top = np.maximum(np.floor(joints.min(axis=0) - reach), 0).astype(int)
    right, bottom = np.minimum(np.ceil(joints.max(axis=0) + reach) + 1, [width, height]).astype(int)
    if left >= right or top >= bottom:
        return
    columns = np.arange(left, right, dtype=np.float32)[None]
    rows = np.arange(top, bottom, dtype=np.float32)[:, None]
    ratio = np.full((bottom - top, right - left), np.inf, np.float32)  # distance from the bone, in radii
    out_x, out_y, radius = (np.zeros_like(ratio) for _ in range(3))
    for (start, end), (first, last) in zip(pairwise(joints.astype(np.float32)), pairwise(radii), strict=True):
        axis = end - start
        x, y = columns - start[0], rows - start[1]
        along = np.clip((x * axis[0] + y * axis[1]) / max(float(axis @ axis), 1e-6), 0, 1)
        away_x, away_y = x - along * axis[0], y - along * axis[1]
        thickness = first + along * np.float32(last - first)
        nearer = np.hypot(away_x, away_y) / thickness
        closer = nearer < ratio
        for target, value in ((ratio, nearer), (out_x, away_x), (out_y, away_y), (radius, thickness)):
            np.copyto(target, value, where=closer)
    alpha = np.clip((1 - ratio) * radius + 0.5, 0, 1)
    bulge = np.sqrt(np.clip(1 - ratio * ratio, 0, 1))
    lambert = (out_x * np.float32(light[0]) + out_y * np.float32(light[1])) / radius + bulge * np.float32(light[2])
    # Light bleeds through skin, so its shadow side is neither black nor gray.
    shade = 0.5 + 0.55 * np.clip((lambert + 0.3) / 1.3, 0, 1)
    tint = np.stack([shade**0.85, shade, shade**1.15], axis=-1) * (0.75 + 0.25 * bulge)[..., None]
    window = image[top:bottom, left:right]
    window += (np.clip(np.asarray(color, np.float32) * tint, 0, 255) - window) * alpha[..., None]
    covered[top:bottom, left:right] |= alpha > _COVERED_FROM


def face_scale(landmarks: np.ndarray) -> float:
    """Return the approximate pixels per centimeter of a face from its landmarks (98, 2)."""
    width, height = np.ptp(landmarks, axis=0)
    return max(float(width) / 14.0, float(height) / 13.0, 0.1)


def draw_object(image: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator, texture: np.ndarray) -> Occluded:
    """Draw a polygon, rod or card over part of the face, with a texture (h, w, 3) RGB 0..255 or plain."""
    shape = image.shape[:2]
    scale = face_scale(landmarks)
    center = landmarks[rng.integers(len(landmarks))] + rng.normal(0, 1.5, 2) * scale
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    kind = rng.choice(["polygon", "rod", "card"])
    if kind == "polygon":
        around = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(5, 12))))
        radius = rng.uniform(1.2, 4.5) * rng.uniform(0.6, 1.3, (len(around), 1))
        corners = np.stack([np.cos(around), np.sin(around)], axis=1) * radius
        if rng.random() < 0.5:
            corners = _smooth_curve(np.concatenate([corners, corners[:1]]), 48)
    else:
        low, high = ((6.0, 0.3), (14.0, 1.0)) if kind == "rod" else ((2.5, 1.5), (5.0, 4.0))
        half = rng.uniform(low, high)
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
        if kind == "rod":  # it is held by its end, which lies in the face
            corners[:, 0] += half[0]
    alpha = polygon_alpha(shape, center + (corners @ turn) * scale)
    filling = cv2.resize(np.asarray(texture, np.float32), shape[::-1], interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        filling = np.broadcast_to(filling.mean(axis=(0, 1)), filling.shape)
    gradient = np.linspace(rng.uniform(0.7, 1.2), rng.uniform(0.7, 1.2), shape[1], dtype=np.float32)[None, :, None]
    # Nothing in front of a face is as sharply cut out as a polygon.
    alpha = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.3, 1.2))
    shadow = cv2.GaussianBlur(np.roll(alpha, round(0.3 * scale), axis=0), (0, 0), max(0.5, 0.35 * scale))
    out = blend(image * (1 - 0.35 * shadow)[..., None], np.clip(filling * gradient, 0, 255), alpha)
    return out, alpha > _COVERED_FROM
