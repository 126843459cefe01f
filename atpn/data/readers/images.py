"""Samples whose image is not read yet: a file, a frame of a video, a cell of an HDF5 file."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import cv2
import h5py
import numpy as np

from atpn.data.sample import Sample
from edge_runtime.decoding import load_image
from edge_runtime.reading import open_regular, quote

NO_IMAGE = np.empty((0, 0, 3), np.uint8)
"""Placeholder image of a sample that has not been read."""


class ImageSource(Protocol):
    """Where an image is stored."""

    @property
    def path(self) -> Path:
        """The file that holds it, perhaps with others."""

    def read(self) -> np.ndarray:
        """Return (H, W, 3) uint8 RGB; OSError or ValueError if it does not decode."""


_TURNS: Mapping[int, Callable[[np.ndarray], np.ndarray]] = MappingProxyType(
    {
        2: lambda image: image[:, ::-1],
        3: lambda image: image[::-1, ::-1],
        4: lambda image: image[::-1],
        5: lambda image: image.transpose(1, 0, 2),
        6: lambda image: np.rot90(image, -1),
        7: lambda image: image.transpose(1, 0, 2)[::-1, ::-1],
        8: lambda image: np.rot90(image),
    }
)
"""Stored pixels to the picture as it is shown, by Exif orientation."""


@dataclass(frozen=True)
class ImageFile:
    """An image file."""

    path: Path
    orientation: int = 1
    """Exif orientation by which the stored pixels are turned; 1: not at all, as in MATLAB."""

    def read(self) -> np.ndarray:
        """See `ImageSource`. Grayscale images become RGB."""
        image = load_image(self.path, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
        return np.ascontiguousarray(_TURNS[self.orientation](image)) if self.orientation in _TURNS else image


@dataclass(frozen=True)
class HDF5Image:
    """A cell of a MATLAB array of images."""

    path: Path
    array: str
    index: int

    def read(self) -> np.ndarray:
        """See `ImageSource`. MATLAB's axes are reversed: (3, W, H), or (W, H) for a gray image."""
        try:
            file = _opened(self.path)
            image = file[file[self.array][:].flat[self.index]][:].T
        except (KeyError, IndexError, TypeError, RuntimeError) as error:
            raise ValueError(f"{self.path}: {self.array}[{self.index}] cannot be read ({quote(error)})") from error
        if image.dtype != np.uint8 or image.ndim not in (2, 3):
            raise ValueError(
                f"{self.path}: {self.array}[{self.index}] is {image.dtype} {image.shape}, expected a uint8 image"
            )
        return np.ascontiguousarray(image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2))


@dataclass(frozen=True)
class VideoFrame:
    """A frame of a video, counted from 0."""

    path: Path
    index: int

    def read(self) -> np.ndarray:
        """See `ImageSource`. Frames are decoded from the start onward, since seeking in AVI files is inexact."""
        return _player(self.path).frame(self.index)


class _Player:
    """A video and the number of its next frame."""

    def __init__(self, path: Path) -> None:
        self.path, self.next = path, 0
        self.last: np.ndarray | None = None
        with open_regular(path):
            self.capture = cv2.VideoCapture(str(path))

    def frame(self, index: int) -> np.ndarray:
        if index < self.next - 1:
            self.capture, self.next = cv2.VideoCapture(str(self.path)), 0
        while self.next < index and self.capture.grab():
            self.next += 1
        if self.next == index:
            _, self.last = self.capture.read()
            self.next += 1
        if self.next != index + 1 or self.last is None:
            raise ValueError(f"{self.path}: frame {index + 1} does not decode; the video may be truncated")
        return np.ascontiguousarray(self.last[:, :, ::-1])


@functools.lru_cache(maxsize=1)
def _player(path: Path) -> _Player:
    return _Player(path)


@functools.lru_cache(maxsize=2)
def _opened(path: Path) -> h5py.File:
    with open_regular(path):
        return h5py.File(path, "r")


@dataclass(frozen=True)
class UnreadSample:
    """A sample without its image, and where that is stored."""

    labels: Sample
    image: ImageSource

    def decode(self) -> Sample:
        """Return the sample with its image; OSError or ValueError if it does not decode."""
        return replace(self.labels, image=self.image.read())

    @property
    def split(self) -> str:
        """Which part of the dataset it belongs to."""
        return self.labels.attributes["split"]

    @property
    def subsets(self) -> list[str]:
        """Parts of the split that the protocol reports by themselves."""
        return self.labels.attributes.get("subsets", "").split()


def unread_sample(image: ImageSource, **labels: Any) -> UnreadSample:
    """Return a sample with these fields whose image is not read yet."""
    return UnreadSample(Sample(NO_IMAGE, **labels), image)


def key_of(*parts: object) -> str:
    """Join parts to a key that is a valid file name: letters, digits, hyphens and underscores."""
    return re.sub(r"[^A-Za-z0-9-]+", "_", "_".join(map(str, parts)))
