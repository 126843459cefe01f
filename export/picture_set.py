"""Small committed sets of rendered pictures with people in them, to calibrate and to check a detector's files with."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from atpn.data.augment import NO_AUGMENT
from atpn.data.composites import Composite, CompositeConfig, Compositor
from atpn.data.store import SampleStore
from edge_runtime.files import write_atomically
from export.config import PictureSetConfig
from export.crop_set import packed, unpacked
from export.errors import ExportError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PictureSet:
    """Labelled pictures of one size."""

    gatherings: tuple[Composite, ...]
    origin: dict[str, Any]
    """Where the pictures come from: data, seed, count."""
    sha256: str
    """Of the file they were read from."""

    @property
    def pictures(self) -> np.ndarray:
        """(n, S, S, 3) uint8 RGB."""
        return np.stack([gathering.image for gathering in self.gatherings])

    def of_size(self, size: int) -> PictureSet:
        """The set itself; ExportError when its pictures are not `size` pixels wide."""
        found = self.gatherings[0].image.shape[0]
        if found != size:
            raise ExportError(
                f"the detector takes {size} px pictures, the set holds {found} px ones; "
                f"make another with `python -m export picture-set --picture-size {size}`"
            )
        return self


def make_picture_sets(config: PictureSetConfig) -> None:
    """Write detector_calibration.npz and detector_heldout.npz; no person is in both. ValueError or OSError say what is
    missing."""
    store = SampleStore.read(config.data)
    faces, backgrounds = store.split(validation_fraction=0.6), store.split(store.backgrounds, validation_fraction=0.6)
    options = CompositeConfig(augment=NO_AUGMENT)
    for part, (name, count) in enumerate(
        (("detector_calibration", config.calibration_pictures), ("detector_heldout", config.held_out_pictures))
    ):
        maker = Compositor(store, faces[part], backgrounds[part], options)
        made = [maker.compose(config.picture_size, np.random.default_rng([config.seed, part, i])) for i in range(count)]
        path = config.out / f"{name}.npz"
        write_picture_set(path, made, {"data": config.data.name, "seed": config.seed, "pictures": count})
        log.info("%s: %d pictures, %d KiB", path, count, path.stat().st_size // 1024)


def write_picture_set(path: Path, gatherings: list[Composite], origin: dict[str, Any]) -> None:
    """Write pictures into one .npz, atomically."""
    content = io.BytesIO()
    jpeg, ends = packed([gathering.image for gathering in gatherings])
    np.savez_compressed(
        content,
        jpeg=jpeg,
        ends=ends,
        regions=np.concatenate([gathering.regions for gathering in gatherings]),
        wanted=np.concatenate([gathering.required for gathering in gatherings]),
        faces=np.array([len(gathering.regions) for gathering in gatherings]),
        about=np.array(json.dumps({"origin": origin})),
    )
    write_atomically(path, content.getvalue())


def read_picture_set(path: Path) -> PictureSet:
    """Read what `write_picture_set` wrote; ExportError when the file is missing or damaged."""
    how = "make one with `python -m export picture-set --data FOLDER_OF_RENDERS`"
    if not path.is_file():
        raise ExportError(f"no picture set at {path}; {how}")
    content = path.read_bytes()
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            images = unpacked(arrays["jpeg"], arrays["ends"])
            cuts = np.cumsum(arrays["faces"])[:-1]
            labels = zip(images, np.split(arrays["regions"], cuts), np.split(arrays["wanted"], cuts), strict=True)
            return PictureSet(
                gatherings=tuple(Composite(*each) for each in labels),
                origin=json.loads(str(arrays["about"]))["origin"],
                sha256=hashlib.sha256(content).hexdigest(),
            )
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, cv2.error) as error:
        raise ExportError(f"{path} is not a picture set or is damaged ({error}); copy it again or {how}") from error
