"""Small committed sets of rendered images of people, to calibrate a detector's files with and to evaluate them on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atpn.data.augment import NO_AUGMENT
from atpn.data.composites import Composite, CompositeConfig, Compositor
from atpn.data.store import SampleStore
from export.config import ImageSetConfig
from export.image_archive import damage_named, read_archive, write_archive

COMMAND = "image-set"
"""Command that makes the files."""


@dataclass(frozen=True)
class ImageSet:
    """Labeled images of one size."""

    composites: tuple[Composite, ...]
    origin: dict[str, Any]
    """Where the images come from: data, seed, count."""
    sha256: str
    """Of the file they were read from."""

    @property
    def images(self) -> np.ndarray:
        """(n, S, S, 3) uint8 RGB."""
        return np.stack([composite.image for composite in self.composites])


def make_image_sets(config: ImageSetConfig) -> None:
    """Write detector_calibration.npz and detector_heldout.npz; no person is in both.

    ValueError or OSError say what is missing.
    """
    store = SampleStore.read(config.data)
    faces, backgrounds = store.split(validation_fraction=0.6), store.split(store.backgrounds, validation_fraction=0.6)
    options = CompositeConfig(augment=NO_AUGMENT)
    for part, (name, count) in enumerate(
        (("detector_calibration", config.calibration_images), ("detector_heldout", config.held_out_images))
    ):
        compositor = Compositor(store, faces[part], backgrounds[part], options)
        images = [
            compositor.compose(config.image_size, np.random.default_rng([config.seed, part, i])) for i in range(count)
        ]
        origin = {"data": config.data.name, "seed": config.seed, "images": count}
        write_image_set(config.out / f"{name}.npz", images, origin)


def write_image_set(path: Path, composites: list[Composite], origin: dict[str, Any]) -> None:
    """Write images into one .npz, atomically."""
    labels = {
        "regions": np.concatenate([composite.regions for composite in composites]),
        "wanted": np.concatenate([composite.required for composite in composites]),
        "faces": np.array([len(composite.regions) for composite in composites]),
    }
    write_archive(path, [composite.image for composite in composites], labels, {"origin": origin})


def read_image_set(path: Path, size: int | None = None) -> ImageSet:
    """Read what `write_image_set` wrote. ExportError when it is missing or damaged, or has images of another size."""
    archive = read_archive(path, size, ("regions", "wanted", "faces"), COMMAND)
    with damage_named(path, COMMAND):
        regions, wanted, faces = archive.labels.values()
        count = int(faces.sum())
        if faces.shape != (len(archive.images),) or (faces < 0).any():
            raise ValueError(f"{faces.shape} numbers of faces do not fit {len(archive.images)} images")
        if regions.shape != (count, 4) or wanted.shape != (count,):
            raise ValueError(f"regions {regions.shape} and wanted {wanted.shape} do not fit {count} faces")
        parts = (np.split(labels, np.cumsum(faces)[:-1]) for labels in (regions, wanted))
        composites = tuple(Composite(*each) for each in zip(archive.images, *parts, strict=True))
        return ImageSet(composites, archive.about["origin"], archive.sha256)
