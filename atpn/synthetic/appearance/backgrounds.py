"""Backgrounds behind a face, and images without a face."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from atpn.synthetic.appearance.hands import paint_hand
from atpn.synthetic.appearance.occluders import blend, paint_limb, polygon_alpha

_SKIN_LIGHT = np.array([238.0, 200.0, 178.0])
_SKIN_DARK = np.array([84.0, 54.0, 42.0])


def smooth_field(rng: np.random.Generator, size: int, cells: int, channels: int = 1) -> np.ndarray:
    """Return smooth noise (size, size, channels) float32 of unit variance with `cells` knots per side."""
    knots = rng.standard_normal((cells, cells, channels), dtype=np.float32)
    return cv2.resize(knots, (size, size), interpolation=cv2.INTER_CUBIC).reshape(size, size, channels)


def skin_tone(rng: np.random.Generator) -> np.ndarray:
    """Return a random human skin color (3,) float64, RGB 0..255 in display space."""
    mix = rng.random()
    return np.clip((_SKIN_LIGHT * mix + _SKIN_DARK * (1 - mix)) * rng.normal(1, 0.05, 3), 20, 250)


def _color(rng: np.random.Generator, saturation: float) -> np.ndarray:
    """Return a random color (3,) float32 whose channels differ by about `saturation` gray levels."""
    return np.clip(rng.uniform(0, 255) + rng.normal(0, saturation, 3), 0, 255).astype(np.float32)


def _flat(rng: np.random.Generator, size: int) -> np.ndarray:
    return np.broadcast_to(_color(rng, 25), (size, size, 3)).copy()  # walls are rarely saturated


def _color_field(rng: np.random.Generator, size: int) -> np.ndarray:
    cells = int(rng.integers(2, 12))
    field = _flat(rng, size) + smooth_field(rng, size, cells) * np.float32(rng.uniform(5, 50))
    return field + smooth_field(rng, size, cells, 3) * np.float32(rng.uniform(0, 30))


def _clutter(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw lines, discs and polygons on a plain or shaded background."""
    canvas = _flat(rng, size) if rng.random() < 0.5 else np.ascontiguousarray(_color_field(rng, size))
    for _ in range(int(rng.integers(2, 16))):
        color = _color(rng, 45).tolist()
        points = rng.integers(-size // 6, size + size // 6, (int(rng.integers(3, 6)), 2)).astype(np.int32)
        draw = rng.random()
        if draw < 0.4:
            thickness = int(rng.integers(1, max(2, size // 7)))
            cv2.line(canvas, points[0].tolist(), points[1].tolist(), color, thickness)
        elif draw < 0.7:
            thickness = -1 if rng.random() < 0.6 else int(rng.integers(1, max(2, size // 24)))
            cv2.circle(canvas, points[0].tolist(), int(rng.integers(size // 40 + 1, size // 3 + 2)), color, thickness)
        else:
            cv2.fillPoly(canvas, [points], color)
    return canvas


def _stripes(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw a straight or bent wave: blinds, fences, knitwear."""
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    angle = rng.uniform(0, np.pi)
    phase = (x * np.cos(angle) + y * np.sin(angle)) * rng.uniform(4, 40) * 2 * np.pi
    wave = np.sin(phase.astype(np.float32) + rng.uniform(0, 2) * smooth_field(rng, size, 5)[..., 0])
    wave = 0.5 + 0.5 * np.tanh(wave * np.float32(rng.uniform(0.5, 8)))
    first, second = _color(rng, 40), _color(rng, 40)
    return (first + (second - first) * wave[..., None]).astype(np.float32)


def _cloth(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw a plaid or plain weave with folds."""
    period = int(rng.integers(max(3, size // 30), max(5, size // 4)))
    bands = [np.repeat(rng.random(size), rng.integers(1, period, size))[:size] for _ in range(2)]
    if rng.random() < 0.7:
        bands = [np.resize(band[: 2 * period], size) for band in bands]
    weave = (bands[0][:, None] + bands[1][None]).astype(np.float32)[..., None] / 2
    first, second = _color(rng, 40), _color(rng, 40)
    folds = 1 + np.float32(rng.uniform(0.05, 0.3)) * smooth_field(rng, size, int(rng.integers(3, 9)))
    thread = 1 + 0.1 * rng.standard_normal((size, size, 1), dtype=np.float32)
    return (first + (second - first) * weave).astype(np.float32) * folds * thread


def _skin_patch(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw bare skin close up: an arm, a neck, a forehead."""
    patch = skin_tone(rng).astype(np.float32) * (1 + 0.12 * smooth_field(rng, size, int(rng.integers(2, 6))))
    patch = patch + smooth_field(rng, size, max(4, size // 6)) * np.float32(rng.uniform(0, 6))
    shadow = (patch.mean(axis=(0, 1)) * 0.7).tolist()
    for _ in range(int(rng.integers(0, 4))):  # creases
        points = rng.uniform(0, size, (2, 2)).round().astype(int)
        cv2.line(patch, points[0].tolist(), points[1].tolist(), shadow, 1, cv2.LINE_AA)
    return cv2.GaussianBlur(patch, (0, 0), 0.6)


def _ellipse_alpha(size: int, center: np.ndarray, radii: np.ndarray, turn: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    points = np.stack([np.cos(angle) * radii[0], np.sin(angle) * radii[1]], axis=1)
    spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return polygon_alpha((size, size), center + points @ spin)


def _blob_with_dots(rng: np.random.Generator, size: int, ground: np.ndarray) -> np.ndarray:
    """Draw a skin-colored oval with dark dots in a row, a cluster or alone, but not arranged as a face."""
    center = rng.uniform(0.35, 0.65, 2) * size
    radii = rng.uniform(0.22, 0.5, 2) * size
    turn = rng.uniform(-0.6, 0.6)
    shade = 1 + 0.15 * smooth_field(rng, size, 3)
    out = blend(ground, skin_tone(rng) * shade, _ellipse_alpha(size, center, radii, turn))
    layout = rng.choice(["row", "heap", "single", "edge"])
    if layout == "row":
        count = int(rng.integers(3, 7))
        dots = np.stack([np.linspace(-0.6, 0.6, count), np.full(count, rng.uniform(-0.5, 0.5))], axis=1)
        dots = dots if rng.random() < 0.5 else dots[:, ::-1]
    elif layout == "heap":
        dots = rng.uniform(-0.5, 0.5, 2) + rng.normal(0, 0.07, (int(rng.integers(3, 9)), 2))
    elif layout == "single":
        dots = rng.uniform(-0.5, 0.5, (1, 2))
    else:
        around = rng.uniform(0, 2 * np.pi, int(rng.integers(5, 10)))
        dots = 0.95 * np.stack([np.cos(around), np.sin(around)], axis=1)
    color = rng.uniform(10, 90) * rng.uniform(0.7, 1.2, 3)
    radius = rng.uniform(0.02, 0.06, 2) * size
    for dot in dots:
        out = blend(out, color, _ellipse_alpha(size, center + dot * radii, radius * rng.uniform(0.7, 1.3), 0.0))
    return out


def _rings(rng: np.random.Generator, size: int, ground: np.ndarray) -> np.ndarray:
    """Draw eye-like discs: buttons, wheels, lamps."""
    out = ground.copy()
    for _ in range(1 if rng.random() < 0.5 else int(rng.integers(4, 9))):
        center, radius = rng.integers(size // 10, size - size // 10, 2).tolist(), rng.uniform(0.03, 0.2) * size
        white, iris = rng.uniform(170, 255, 3), rng.uniform(30, 160, 3)
        for part, color in ((1.0, white), (0.6, iris), (0.28, np.full(3, 10.0))):
            cv2.circle(out, center, round(radius * part), color.tolist(), -1)
    return cv2.GaussianBlur(out, (0, 0), rng.uniform(0.5, 1.5))


def _furry(rng: np.random.Generator, size: int, ground: np.ndarray, color: np.ndarray, lie: float) -> np.ndarray:
    """Draw strokes of one color along the direction `lie` (radians), as large as the background."""
    coat = np.ascontiguousarray(np.broadcast_to(color, ground.shape), np.float32)
    count = 500
    starts = rng.integers(0, size, (count, 2))
    angles = lie + rng.normal(0, 0.35, count)
    reach = np.stack([np.cos(angles), np.sin(angles)], axis=1) * rng.uniform(0.03, 0.16, (count, 1)) * size
    ends = (starts + reach).astype(int)
    shades = np.clip(color * rng.uniform(0.6, 1.4, (count, 1)), 0, 255)
    for start, end, shade in zip(starts.tolist(), ends.tolist(), shades.tolist(), strict=True):
        cv2.line(coat, start, end, shade, 1)
    return coat


def _hair_color(rng: np.random.Generator) -> np.ndarray:
    palette = np.array([[22, 18, 16], [58, 40, 28], [96, 66, 42], [170, 135, 88], [120, 62, 34], [150, 150, 152]])
    return palette[rng.integers(len(palette))] * rng.uniform(0.7, 1.3)


def _animal(rng: np.random.Generator, size: int, ground: np.ndarray) -> np.ndarray:
    """Draw a furry shape, with or without pointed ears, its face hidden."""
    color = _hair_color(rng)
    center, radii = rng.uniform(0.4, 0.6, 2) * size, rng.uniform(0.25, 0.48, 2) * size
    body = _ellipse_alpha(size, center, radii, rng.uniform(0, np.pi))
    if rng.random() < 0.6:
        for side in (-1, 1):
            root = center + np.array([side * 0.5, -0.7]) * radii
            ear = root + np.array([[-0.3, 0.2], [0.3, 0.2], [0.25 * side, -0.7]]) * radii
            body = np.maximum(body, polygon_alpha((size, size), ear))
    body = cv2.GaussianBlur(body, (0, 0), 0.015 * size)
    return blend(ground, _furry(rng, size, ground, color, rng.uniform(0, np.pi)), body)


def _back_of_head(rng: np.random.Generator, size: int, ground: np.ndarray) -> np.ndarray:
    """Draw a person who looks away: hair, neck and shoulders."""
    color, tone = _hair_color(rng), skin_tone(rng)
    center = np.array([0.5, 0.42]) * size + rng.normal(0, 0.05, 2) * size
    radii = np.array([rng.uniform(0.2, 0.32), rng.uniform(0.26, 0.38)]) * size
    out = np.array(ground, np.float32)
    unused = np.zeros((size, size), bool)
    light = np.array([0.4, -0.5, 0.77])
    down, right = np.array([0.0, 1.0]), np.array([1.0, 0.0])
    foot = center + 1.5 * radii[1] * down
    shoulders = foot + 0.3 * size * np.stack([down - right, down + right])
    paint_limb(out, shoulders, (0.28 * size, 0.28 * size), rng.uniform(20, 220, 3), light, unused)
    paint_limb(out, np.stack([center, foot]), (0.6 * radii[0], 0.55 * radii[0]), tone, light, unused)
    for side in (-1, 1):
        ear = center + np.array([side * radii[0], 0.15 * radii[1]])
        paint_limb(out, np.stack([ear, ear + 0.2 * radii[1] * down]), (0.14 * radii[0],) * 2, tone, light, unused)
    skull = cv2.GaussianBlur(_ellipse_alpha(size, center, radii, 0.0), (0, 0), 0.01 * size)
    return blend(out, _furry(rng, size, ground, color, np.pi / 2) * (1 + 0.12 * smooth_field(rng, size, 3)), skull)


def _hand(rng: np.random.Generator, size: int, ground: np.ndarray) -> np.ndarray:
    """Draw a hand before the camera, which trackers often drift onto."""
    tip = rng.uniform(0.2, 0.6, 2) * size
    return paint_hand(ground, tip, rng.uniform(-np.pi, 0), rng.uniform(0.03, 0.09) * size, skin_tone(rng), rng)[0]


def _soften(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur with a Gaussian; wide ones are computed at a lower resolution, so that the cost does not grow."""
    step = max(1, int(sigma / 1.5))
    if step == 1:
        return cv2.GaussianBlur(image, (0, 0), sigma)
    height, width = image.shape[:2]
    small = cv2.resize(image, (max(4, width // step), max(4, height // step)), interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma / step), (width, height), interpolation=cv2.INTER_CUBIC)


def exposed(panorama: np.ndarray) -> np.ndarray:
    """Return radiance in units of the panorama's median; a sun beyond the file's range becomes a bright lamp."""
    radiance = np.nan_to_num(panorama.astype(np.float32), posinf=np.float32(1e9))
    return np.clip(radiance / max(float(np.median(radiance.mean(axis=2))), 1e-4), 0, 1e3)


class Backgrounds:
    """Draws backgrounds and faceless images from panoramas and textures; without any, procedurally."""

    def __init__(self, panoramas: Sequence[np.ndarray], textures: Sequence[np.ndarray]) -> None:
        """Prepare the images.

        panoramas are equirectangular (H, W, 3) float RGB linear radiance; textures are (H, W, 3) uint8 RGB skins and
        cloth. Either may be empty. Panoramas are scaled to the same median brightness.
        """
        for name, images in (("panorama", panoramas), ("texture", textures)):
            for index, image in enumerate(images):
                if image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < 16:
                    raise ValueError(
                        f"{name} {index} must be RGB (H, W, 3) of at least 16 pixels a side, got {image.shape}"
                    )
        self._panoramas = [exposed(panorama) for panorama in panoramas]
        self._textures = [np.ascontiguousarray(texture, np.uint8) for texture in textures]

    def sample(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Return a background (size, size, 3) float32 RGB 0..255: mostly a piece of a panorama, sometimes blurred."""
        draw = rng.random()
        if self._panoramas and draw < 0.72:
            image = self._panorama_crop(rng, size)
        elif self._textures and draw < 0.78:
            image = self._texture_crop(rng, size)
        else:
            kinds = (_color_field, _clutter, _flat, _cloth, _stripes)
            image = kinds[rng.choice(len(kinds), p=[0.35, 0.3, 0.15, 0.12, 0.08])](rng, size)
        if rng.random() < 0.45:  # portraits are taken with the background out of focus
            image = _soften(image, float(np.exp(rng.uniform(np.log(0.5), np.log(8.0)))) * size / 192)
        return np.clip(image, 0, 255).astype(np.float32, copy=False)

    def negative(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Return an image (size, size, 3) uint8 RGB without a face, though parts of it may resemble one."""
        draw = rng.random()
        if draw < 0.4:
            image = self.sample(rng, size)
        elif draw < 0.6:
            kinds = (_skin_patch, _stripes, _cloth, _clutter, self._texture_crop)
            image = kinds[rng.integers(len(kinds))](rng, size)
        else:
            painters = (_blob_with_dots, _rings, _animal, _back_of_head, _hand)
            image = painters[rng.integers(len(painters))](rng, size, self.sample(rng, size))
            image = image * np.float32(rng.uniform(0.6, 1.2))
        return np.clip(image + 0.5, 0, 255).astype(np.uint8)

    def _panorama_crop(self, rng: np.random.Generator, size: int) -> np.ndarray:
        panorama = self._panoramas[rng.integers(len(self._panoramas))]
        height, width = panorama.shape[:2]
        side = int(np.clip(np.exp(rng.uniform(np.log(0.08), np.log(0.8))) * height, 8, min(height, width)))
        # Near the poles an equirectangular image is smeared: keep the crop's center in the middle latitudes.
        top = int(np.clip(rng.normal(0.5, 0.13) * height - side / 2, 0, height - side))
        columns = np.arange(side) + rng.integers(width)
        crop = panorama[top : top + side].take(columns, axis=1, mode="wrap")
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        shrinking = side > size
        crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
        # Exposed for the scene or for the face in front of it; a film-like shoulder keeps windows from clipping.
        exposure = np.float32(0.25 * np.exp(rng.normal(0, 0.6)))
        shown = 1 - cv2.exp(np.minimum(crop * -exposure, 0))
        return cv2.pow(shown, 1 / 2.2) * 255

    def _texture_crop(self, rng: np.random.Generator, size: int) -> np.ndarray:
        if not self._textures:
            return _skin_patch(rng, size)
        texture = self._textures[rng.integers(len(self._textures))]
        height, width = texture.shape[:2]
        # At most an eighth of a skin's side: a larger piece could show the whole face of its portrait.
        smaller = min(height, width)
        side = int(np.clip(np.exp(rng.uniform(np.log(0.03), np.log(0.125))) * smaller, 8, smaller))
        top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
        crop = cv2.resize(texture[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_LINEAR)
        return crop.astype(np.float32) * rng.uniform(0.5, 1.2, 3).astype(np.float32)
