"""Procedural pictures without a face: what rendered backgrounds lack and face detectors mistake for faces."""

from __future__ import annotations

import math
import string

import cv2
import numpy as np

FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
)
_CHARACTERS = string.ascii_letters + string.digits + "&@%?!:;.,()   "


def random_texture(size: int, rng: np.random.Generator) -> np.ndarray:
    """Return a (size, size, 3) uint8 picture of text, shelves, tiles, cloth, foliage, or blobs."""
    draw = (_text, _shelves, _tiles, _cloth, _foliage, _blobs)[rng.integers(6)]
    # Drawn at twice the size, so that edges are as soft as in a photograph.
    return cv2.resize(draw(2 * size, rng), (size, size), interpolation=cv2.INTER_AREA)


def _color(rng: np.random.Generator) -> tuple[int, int, int]:
    """Return a random color, half of them muted."""
    gray = rng.integers(0, 256)
    spread = rng.choice([25, 255])
    red, green, blue = np.clip(gray + rng.integers(-spread, spread + 1, 3), 0, 255).tolist()
    return red, green, blue


def _plain(size: int, rng: np.random.Generator) -> np.ndarray:
    """Return a gradient between two colors."""
    ends = np.array([_color(rng), _color(rng)], np.float32)
    across = np.linspace(0, 1, size, dtype=np.float32)[:, None]
    column = ends[:1] * (1 - across) + ends[1:] * across
    image = np.repeat(column[:, None], size, axis=1)
    return np.ascontiguousarray(image if rng.random() < 0.5 else image.transpose(1, 0, 2)).astype(np.uint8)


def _text(size: int, rng: np.random.Generator) -> np.ndarray:
    image, y = _plain(size, rng), 0.0
    font, scale, color = int(rng.choice(FONTS)), float(np.exp(rng.uniform(-1.0, 1.5))), _color(rng)
    while y < size:
        y += 22 * scale * rng.uniform(1.1, 1.8)
        line = "".join(rng.choice(list(_CHARACTERS), int(rng.integers(3, 60))))
        start = (int(rng.integers(-10, size // 3)), round(y))
        cv2.putText(image, line, start, font, scale, color, int(rng.integers(1, 4)), cv2.LINE_AA)
    return image


def _shelves(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw rows of upright things: books, bottles, boxes."""
    image, height = _plain(size, rng), int(rng.uniform(0.08, 0.4) * size)
    for top in range(0, size, height):
        x = 0.0
        while x < size:
            width, rise = rng.uniform(0.08, 0.7) * height, rng.uniform(0.0, 0.35) * height
            box = (round(x), round(top + rise)), (round(x + width), top + height - 4)
            cv2.rectangle(image, *box, _color(rng), cv2.FILLED)
            for _ in range(int(rng.integers(0, 4))):  # labels, lids, gaps
                y = rng.uniform(top + rise, top + height)
                part = (
                    (round(x + 0.15 * width), round(y)),
                    (round(x + 0.85 * width), round(y + rng.uniform(2, 0.2 * height))),
                )
                cv2.rectangle(image, *part, _color(rng), cv2.FILLED)
            x += width + rng.uniform(0, 0.1 * height)
    return image


def _tiles(size: int, rng: np.random.Generator) -> np.ndarray:
    """Repeat a small pattern, as of grilles, windows, keyboards, sockets."""
    count = int(rng.integers(2, 14))
    cell = -(-size // count)
    pattern = _blobs(cell, rng) if rng.random() < 0.6 else _plain(cell, rng)
    cv2.rectangle(pattern, (0, 0), (cell - 1, cell - 1), _color(rng), max(1, cell // 16))
    return np.tile(pattern, (count, count, 1))[:size, :size]


def _cloth(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw stripes or checks that wave."""
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    x = x + 0.05 * np.sin(rng.uniform(4, 20) * y + rng.uniform(0, 6)) * rng.uniform(0, 1)
    angle, pitch = rng.uniform(0, math.pi), rng.uniform(8, 80)
    wave = np.sin(pitch * (x * math.cos(angle) + y * math.sin(angle)))
    if rng.random() < 0.5:
        wave = wave * np.sin(pitch * (y * math.cos(angle) - x * math.sin(angle)))
    weight = np.clip(wave * rng.uniform(0.6, 8) / 2 + 0.5, 0, 1)[..., None]
    return (np.array(_color(rng)) * weight + np.array(_color(rng)) * (1 - weight)).astype(np.uint8)


def _foliage(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw noise of several scales, or leaves."""
    image = np.zeros((size, size, 3), np.float32)
    for octave in range(2, 8):
        side = min(2**octave, size)
        noise = rng.normal(0, 1, (side, side, 3 if rng.random() < 0.3 else 1)).astype(np.float32)
        grown = cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
        image += grown.reshape(size, size, -1) * rng.uniform(0.2, 1.0)
    image = np.clip(np.array(_color(rng)) + image * rng.uniform(10, 60), 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(0, 200)) if rng.random() < 0.5 else 0):
        axes = (round(rng.uniform(0.01, 0.06) * size), round(rng.uniform(0.005, 0.03) * size))
        center = (int(rng.integers(size)), int(rng.integers(size)))
        cv2.ellipse(image, center, axes, rng.uniform(0, 360), 0, 360, _color(rng), cv2.FILLED, cv2.LINE_AA)
    return image


def _blobs(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw ellipses, some in pairs above a third: fronts of cars, sockets, and masks are like this."""
    image = _plain(size, rng)
    for _ in range(int(rng.integers(1, 6))):
        x, y, scale = rng.uniform(0, size), rng.uniform(0, size), rng.uniform(0.05, 0.35) * size
        color, second = _color(rng), _color(rng)
        pair = rng.random() < 0.5
        for dx, dy in ((-0.5, 0.0), (0.5, 0.0), (0.0, 0.9)) if pair else ((0.0, 0.0),):
            axes = (max(1, round(scale * rng.uniform(0.1, 0.5))), max(1, round(scale * rng.uniform(0.1, 0.5))))
            center = (round(x + dx * scale), round(y + dy * scale))
            filled = cv2.FILLED if rng.random() < 0.7 else max(1, round(0.1 * scale))
            cv2.ellipse(image, center, axes, 0, 0, 360, second if dy else color, filled, cv2.LINE_AA)
    return image
