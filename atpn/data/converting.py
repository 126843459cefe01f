"""Conversion of a dataset's files to shards: the faces of a split, cut out of their images with some context."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import count, islice
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from atpn.data.readers.images import ImageSource, UnreadSample
from atpn.data.readers.issues import Issue, Report, Severity
from atpn.data.readers.registry import DatasetFolder
from atpn.data.sample import Sample
from atpn.data.shards import claim_folder, write_scheme, write_shard
from edge_runtime.geometry import ROI, Intrinsics


@dataclass(frozen=True)
class CutoutConfig:
    """What part of an image is kept."""

    face_size: int = 192
    """Maximum side in pixels of a face's region (the crop rule's square); larger ones are scaled down."""
    context: float = 2.5
    """Side of the cutout over the region's side: jitter needs up to 1.9, negatives more."""
    min_size: float = 0.0
    """Minimum face size in pixels (longer side); smaller faces are skipped (thesis: 60 for WIDER FACE)."""

    def __post_init__(self) -> None:
        if self.face_size < 16 or self.context < 1 or self.min_size < 0:
            raise ValueError(f"got {self}, expected face_size >= 16, context >= 1 and min_size >= 0")


@dataclass
class Conversion:
    """Selects samples of a dataset, writes them to shards, and counts them."""

    found: DatasetFolder
    split: str
    subset: str | None = None
    every: int = 1
    partial: bool = False
    """Skip missing and corrupt files instead of stopping."""
    cutout: CutoutConfig = CutoutConfig()
    faces: int = 0
    backgrounds: int = 0
    small: int = 0
    skipped: int = 0

    def write(self, folder: Path, shard_size: int) -> None:
        """Write every missing shard; ValueError if the folder holds shards of another setup."""
        claim_folder(folder / "convert.json", self._setup(shard_size))
        samples = self.samples()
        with tqdm(desc=f"{self.found.dataset.name} {folder.name}", unit=" samples") as bar:
            for index in count():
                chunk = list(islice(samples, shard_size))
                path = folder / f"faces-{index:06d}.tar"
                if chunk and not path.is_file():
                    write_scheme(folder, next((s.labels.scheme for s in chunk if s.labels.landmarks is not None), None))
                    write_shard(path, self.cut(chunk))
                bar.update(len(chunk))
                if len(chunk) < shard_size:
                    return

    def samples(self) -> Iterator[UnreadSample]:
        """Yield the selected samples in the dataset's order; ValueError for a corrupt one, unless `partial`."""
        number = 0
        for sample in self.found.read(self._report()):
            if sample.split != self.split or (self.subset is not None and self.subset not in sample.subsets):
                continue
            number += 1
            if (number - 1) % self.every:
                continue
            outline = sample.labels.outline
            if outline is not None and np.ptp(outline, axis=0).max() < self.cutout.min_size:
                self.small += 1
                continue
            if not sample.image.path.is_file():  # only when partial: the reader has reported it
                self.skipped += 1
                continue
            self.faces += outline is not None
            self.backgrounds += outline is None
            yield sample

    def cut(self, chunk: Iterable[UnreadSample]) -> Iterator[Sample]:
        """Yield each sample cut out around its face; ValueError for an image that does not decode, unless `partial`."""
        source: ImageSource | None = None
        image = np.empty(0)
        for sample in chunk:
            try:
                if sample.image != source:
                    image = sample.image.read()
                    source = sample.image
                cut = cut_out(replace(sample.labels, image=image), self.cutout)
            except (OSError, ValueError) as error:
                if not self.partial:
                    raise ValueError(f"{error}; pass --partial to skip it") from error
                self.skipped += 1
                self.faces -= sample.labels.outline is not None
                self.backgrounds -= sample.labels.outline is None
                continue
            yield cut

    def _report(self) -> Report:
        def report(issue: Issue) -> None:
            concerns_us = issue.split in ("", self.split)
            if self.partial:
                self.skipped += issue.severity is Severity.CORRUPT and concerns_us
            elif concerns_us and issue.severity.is_error:
                raise ValueError(
                    f"{issue.severity}: {issue.message}; run `datasets check` for all, or pass --partial to skip it"
                )

        return report

    def _setup(self, shard_size: int) -> dict[str, object]:
        return {
            "dataset": self.found.dataset.name,
            "split": self.split,
            "subset": self.subset,
            "every": self.every,
            "partial": self.partial,
            "shard_size": shard_size,
            **asdict(self.cutout),
            **self.found.options.setup,
        }


def cut_out(sample: Sample, cutout: CutoutConfig) -> Sample:
    """Cut a sample out around its face and move its labels and camera along; scale down one without a face as a whole.

    Neighbors that overlap the cutout are kept. ValueError if the face lies outside the image.
    """
    height, width = sample.image.shape[:2]
    outline = sample.outline
    if outline is None:
        left, top, right, bottom = 0, 0, width, height
        scale = min(1.0, cutout.face_size * cutout.context / max(width, height))
    else:
        roi = ROI.from_landmarks(outline)
        half = roi.size * cutout.context / 2
        left, top = max(0, math.floor(roi.cx - half)), max(0, math.floor(roi.cy - half))
        right, bottom = min(width, math.ceil(roi.cx + half) + 1), min(height, math.ceil(roi.cy + half) + 1)
        scale = min(1.0, cutout.face_size / roi.size)
        if left >= right or top >= bottom:
            raise ValueError(f"sample {sample.key!r}: its face lies outside its image of {width}x{height} pixels")
    image = sample.image[top:bottom, left:right]
    if scale < 1:
        size = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    window = _Window(left, top, image.shape[1] / (right - left), image.shape[0] / (bottom - top))
    camera = sample.intrinsics
    if camera is None and sample.rotation is not None:
        camera = Intrinsics.from_fov(width, height)  # the default camera of the whole photograph
    return replace(
        sample,
        image=np.ascontiguousarray(image),
        landmarks=None if sample.landmarks is None else window.moved(sample.landmarks),
        intrinsics=None if camera is None else window.seen_by(camera),
        neighbors=window.reaching(sample.neighbors, image.shape[1], image.shape[0]),
        boxes={kind: window.moved_box(box) for kind, box in sample.boxes.items()},
    )


@dataclass(frozen=True)
class _Window:
    """A resized part of an image."""

    left: int
    top: int
    scale_x: float
    scale_y: float

    def moved(self, points: np.ndarray) -> np.ndarray:
        """Convert (..., 2) pixels of the image to pixels of the window; pixel centers are at integers in both."""
        scale = np.array([self.scale_x, self.scale_y])
        return ((points - (self.left, self.top) + 0.5) * scale - 0.5).astype(np.float32)

    def moved_box(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        left, top, right, bottom = self.moved(np.array(box).reshape(2, 2)).ravel().tolist()
        return left, top, right, bottom

    def seen_by(self, camera: Intrinsics) -> Intrinsics:
        cx, cy = (camera.cx - self.left + 0.5) * self.scale_x - 0.5, (camera.cy - self.top + 0.5) * self.scale_y - 0.5
        return Intrinsics(camera.fx * self.scale_x, camera.fy * self.scale_y, cx, cy)

    def reaching(self, faces: np.ndarray | None, width: int, height: int) -> np.ndarray | None:
        """Return those of (K, M, 2) faces that overlap the window, in its pixels; None if none does."""
        if faces is None:
            return None
        moved = self.moved(faces)
        low, high = np.nanmin(moved, axis=1), np.nanmax(moved, axis=1)
        inside = (high > -0.5).all(axis=1) & (low < (width - 0.5, height - 0.5)).all(axis=1)
        return moved[inside] if inside.any() else None
