"""Pictures to find faces in: rendered people set into backgrounds at any place and size, labelled by the crop rule.

A portrait holds one face in its middle, and a detector trained on portraits would learn just that. What is pasted has
soft or hard edges of several shapes, and so have pieces of background, so that no edge gives a face away.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

import cv2
import numpy as np

from atpn.data.augment import AugmentConfig, augment
from atpn.data.scenes import background_roi
from atpn.data.store import SampleStore
from edge_runtime.detector import PAD_VALUE
from edge_runtime.geometry import ROI, extract_crop

# Small faces do not survive a picture that loses half its pixels, and covers of a share of the picture hide them all.
_PICTURE_AUGMENT = AugmentConfig(low_resolution=0.1, lowest_resolution=0.6, blur_sigma=(0.002, 0.006), cover=0.0)


@dataclass(frozen=True)
class GatheringConfig:
    """How pictures for a detector are put together; sizes are shares of the picture's side."""

    portrait_share: float = 0.25
    """Of the pictures show one rendered image, near."""
    portrait_size: tuple[float, float] = (0.4, 1.25)
    """Of its face's region."""
    mosaic_share: float = 0.15
    """Of the pictures are tiled with images."""
    tiles: tuple[int, int] = (2, 6)
    """Along a side of a mosaic."""
    empty_share: float = 0.15
    """Of the pictures hold no face."""
    people: tuple[int, int] = (1, 7)
    """Pasted into each of the other pictures."""
    size: tuple[float, float] = (0.03, 0.6)
    """Of a pasted face's region, log-uniform."""
    decoys: tuple[int, int] = (0, 9)
    """Pieces of backgrounds and of people's clothes, hair and hands, pasted as faces are."""
    bars_share: float = 0.4
    """Of the pictures have grey bars at two sides, as wide or tall frames do on the device."""
    narrowest: float = 0.5
    """Of a picture with bars, the narrower extent."""
    roll: float = 30.0
    """Degrees: the limit of a pasted person's or portrait's tilt beyond its own."""
    smallest: float = 0.04
    """Region below which a face need not be found: 5 pixels of landmarks in a picture of 192."""
    visible: float = 0.6
    """Share of its region inside the picture below which a face need not be found."""
    augment: AugmentConfig = field(default_factory=lambda: _PICTURE_AUGMENT)


@dataclass(frozen=True)
class Gathering:
    """A picture and the faces in it."""

    image: np.ndarray
    """(S, S, 3) uint8 RGB."""
    regions: np.ndarray
    """(K, 3) float32: x and y of the centre, and the size, of each face's region by the crop rule at roll 0; in [0, 1]
    of the picture's side."""
    wanted: np.ndarray
    """(K,) bool: False for faces that are too small or cut off, where either answer is right."""


class Gatherings:
    """Makes pictures from a store's faces and backgrounds."""

    def __init__(self, store: SampleStore, faces: np.ndarray, backgrounds: np.ndarray, config: GatheringConfig) -> None:
        """`faces` and `backgrounds` are indices into the store; ValueError without either."""
        if len(faces) == 0 or len(backgrounds) == 0:
            raise ValueError(
                f"a detector learns from faces and from backgrounds, got {len(faces)} and {len(backgrounds)}; "
                "render more with `python -m atpn render`"
            )
        self._store, self._faces, self._backgrounds, self._config = store, faces, backgrounds, config

    def make(self, size: int, rng: np.random.Generator) -> Gathering:
        """One picture of `size` pixels, perhaps mirrored, in changed light."""
        config, choice = self._config, rng.random()
        if choice < config.portrait_share:
            image, found = self._portrait(size, rng)
        elif choice < config.portrait_share + config.mosaic_share:
            image, found = self._mosaic(size, rng)
        else:
            empty = choice > 1 - config.empty_share
            image, found = self._gathering(size, 0 if empty else int(rng.integers(*config.people)), rng)
        regions = np.array(found, np.float32).reshape(-1, 4)
        if rng.random() < 0.5:
            image, regions[:, 0] = np.ascontiguousarray(image[:, ::-1]), 1 - regions[:, 0]
        image, low, high = self._barred(augment(image, config.augment, rng), rng)
        shown = np.minimum(regions[:, 3], _share_inside(regions, low, high))
        wanted = (shown >= config.visible) & (regions[:, 2] >= config.smallest)
        seen = shown > 0
        return Gathering(image, regions[seen, :3], wanted[seen])

    def _barred(
        self, image: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, tuple[float, float], tuple[float, float]]:
        """The picture, perhaps with bars, and the corners of what is left of it, in [0, 1]."""
        if rng.random() >= self._config.bars_share:
            return image, (0.0, 0.0), (1.0, 1.0)
        size = image.shape[0]
        bar = round(size * (1 - rng.uniform(self._config.narrowest, 1)) / 2)
        image = image.copy()
        wide = rng.random() < 0.5
        across = image if wide else image.transpose(1, 0, 2)
        across[:bar] = across[size - bar :] = PAD_VALUE
        edge = bar / size
        return (image, (0.0, edge), (1.0, 1 - edge)) if wide else (image, (edge, 0.0), (1 - edge, 1.0))

    def _portrait(self, size: int, rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
        index, share = self._face(rng), rng.uniform(*self._config.portrait_size)
        face = ROI.from_landmarks(self._store.landmarks[index])
        side = face.size / share
        shift = rng.uniform(-0.5, 0.5, 2) * max(side - face.size, 0.4 * side)
        return self._window(index, ROI(face.cx + shift[0], face.cy + shift[1], side, self._roll(rng)), size)

    def _mosaic(self, size: int, rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
        count = int(rng.integers(*self._config.tiles, endpoint=True))
        edges = np.linspace(0, size, count + 1).round().astype(int)
        image, found = np.empty((size, size, 3), np.uint8), []
        for top, bottom in itertools.pairwise(edges):
            for left, right in itertools.pairwise(edges):
                side = max(bottom - top, right - left)
                if rng.random() < 0.3:
                    tile, regions = self._decoy(side, rng), []
                else:
                    index = self._face(rng)
                    face = ROI.from_landmarks(self._store.landmarks[index])
                    tile, regions = self._window(index, _enlarged(face, rng.uniform(1.0, 1.6)), side)
                image[top:bottom, left:right] = tile[: bottom - top, : right - left]
                found += _placed(regions, left / size, top / size, side / size)
        return image, found

    def _gathering(self, size: int, people: int, rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
        image, found = self._background(size, rng), []
        shares = np.exp(rng.uniform(*np.log(self._config.size), people))
        places: list[tuple[bool, float]] = [(True, float(share)) for share in np.sort(shares)]
        for _ in range(int(rng.integers(*self._config.decoys))):
            share = float(np.exp(rng.uniform(*np.log(self._config.size))))
            places.insert(int(rng.integers(len(places) + 1)), (False, share))
        for is_face, share in places:
            window = rng.uniform(1.15, 1.6)
            side = max(4, round(share * window * size))
            centre = _free_place(found, side / size, rng)
            if centre is None:
                continue
            left, top = (round(float(c) * size - side / 2) for c in centre)
            if is_face:
                index = self._face(rng)
                face = ROI.from_landmarks(self._store.landmarks[index])
                patch, regions = self._window(index, _enlarged(face, window, self._roll(rng)), side)
                found += _placed(regions, left / size, top / size, side / size)
            else:
                patch = self._decoy(side, rng)
            _paste(image, patch, left, top, rng)
        return image, found

    def _window(self, index: int, window: ROI, size: int) -> tuple[np.ndarray, list[np.ndarray]]:
        """A turned square of a sample as a picture; of its faces the region's centre, size, and share inside."""
        landmarks, neighbours = self._store.landmarks[index], self._store.neighbours(index)
        everybody = [landmarks, *([] if neighbours is None else neighbours)]
        regions = [ROI.from_landmarks(window.to_crop(points)) for points in everybody]
        image = extract_crop(self._store.image(index), window, size)
        rows = np.array([[roi.cx, roi.cy, roi.size] for roi in regions])
        return image, list(np.column_stack([rows, _share_inside(rows)]))

    def _decoy(self, size: int, rng: np.random.Generator) -> np.ndarray:
        """A square without a face: of a background, or of a person beside the face, if a few tries find one."""
        if rng.random() < 0.5:
            index = self._face(rng)
            image, neighbours = self._store.image(index), self._store.neighbours(index)
            everybody = [self._store.landmarks[index], *([] if neighbours is None else neighbours)]
            faces = [ROI.from_landmarks(points, margin=0.1) for points in everybody]
            for _ in range(8):
                side = faces[0].size * rng.uniform(0.3, 1.0)
                x, y = rng.uniform(0.3 * side, np.array(image.shape[1::-1]) - 0.3 * side)
                if all(max(abs(x - face.cx), abs(y - face.cy)) > (side + face.size) / 2 for face in faces):
                    return extract_crop(image, ROI(x, y, side, self._roll(rng)), size)
        return self._background(size, rng)

    def _background(self, size: int, rng: np.random.Generator) -> np.ndarray:
        image = self._store.image(int(rng.choice(self._backgrounds)))
        roi = background_roi(image, rng)
        return extract_crop(image, ROI(roi.cx, roi.cy, roi.size, math.radians(rng.normal(0.0, 10.0))), size)

    def _face(self, rng: np.random.Generator) -> int:
        return int(rng.choice(self._faces))

    def _roll(self, rng: np.random.Generator) -> float:
        return math.radians(rng.uniform(-self._config.roll, self._config.roll))


def _placed(regions: list[np.ndarray], left: float, top: float, side: float) -> list[np.ndarray]:
    """Regions of a square that lies here in a picture, as regions of the picture."""
    return [region * (side, side, side, 1) + (left, top, 0, 0) for region in regions]


def _share_inside(
    regions: np.ndarray, low: tuple[float, float] = (0.0, 0.0), high: tuple[float, float] = (1.0, 1.0)
) -> np.ndarray:
    """(K, 3 or more) regions to the (K,) shares of their areas that lie between two corners, the picture's own."""
    centre, size = regions[:, :2], regions[:, 2:3]
    inside = np.minimum(centre + size / 2, high) - np.maximum(centre - size / 2, low)
    return (np.clip(inside, 0, None) / size).prod(axis=1)


def _enlarged(roi: ROI, factor: float, roll: float = 0.0) -> ROI:
    """The square around the same centre, `factor` times as large."""
    return ROI(roi.cx, roi.cy, roi.size * factor, roll)


def _free_place(found: list[np.ndarray], side: float, rng: np.random.Generator) -> np.ndarray | None:
    """A centre in [0, 1] for a square that touches none of the regions, if a dozen tries find one."""
    for _ in range(12):
        centre = rng.uniform(0.25 * side, 1 - 0.25 * side, 2)
        if all(np.abs(centre - region[:2]).max() > (side + region[2]) / 2 for region in found):
            return centre
    return None


def _paste(image: np.ndarray, patch: np.ndarray, left: int, top: int, rng: np.random.Generator) -> None:
    """Blend a square patch in, as far as it lies inside, within an ellipse or a more or less rounded square."""
    side = patch.shape[0]
    axis = np.abs((np.arange(side, dtype=np.float32) + 0.5) * (2 / side) - 1)
    power, softness = float(rng.choice([2.0, 4.0, 16.0])), rng.uniform(0.02, 0.4)
    distance = (axis[:, None] ** power + axis[None] ** power) ** (1 / power)
    alpha = np.clip((1 - distance) / softness, 0, 1)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, image.shape[1]), min(top + side, image.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    inside = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
    target, share = image[y0:y1, x0:x1], alpha[inside][..., None]
    cv2.convertScaleAbs(patch[inside] * share + target * (1 - share), dst=target)
