"""Options of the export commands."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

import atpn
from edge_runtime.template import MAX_POINTS

WEIGHTS_FOLDER = Path(atpn.__file__).parent / "weights"
"""What we trained and ship, with the rendered crops that calibrate and check it."""

Heads = Literal["all", "none"]
Ranges = Literal["min-max", "moving-average"]


@dataclass(frozen=True)
class CheckOptions:
    """What files are measured against."""

    weights: Path = WEIGHTS_FOLDER / "atpn.safetensors"
    """Checkpoint; its .json lies beside it."""
    held_out: Path = WEIGHTS_FOLDER / "heldout.npz"
    """Rendered crops that decide whether a file is good enough; `calibration-set` makes them."""
    afw: Path | None = None
    """Folder with AFW's labels.json and images: the same bounds hold on its real faces, too."""
    videos: tuple[Path, ...] = ()
    """Video files: how far each file's tracks stray from the first fp32 file's is reported."""


@dataclass(frozen=True)
class ExportOptions(CheckOptions):
    """Options of every format."""

    out: Path = Path("dist")
    """Folder for the files and the report; the runtime looks for `dist` by default."""
    name: str = "atpn"
    """Files are called NAME_PRECISION.EXTENSION."""
    heads: Heads = "all"
    """`none` leaves out head pose and confidence: landmarks for crops that are known to hold a face."""
    calibration: Path = WEIGHTS_FOLDER / "calibration.npz"
    """Crops that int8's value ranges are taken from; `calibration-set` makes them."""
    calibration_crops: int | None = None
    """Take so many of them only, to see what more are worth."""
    ranges: Ranges = "min-max"
    """Over the calibration crops; `moving-average` is the TFLite quantizer's own default, and worse here."""
    template: Path | None = None
    """JSON of a template that weights with a prompt head shall find: the files, NAME_TEMPLATE_PRECISION.EXTENSION, take
    no second input then."""
    prompts: int = 64
    """How many points of the plane the files of weights with a prompt head take, without a template."""
    force: bool = False
    """Convert again even if an up-to-date file is there."""

    def __post_init__(self) -> None:
        if not 1 <= self.prompts <= MAX_POINTS:
            raise ValueError(f"--prompts must lie between 1 and {MAX_POINTS}, got {self.prompts}")
        if self.calibration_crops is not None and self.calibration_crops < 1:
            raise ValueError(f"--calibration-crops must be at least 1, got {self.calibration_crops}")


@dataclass(frozen=True)
class TFLiteConfig(ExportOptions):
    """Options of `python -m export tflite`."""

    precision: tuple[Literal["fp32", "fp16", "int8"], ...] = ("fp32", "fp16", "int8")
    """fp32 is the reference; int8 (mixed: the finest layers and the results stay float) a third of its size and
    faster; fp16 half its size at the same speed."""


@dataclass(frozen=True)
class OnnxConfig(ExportOptions):
    """Options of `python -m export onnx`."""

    precision: tuple[Literal["fp32", "int8"], ...] = ("fp32", "int8")
    """int8 is a third of fp32's size but no faster on a CPU; TFLite is the format for fast int8."""


@dataclass(frozen=True)
class CoreMLConfig(ExportOptions):
    """Options of `python -m export coreml`."""

    precision: tuple[Literal["fp16", "int8"], ...] = ("fp16", "int8")
    """Arithmetic is float16 in both; int8 stores the weights in eight bits."""


@dataclass(frozen=True)
class AllConfig(ExportOptions):
    """Options of `python -m export all`: every format in each of its precisions."""


@dataclass(frozen=True)
class DetectorOptions:
    """What the detector's files are measured against."""

    weights: Path = WEIGHTS_FOLDER / "detector.safetensors"
    """Checkpoint of a detector; its .json lies beside it."""
    held_out: Path = WEIGHTS_FOLDER / "detector_heldout.npz"
    """Rendered pictures that decide whether a file is good enough; `picture-set` makes them."""


@dataclass(frozen=True)
class DetectorConfig(DetectorOptions):
    """Options of `python -m export detector`."""

    files: tuple[Literal["tflite-fp32", "tflite-int8", "onnx-fp32"], ...] = ("tflite-fp32", "tflite-int8", "onnx-fp32")
    """Format and precision of each file. On Apple's systems apps have a detector already."""
    out: Path = Path("dist")
    """Folder for the files and the report; the runtime looks for `dist` by default."""
    name: str = "detector"
    """Files are called NAME_PRECISION.EXTENSION."""
    calibration: Path = WEIGHTS_FOLDER / "detector_calibration.npz"
    """Pictures that int8's value ranges are taken from; `picture-set` makes them."""
    force: bool = False
    """Convert again even if an up-to-date file is there."""


@dataclass(frozen=True)
class CheckConfig(CheckOptions):
    """Options of `python -m export check`."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Exported files, wherever they lie now."""
    detector: DetectorOptions = field(default_factory=DetectorOptions)
    report: Path | None = None
    """Folder for report.json, report.md and the plot; without it the table is only printed."""


@dataclass(frozen=True)
class ListConfig:
    """Options of `python -m export list`."""

    out: Path = Path("dist")
    """Folder to look into."""
    weights: Path = WEIGHTS_FOLDER / "atpn.safetensors"
    """Checkpoint that the files should come from."""
    detector: Path = WEIGHTS_FOLDER / "detector.safetensors"
    """The same for detectors."""


@dataclass(frozen=True)
class PictureSetConfig:
    """Options of `python -m export picture-set`."""

    data: Path
    """Folder of rendered shards that training has not seen, for instance renders/heldout."""
    out: Path = WEIGHTS_FOLDER
    """Folder for detector_calibration.npz and detector_heldout.npz."""
    calibration_pictures: int = 24
    held_out_pictures: int = 60
    """About two hundred faces: enough to see a hundredth of precision go."""
    picture_size: int = 192
    """Side of the pictures; the detector's input size."""
    seed: int = 20
    """Decides people, places and backgrounds; stored in the files."""


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


@dataclass(frozen=True)
class GoldenConfig:
    """Options of `python -m export golden`."""

    model: Path = Path("dist/atpn_fp32.tflite")
    """Exported tracking network, whose outputs are recorded."""
    detector: Path = Path("dist/detector_fp32.tflite")
    """The same of the detector."""
    out: Path = Path("android_demo/core/src/test/resources/golden")
    """Folder for the vectors."""
