"""Procedural images without a face: lettering, shelves, grids, foliage, cloth, fronts.

Renders without a face show rooms, landscapes, cloth, hands, and the backs of heads: a thousand images. Fine and regular
structure is rare in them, and a network that has seen little of it takes some for a face.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSansMono", "STIXGeneral", "STIXGeneralItalic", "cmr10")
"""Those that come with Matplotlib, so that every machine draws the same."""


def texture(size: int, rng: np.random.Generator) -> np.ndarray:
    """Return a random (size, size, 3) uint8 RGB image, shaded by a smooth light."""
    kind = KINDS[int(rng.integers(len(KINDS)))]
    image = kind(size, rng).astype(np.float32)
    light = 1 + rng.uniform(0.0, 0.5) * _noise(size, rng.uniform(0.3, 1.0), rng)[..., None]
    return np.clip(image * light, 0, 255).astype(np.uint8)


def lettering(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw lines of random words of one font, from small print to a few letters."""
    paper, ink = _contrasting(rng)
    height = round(size * float(np.exp(rng.uniform(np.log(0.05), np.log(0.6)))))
    picture = Image.new("RGB", (size, size), paper)
    draw, font = ImageDraw.Draw(picture), _font(str(rng.choice(FONTS)), height)
    letters = list(string.ascii_letters + string.digits + "    .,:")
    step = height * rng.uniform(0.9, 1.4)
    for y in np.arange(-rng.uniform(0, step), size, step):
        words = "".join(rng.choice(letters, round(3 * size / height) + 2))
        draw.text((-rng.uniform(0, height), float(y)), words, fill=ink, font=font)
    return np.array(picture)


def shelf(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw rows of upright boxes of many colors: books, packages, houses."""
    image = np.full((size, size, 3), _color(rng), np.uint8)
    row = max(8, round(size * rng.uniform(0.15, 0.7)))
    for top in range(-int(rng.integers(row)), size, row):
        x = -int(rng.integers(row))
        board = max(1, round(row * rng.uniform(0.02, 0.12)))
        while x < size:
            width = max(2, round(row * rng.uniform(0.06, 0.5)))
            height = round((row - board) * rng.uniform(0.6, 1.0))
            low = top + row - board
            color = np.array(_color(rng))
            cv2.rectangle(image, (x, low - height), (x + width - 1, low - 1), color.tolist(), -1)
            for _ in range(int(rng.integers(0, 4))):  # labels and bands
                y = low - int(rng.integers(1, height + 1))
                stripe = y + max(1, round(height * rng.uniform(0.02, 0.25)))
                cv2.rectangle(image, (x + width // 5, y), (x + width * 4 // 5, min(stripe, low - 1)), _color(rng), -1)
            edge = np.clip(color * 0.5, 0, 255).tolist()
            cv2.line(image, (x + width - 1, low - height), (x + width - 1, low - 1), edge, 1)
            x += width
        cv2.rectangle(image, (0, top + row - board), (size, top + row - 1), _color(rng), -1)
    return image


def grid(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a lattice of lines with windows, disks, or nothing in its cells."""
    first, second = _contrasting(rng)
    image = np.full((size, size, 3), first, np.uint8)
    steps = np.maximum(4, size * np.exp(rng.uniform(np.log(0.05), np.log(0.5), 2))).astype(int)
    thickness, fill = max(1, round(float(steps.min()) * rng.uniform(0.03, 0.4))), int(rng.integers(3))
    offset = [int(rng.integers(step)) for step in steps]
    inner = _color(rng)
    for x in range(-offset[0], size, steps[0]):
        for y in range(-offset[1], size, steps[1]):
            center, half = (x + steps[0] // 2, y + steps[1] // 2), steps // 4
            if fill == 1:
                cv2.rectangle(image, (center[0] - half[0], center[1] - half[1]), (center + half).tolist(), inner, -1)
            elif fill == 2:
                cv2.ellipse(image, (center[0], center[1]), half.tolist(), 0, 0, 360, inner, -1, cv2.LINE_AA)
    for axis, step in enumerate(steps):
        for position in range(-offset[axis], size, step):
            ends = ((position, 0), (position, size)) if axis == 0 else ((0, position), (size, position))
            cv2.line(image, *ends, second, thickness)
    return image


def foliage(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw leaves, gravel, or hair: hundreds of small ellipses of related colors."""
    base, spread = np.array(_color(rng)), rng.uniform(10, 60)
    image = np.full((size, size, 3), np.clip(base * 0.5, 0, 255), np.uint8)
    length, aspect = size * float(np.exp(rng.uniform(np.log(0.02), np.log(0.2)))), rng.uniform(0.1, 1.0)
    count = int(np.clip(3 * size**2 / (length**2 * aspect), 50, 600))
    direction, turn = rng.uniform(0, 180), rng.uniform(5, 180)
    for x, y in rng.uniform(-0.05, 1.05, (count, 2)) * size:
        axes = np.maximum(1, length * rng.uniform(0.3, 1.0) * np.array([1.0, aspect]) / 2).astype(int).tolist()
        color = np.clip(base * rng.uniform(0.5, 1.4) + rng.normal(0, spread, 3), 0, 255).tolist()
        cv2.ellipse(image, (int(x), int(y)), axes, direction + rng.normal(0, turn), 0, 360, color, -1, cv2.LINE_AA)
    return image


def cloth(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw stripes or checks that wave."""
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    x = x + rng.uniform(0, 0.05) * np.sin(rng.uniform(4, 20) * y + rng.uniform(0, 6))
    angle, pitch = rng.uniform(0, np.pi), rng.uniform(8, 80)
    wave = np.sin(pitch * (x * np.cos(angle) + y * np.sin(angle)))
    if rng.random() < 0.5:
        wave = wave * np.sin(pitch * (y * np.cos(angle) - x * np.sin(angle)))
    weight = np.clip(wave * rng.uniform(0.6, 8) / 2 + 0.5, 0, 1)[..., None]
    first, second = map(np.array, _contrasting(rng))
    return (first * weight + second * (1 - weight)).astype(np.uint8)


def fronts(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw pairs of ellipses above a third: fronts of cars, sockets, and masks are like this."""
    image = np.full((size, size, 3), _color(rng), np.uint8)
    for _ in range(int(rng.integers(1, 8))):
        x, y, scale = *rng.uniform(0, size, 2), rng.uniform(0.1, 0.5) * size
        for dx, dy, color in ((-0.5, 0.0, _color(rng)), (0.5, 0.0, _color(rng)), (0.0, 0.9, _color(rng))):
            axes = np.maximum(1, scale * rng.uniform(0.1, 0.5, 2)).astype(int).tolist()
            filled = -1 if rng.random() < 0.7 else max(1, round(0.1 * scale))
            center = (round(x + dx * scale), round(y + dy * scale))
            cv2.ellipse(image, center, axes, 0, 0, 360, color, filled, cv2.LINE_AA)
    return image


KINDS: tuple[Callable[[int, np.random.Generator], np.ndarray], ...] = (lettering, shelf, grid, foliage, cloth, fronts)


def _color(rng: np.random.Generator) -> tuple[int, int, int]:
    """Return a color: a third of them like skin, a third gray, a third any."""
    kind = rng.integers(3)
    level = rng.uniform(30, 250)
    if kind == 0:
        channels = level * np.array([1.0, rng.uniform(0.6, 0.85), rng.uniform(0.4, 0.8)])
    elif kind == 1:
        channels = level * rng.uniform(0.9, 1.1, 3)
    else:
        channels = rng.uniform(0, 255, 3)
    red, green, blue = np.clip(channels, 0, 255).astype(int).tolist()
    return red, green, blue


def _contrasting(rng: np.random.Generator) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return two colors that differ by 60 levels or more in a channel."""
    while True:
        first, second = _color(rng), _color(rng)
        if max(abs(a - b) for a, b in zip(first, second, strict=True)) >= 60:
            return first, second


def _noise(size: int, scale: float, rng: np.random.Generator) -> np.ndarray:
    """Return a smooth (size, size) float32 field in [-1, 1] with features of `scale` of the side."""
    cells = max(2, round(1 / scale) + 1)
    coarse = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), -1, 1)


@cache
def _font(name: str, height: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf", height)
