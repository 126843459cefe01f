"""Options of the export commands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import atpn

WEIGHTS_FOLDER = Path(atpn.__file__).parent / "weights"
"""What we trained and ship, with the rendered crops that calibrate and check it."""

TFLitePrecision = Literal["float32", "float16", "int8"]
OnnxPrecision = Literal["float32"]


@dataclass(frozen=True)
class _Common:
    weights: Path = WEIGHTS_FOLDER / "atpn.safetensors"
    """Checkpoint to export; its .json lies beside it."""
    out: Path = Path("dist")
    """Folder for the files and report.json; the runtime looks for `dist` by default."""
    name: str = "atpn"
    """Files are called NAME_PRECISION.EXTENSION."""
    held_out: Path = WEIGHTS_FOLDER / "heldout.npz"
    """Crops that decide whether a file is good enough to be written; `calibration-set` makes them."""
    force: bool = False
    """Convert again even if an up-to-date file is there."""


@dataclass(frozen=True)
class TFLiteConfig(_Common):
    """Options of `python -m export tflite`."""

    precision: tuple[TFLitePrecision, ...] = ("float32", "int8")
    """float32 is the reference; int8 (mixed: the finest layers and the results stay float) a third of its size and
    faster; float16 half its size at the same speed."""
    calibration: Path = WEIGHTS_FOLDER / "calibration.npz"
    """Crops that int8's value ranges are taken from; `calibration-set` makes them."""


@dataclass(frozen=True)
class OnnxConfig(_Common):
    """Options of `python -m export onnx`."""

    precision: tuple[OnnxPrecision, ...] = ("float32",)
    """Quantised ONNX is a third of the size but no faster on a CPU; TFLite is the format for int8."""


@dataclass(frozen=True)
class CropSetConfig:
    """Options of `python -m export calibration-set`."""

    data: Path
    """Folder of rendered shards that training has not seen, for instance renders/heldout."""
    out: Path = WEIGHTS_FOLDER
    """Folder for calibration.npz and heldout.npz."""
    calibration_crops: int = 96
    """Value ranges settle after some dozens of crops; 96 JPEGs stay well below half a megabyte."""
    held_out_crops: int = 200
    """Enough to see an error grow by a few percent, small enough to be committed."""
    background_share: float = 0.15
    """Of the crops hold no properly framed face: a tracker meets those too."""
    crop_size: int = 112
    """Side of the crops; the network's input size."""
    seed: int = 20
    """Decides people, jitter and backgrounds; stored in the files."""
