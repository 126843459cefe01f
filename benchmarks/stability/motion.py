"""Rendered still and moving faces, one person in front of the camera."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from atpn.synthetic.drawing.renderer import FaceRenderer, Identity, RenderOptions
from benchmarks.stability.frames import FPS, Camera, LabeledFrame

SIZE = 320
"""Side of the frame, pixels."""
PERIOD = 4.0
"""Period of a moving face, seconds."""
TURN = 45.0
"""Maximum yaw of a moving face, degrees; the actual one depends on the person."""
PAN = 0.15
"""Amplitude of a moving face, frame sides: up to a quarter of a frame in a second."""


def still(renderer: FaceRenderer, number: int, frames: int) -> Iterator[LabeledFrame]:
    """Yield one image of a person with new noise in every frame."""
    return _record(renderer, number, [0.0] * frames)


def moving(renderer: FaceRenderer, number: int, frames: int) -> Iterator[LabeledFrame]:
    """Yield frames of a person who turns the head while the camera pans."""
    return _record(renderer, number, [2 * math.pi * t / (PERIOD * FPS) for t in range(frames)])


def open_renderer(assets: Path | None, cache: Path, seed: int) -> FaceRenderer:
    """Return a renderer of people of the held-out split with uncovered faces; the errors are `FaceRenderer`'s."""
    options = RenderOptions(
        split="held-out",
        size=SIZE,
        roi_fraction=(0.55, 0.55),
        frontal_prob=0.0,
        level_prob=0.0,
        max_tilt=8.0,
        glasses=0.0,
        headwear=0.0,
        face_mask=0.0,
        occluder=0.0,
        torso=0.0,  # portraits are cut out and set into larger frames
        dramatic_light=0.0,
    )
    return FaceRenderer(assets, cache, options, seed)


def _record(renderer: FaceRenderer, number: int, phases: Sequence[float]) -> Iterator[LabeledFrame]:
    identity = renderer.identity(number)
    background = renderer.background(np.random.default_rng((renderer.seed, 1, number)), renderer.canvas_size)
    camera = Camera(SIZE, SIZE, np.random.default_rng((renderer.seed, 2, number)))
    for phase, (image, landmarks) in zip(phases, _images(renderer, identity, background, phases), strict=True):
        shift = np.array([PAN * SIZE * math.sin(phase), 0.0])
        matrix = np.column_stack([np.eye(2), shift])
        image = cv2.warpAffine(image, matrix, (SIZE, SIZE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        yield LabeledFrame(camera.take(image[:, :, ::-1]), (landmarks + shift)[None], np.ones(1))


def _images(
    renderer: FaceRenderer, identity: Identity, background: np.ndarray, phases: Sequence[float]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (S, S, 3) float RGB and (98, 2) landmarks.

    Images of one seed draw the same random numbers, so only the yaw, which the options scale, changes between them.
    """
    rendered: dict[float, tuple[np.ndarray, np.ndarray]] = {}
    for phase in phases:
        yaw = round(TURN * (1 - math.cos(phase)) / 2, 6)
        if yaw not in rendered:
            rng = np.random.default_rng((renderer.seed, 3, identity.number))
            figure = renderer.figure(identity, rng, background, replace(renderer.options, max_yaw=yaw))
            rendered[yaw] = figure.image, figure.landmarks
        yield rendered[yaw]
