"""What sources give: frames. Sources are opened by `sources.open_source`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

DEFAULT_FPS = 30.0
"""Frame rate of sources that report none: folders, some cameras and containers."""


@dataclass(frozen=True)
class Frame:
    """One frame of a source."""

    image: np.ndarray
    """(H, W, 3) uint8 BGR, upright and with square pixels."""
    timestamp: float
    """Seconds since the source's first frame: the file's own times, or the clock of a live source."""
    index: int
    """Index of the frame, from 0. Dropped frames and unreadable images of a folder are counted, too."""
    name: str | None = None
    """File name of a still image; None for videos and cameras."""
    dropped: int | None = None
    """Frames of a live source that were dropped since the previous one; None for files, which drop none."""


class Source(Protocol):
    """Iterable of frames, once and in order; a context manager that releases the device or file."""

    fps: float = DEFAULT_FPS
    """Nominal frames per second."""
    stills: bool = False
    """The frames are separate images: one image, or a folder."""
    length: int | None = None
    """Maximum number of frames; None if unknown."""
    expected: int | None = None
    """Number of frames reported by the source, for progress; None if unknown."""
    live: bool = False
    """Frames arrive in real time, as from a camera."""
    skipped: Sequence[str] = ()
    """Names of the files of a folder that gave no frame, so far."""
    incomplete: str | None = None
    """After the last frame: what could not be read, if the file is damaged or cut."""

    def __iter__(self) -> Iterator[Frame]: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        return None

    def close(self) -> None:
        """Release the device or file, as the end of a `with` block does."""
        self.__exit__(None, None, None)


@dataclass(frozen=True)
class CameraRequest:
    """Size and rate that a camera is asked for; None leaves the camera's own. ValueError if a value is invalid."""

    width: int | None = None
    """Pixels."""
    height: int | None = None
    """Pixels."""
    fps: float | None = None
    """Frames per second."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not 0 < value < 2**15:
                raise ValueError(f"{name} must be above 0 and below 32768, got {value}")
        if (self.width is None) != (self.height is None):
            raise ValueError(f"width and height belong together, got {self.width} x {self.height}: give both")

    def __bool__(self) -> bool:
        """Whether anything is asked for."""
        return any(value is not None for value in vars(self).values())

    def __str__(self) -> str:
        size = [] if self.width is None else [f"{self.width} x {self.height}"]
        return " at ".join(size + ([] if self.fps is None else [f"{self.fps:g} fps"]))
