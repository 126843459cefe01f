"""Images of several labeled people, painted from the farthest to the nearest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np

from atpn.data.sample import Sample
from atpn.synthetic.appearance.degrade import degrade
from atpn.synthetic.drawing.renderer import FaceRenderer, Figure, Identity
from edge_runtime.geometry import ROI, Intrinsics

_STRANGER = 10_000_019
"""Added to a person's number for each neighbor: people without images of their own."""
_TRIES = 40


def render_samples(renderer: FaceRenderer, numbers: range) -> Iterator[Sample]:
    """Yield the images of these running numbers; consecutive ones share a person or a scene."""
    per_person = renderer.options.images_per_identity
    identity, crowd = None, None
    for number in numbers:
        person, index = divmod(number, per_person)
        if identity is None or identity.number != person:
            identity = renderer.identity(person)
            crowd = None
            # A separate generator: single portraits do not depend on the probability of scenes.
            rng = np.random.default_rng((renderer.seed, person, 0, 1))
            if rng.random() < renderer.options.scenes:
                people = [identity, *(renderer.identity(person + k * _STRANGER) for k in range(1, per_person))]
                crowd = scene(renderer, people, rng)
        yield renderer.render(identity, index) if crowd is None else crowd[index]


def scene(renderer: FaceRenderer, people: Sequence[Identity], rng: np.random.Generator) -> list[Sample]:
    """Render one image of all these people, twice as wide and high as a portrait: a sample for each.

    Each sample's landmarks are that person's, `neighbors` are the others'.
    """
    size = 2 * renderer.options.size
    canvas = renderer.background(rng, size)
    figures: list[Figure] = []
    # Smaller heads, so that neither hair nor a body is cut off at a window's edge.
    options = replace(renderer.options, roi_fraction=(0.36, 0.5), torso=0.0)
    for side in np.sort(rng.uniform(0.35, 0.85, len(people)) * size).astype(int):
        left, top = _free_place(int(side), size, figures, rng)
        window = canvas[top : top + side, left : left + side]
        background = cv2.resize(window, (renderer.canvas_size, renderer.canvas_size), interpolation=cv2.INTER_LINEAR)
        figure = renderer.figure(people[len(figures)], rng, background, options)
        covers = cv2.resize(figure.covers, (side, side), interpolation=cv2.INTER_LINEAR)[..., None]
        window += (cv2.resize(figure.image, (side, side), interpolation=cv2.INTER_AREA) - window) * covers
        figures = [_behind(earlier, covers[..., 0], left, top) for earlier in figures]
        figures.append(_moved(figure, side / renderer.options.size, left, top))
    image = degrade(canvas, rng, renderer.options.degrade)
    samples = []
    for i, (figure, person) in enumerate(zip(figures, people, strict=True)):
        neighbors = np.stack([other.landmarks for j, other in enumerate(figures) if j != i])
        key = f"{renderer.seed}_{people[0].number:06d}_{i:02d}"
        samples.append(replace(renderer.sample(figure, image, person, rng, key, "scene"), neighbors=neighbors))
    return samples


def _free_place(side: int, size: int, figures: list[Figure], rng: np.random.Generator) -> tuple[int, int]:
    """Return left and top of the window, of a few random ones, that covers the faces drawn so far the least."""
    taken = [ROI.from_landmarks(figure.landmarks) for figure in figures]
    best, least = (0, 0), np.inf
    for _ in range(_TRIES):
        left, top = (int(v) for v in rng.integers(0, size - side + 1, 2))
        middle = ROI(left + side / 2, top + side / 2, side * 0.45)
        overlap = max((middle.iou(other) for other in taken), default=0.0)
        if overlap < least:
            best, least = (left, top), overlap
    return best


def _moved(figure: Figure, scale: float, left: int, top: int) -> Figure:
    """Return a figure's labels after its portrait was scaled and pasted at (left, top); pixel centers at integers."""
    k = figure.intrinsics

    def moved(points: np.ndarray) -> np.ndarray:
        return ((points + 0.5) * scale - 0.5 + (left, top)).astype(np.float32)

    cx, cy = moved(np.array([k.cx, k.cy]))
    camera = Intrinsics(k.fx * scale, k.fy * scale, float(cx), float(cy))
    return replace(figure, landmarks=moved(figure.landmarks), dense=moved(figure.dense), intrinsics=camera)


def _behind(figure: Figure, covers: np.ndarray, left: int, top: int) -> Figure:
    """Hide the points of a figure that are covered by (side, side) `covers` at (left, top)."""

    def seen(points: np.ndarray, visible: np.ndarray) -> np.ndarray:
        column, row = (points - (left, top)).round().astype(int).T
        inside = (column >= 0) & (row >= 0) & (column < covers.shape[1]) & (row < covers.shape[0])
        hidden = np.zeros(len(points), bool)
        hidden[inside] = covers[row[inside], column[inside]] > 0.5
        return visible & ~hidden

    return replace(
        figure,
        visibility=seen(figure.landmarks, figure.visibility),
        dense_visibility=seen(figure.dense, figure.dense_visibility),
    )
