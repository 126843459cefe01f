"""Frames of the golden sequences: rendered faces composited by whole pixels, so that ports compose equal bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from export.config import WEIGHTS_FOLDER
from export.image_set import read_image_set

FACE_IMAGES = WEIGHTS_FOLDER / "detector_heldout.npz"
CUTS = ((8, 32, 6, 120), (44, 72, 36, 120))
"""Index of the image, left, top, and side of each face. The images are held out."""
FPS = 30.0

Outputs = dict[str, np.ndarray]
"""Outputs of a network by name."""


@dataclass(frozen=True)
class Sprite:
    """A face in a frame."""

    face: int
    x: int
    """Pixel column of the left edge; may be outside the frame."""
    y: int
    scale: int = 1
    """Integer scale factor."""


@dataclass(frozen=True)
class SceneFrame:
    """One frame of a sequence."""

    time: float
    sprites: tuple[Sprite, ...] = ()
    """In drawing order."""


@dataclass(frozen=True)
class Scene:
    """A sequence to track."""

    name: str
    width: int
    height: int
    frames: Sequence[SceneFrame]
    max_faces: int = 1
    smoothing: float = 0.5
    intrinsics: tuple[float, float, float, float] | None = None
    """fx, fy, cx, cy; None: the runtime's default camera."""
    perturbations: Mapping[int, Callable[[Outputs], Outputs]] = field(default_factory=dict)
    """Changes of the network's outputs by frame, for states that no image produces reliably."""
    calibrations: Mapping[int, float] = field(default_factory=dict)
    """Seconds of the calibrations of resting faces that begin with a frame, for models with expressions."""


def cut_faces() -> list[np.ndarray]:
    """Return the faces as (S, S, 3) uint8 RGB images."""
    images = read_image_set(FACE_IMAGES).images
    return [images[number, top : top + side, left : left + side] for number, left, top, side in CUTS]


def composite(
    width: int, height: int, number: int, sprites: Sequence[Sprite], faces: Sequence[np.ndarray]
) -> np.ndarray:
    """Compose frame `number`: faces over a slanted ramp with noise, (height, width, 3) uint8 BGR.

    All arithmetic is on integers, the noise's modulo 2^32.
    """
    y, x = np.mgrid[:height, :width].astype(np.uint32)
    base = np.stack([60 + (x + 2 * y) // 8 % 64 + 20 * channel for channel in range(3)], axis=-1)
    for sprite in sprites:
        face = np.repeat(np.repeat(faces[sprite.face], sprite.scale, axis=0), sprite.scale, axis=1)
        x0, y0 = max(sprite.x, 0), max(sprite.y, 0)
        x1, y1 = min(sprite.x + face.shape[1], width), min(sprite.y + face.shape[0], height)
        if x0 < x1 and y0 < y1:
            base[y0:y1, x0:x1] = face[y0 - sprite.y : y1 - sprite.y, x0 - sprite.x : x1 - sprite.x]
    mixed = x * np.uint32(0x9E3779B1) ^ y * np.uint32(0x85EBCA77) ^ np.uint32(number * 0xC2B2AE3D % 2**32)
    mixed = (mixed ^ mixed >> np.uint32(15)) * np.uint32(0x2C1B3C6D)
    noise = (mixed ^ mixed >> np.uint32(12)) >> np.uint32(8) & np.uint32(7)
    return np.ascontiguousarray(np.minimum(base + noise[..., None], 255).astype(np.uint8)[..., ::-1])


def write_ppm(image: np.ndarray) -> bytes:
    """Encode an (H, W, 3) uint8 RGB image as binary PPM."""
    return f"P6\n{image.shape[1]} {image.shape[0]}\n255\n".encode() + image.tobytes()


def scenes() -> list[Scene]:
    """Return all sequences."""
    return [_still(), _fast(), _crossing(), _slipped(), _low_confidence(), _returning(), _doubtful()]


def _still() -> Scene:
    """Return a scene of a large, tilted, still face; timestamps are uneven, repeat, and decrease.

    `max_faces` is 2, so that the detector runs while the face is tracked.
    """
    times = [0.0, 0.033, 0.066, 0.1, 0.134, 0.134, 0.2, 0.5, 0.53, 0.1, 0.133, 0.166, 0.2, 0.233, 0.266, 0.3, 0.333]
    sprites = (Sprite(1, 60, 10, scale=3),)
    camera = (520.0, 500.0, 230.0, 190.0)
    frames = [SceneFrame(time, sprites) for time in times]
    return Scene("still", 480, 360, frames, max_faces=2, intrinsics=camera, calibrations={7: 0.15})


def _fast() -> Scene:
    """Return a scene of a face that accelerates to a third of its ROI per frame, leaves, and returns twice.

    It returns within a second and after three. The frame is large enough to be searched in tiles.
    """
    frames = []
    x = 20.0
    for number in range(14):
        frames.append(SceneFrame(number / FPS, (Sprite(0, round(x), 130 + 4 * number, scale=2),)))
        x += min(6.0 * number, 54.0)
    away = [SceneFrame(number / FPS) for number in range(14, 18)]
    back = [SceneFrame(number / FPS, (Sprite(0, 420 - 8 * (number - 18), 180, scale=2),)) for number in range(18, 24)]
    # Lost in the first of these, which the others follow after more than the time for which ids are kept.
    later = [
        SceneFrame(1.0, ()),
        *(SceneFrame(3.9 + number / FPS, (Sprite(0, 380, 180, scale=2),)) for number in range(8)),
    ]
    return Scene("fast", 640, 480, [*frames, *away, *back, *later])


def _crossing() -> Scene:
    """Return a scene of two faces that cross, one in front of the other."""
    frames = []
    for number in range(26):
        behind, front = Sprite(0, 10 + 9 * number, 40), Sprite(1, 240 - 9 * number, 60)
        frames.append(SceneFrame(number / FPS, (behind, front)))
    return Scene("crossing", 360, 240, frames, max_faces=2, calibrations={1: 0.2, 20: 0.1})


def _slipped() -> Scene:
    """Return a scene of two faces: one vanishes, the other jumps between them, so that both tracks find it.

    The network would refuse a crop so far off; here it is sure of it.
    """
    apart = (Sprite(1, 132, 50), Sprite(1, 60, 60))
    steps = [apart, apart, apart, *[(Sprite(1, 96, 55),)] * 3]
    frames = [SceneFrame(n / FPS, sprites) for n, sprites in enumerate(steps)]
    sure = dict.fromkeys(range(3, len(steps)), _set("confidence", 0.95))
    return Scene("slipped", 320, 240, frames, max_faces=2, perturbations=sure)


def _low_confidence() -> Scene:
    """Return a scene of a face with low confidence, high uncertainty, or invalid outputs, without smoothing.

    Its first ten frames are clear, so that it is not taken for a false alarm.
    """
    frames = [SceneFrame(n / FPS, (Sprite(0, 100 + round(6 * math.sin(n)), 60),)) for n in range(56)]
    # Above the threshold of a new face, below and above that of a tracked one.
    perturbations = {11: _uncertain(0.071), 13: _uncertain(0.118), 14: _uncertain(0.12), 15: _uncertain(0.118)}
    perturbations |= {17: _set("confidence", 0.41), 23: _set("confidence", 0.71), 32: _uncertain(0.071)}
    perturbations |= dict.fromkeys((19, 20, 21, 22, 24, 25, 26, 27, 28), _set("confidence", 0.69))
    perturbations |= {39: _set("confidence", 0.39), 44: _set("pose", math.nan), 49: _collapsed}
    perturbations |= {54: _set("landmarks", 0.5)}
    return Scene("low_confidence", 320, 240, frames, smoothing=0.0, perturbations=perturbations)


def _returning() -> Scene:
    """Return a scene of a face that leaves by the left and returns lower, while another one enters by the right."""
    frames = []
    for number in range(31):
        sprites = [Sprite(1, 40 - 16 * max(number - 3, 0), 10)]
        if number > 14:
            sprites = [Sprite(1, min(16 * (number - 15) - 120, 40), 180)]
        if number > 11:
            sprites.append(Sprite(0, max(400 - 20 * (number - 12), 280), 60))
        frames.append(SceneFrame(number / FPS, tuple(sprites)))
    return Scene("returning", 400, 320, frames, max_faces=2)


def _doubtful() -> Scene:
    """Return a scene of one slot, without smoothing.

    A false alarm is dropped, refused, and taken up as a sure face. It becomes doubtful, and another takes its slot.
    """
    frames = []
    for number in range(36):
        sprites = (Sprite(0, 30, 60), Sprite(1, 180, 50)) if number > 24 else (Sprite(0, 30, 60),)
        frames.append(SceneFrame(number / FPS, sprites))
    perturbations = {0: _uncertain(0.068), 1: _uncertain(0.08), 2: _uncertain(0.08), 5: _uncertain(0.068)}
    perturbations |= {number: _set("confidence", 0.55) for number in range(21, 33) if number not in (25, 30)}
    return Scene("doubtful", 320, 240, frames, smoothing=0.0, perturbations=perturbations, calibrations={4: 0.3})


def _set(name: str, value: float) -> Callable[[Outputs], Outputs]:
    return lambda outputs: outputs | {name: np.full_like(outputs[name], value)}


def _uncertain(mean: float) -> Callable[[Outputs], Outputs]:
    """Return a change of the mean uncertainty that keeps the order of a face's crops: rounding would decide a tie."""

    def scale(outputs: Outputs) -> Outputs:
        uncertainty = outputs["uncertainty"]
        own = float(uncertainty.mean())
        return outputs | {"uncertainty": uncertainty * np.float32((mean + 0.01 * own) / own)}

    return scale


def _collapsed(outputs: Outputs) -> Outputs:
    return outputs | {"landmarks": np.float32(0.5) + (outputs["landmarks"] - np.float32(0.5)) * np.float32(0.3)}
