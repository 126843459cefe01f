"""Options of the export commands."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

import atpn
from atpn.weights import shipped_networks
from edge_runtime import models
from edge_runtime.output_paths import OutputFolder
from edge_runtime.template import MAX_POINTS

WEIGHTS_FOLDER = Path(atpn.__file__).parent / "weights"
"""Shipped weights, and rendered images to calibrate and evaluate their files with."""

Heads = Literal["all", "tracking", "none"]
Ranges = Literal["min-max", "moving-average"]


@dataclass(frozen=True)
class LandmarkOptions:
    """What landmark models are evaluated with."""

    weights: Path | None = None
    """Checkpoint; its .json lies beside it. Default: all shipped tracking networks."""
    held_out: Path = WEIGHTS_FOLDER / "heldout.npz"
    """Rendered crops that files are evaluated on; `calibration-set` makes them."""
    afw: Path | None = None
    """Folder with AFW's labels.json and images: the same tolerances hold on its real faces."""
    videos: tuple[Path, ...] = ()
    """Video files on which each file's tracks are compared with the first fp32 file's."""

    @property
    def networks(self) -> dict[str, Path]:
        """Checkpoints by the name of their files."""
        return shipped_networks() if self.weights is None else {"atpn": self.weights}


@dataclass(frozen=True)
class OutputOptions:
    """Where files are written."""

    out: OutputFolder = Path("dist")
    """Folder for the files and the report."""
    force: bool = False
    """Convert again even if an up-to-date file is there."""


@dataclass(frozen=True)
class ExportConfig(OutputOptions, LandmarkOptions):
    """Options of `python -m export tflite`, `onnx`, `coreml`, and `all`."""

    precision: tuple[Literal["fp32", "fp16", "int8"], ...] = ()
    """Precisions to write; default: all that the format has (TFLite fp32, fp16, int8; ONNX fp32, int8; CoreML fp16,
    int8). TFLite int8 (mixed: the finest layers and the results stay float) is two fifths of fp32's size, and faster
    where the processor has int8 dot products; fp16 is half its size at the same speed. ONNX int8 is no faster than
    fp32. CoreML int8 stores the weights in eight bits."""
    name: str | None = None
    """Files are called NAME_PRECISION.EXTENSION; default: atpn, and the shipped networks' own names."""
    heads: Heads = "all"
    """`tracking` leaves out expressions and gaze; `none` also head pose and confidence: landmarks for crops that are
    known to hold a face."""
    calibration: Path = WEIGHTS_FOLDER / "calibration.npz"
    """Crops for int8's value ranges; `calibration-set` makes them."""
    calibration_crops: int | None = None
    """Number of these crops to use; default: all."""
    ranges: Ranges = "min-max"
    """Value ranges over the calibration crops; `moving-average`, the TFLite quantizer's default, is less accurate."""
    template: Path | None = None
    """JSON of a template, for weights with a prompt head: the files, NAME_TEMPLATE_PRECISION.EXTENSION, give its points
    and take no second input."""
    prompts: int = 64
    """Number of query points of the files of weights with a prompt head, without a template."""

    def __post_init__(self) -> None:
        if self.name is not None and len(self.networks) > 1:
            raise ValueError(f"--name {self.name} is for the files of one network: give its --weights")
        if not 1 <= self.prompts <= MAX_POINTS:
            raise ValueError(f"--prompts must be between 1 and {MAX_POINTS}, got {self.prompts}")
        if self.calibration_crops is not None and self.calibration_crops < 1:
            raise ValueError(f"--calibration-crops must be at least 1, got {self.calibration_crops}")


@dataclass(frozen=True)
class ModelsConfig:
    """Options of `python -m export models`."""

    out: OutputFolder = Path("dist/shipped")
    """Folder for the files and the report before they are copied into the runtime."""
    force: bool = False
    """Convert again even if an up-to-date file is there."""


@dataclass(frozen=True)
class DetectorOptions:
    """What detectors are evaluated with."""

    weights: Path = WEIGHTS_FOLDER / "detector.safetensors"
    """Checkpoint of a detector; its .json lies beside it."""
    held_out: Path = WEIGHTS_FOLDER / "detector_heldout.npz"
    """Rendered images that files are evaluated on; `image-set` makes them."""


@dataclass(frozen=True)
class DetectorConfig(OutputOptions, DetectorOptions):
    """Options of `python -m export detector`."""

    files: tuple[Literal["tflite-fp32", "tflite-int8", "onnx-fp32"], ...] = ("tflite-fp32", "tflite-int8", "onnx-fp32")
    """Format and precision of each file. Apple's systems have a detector of their own."""
    name: str = "detector"
    """Files are called NAME_PRECISION.EXTENSION."""
    calibration: Path = WEIGHTS_FOLDER / "detector_calibration.npz"
    """Images for int8's value ranges; `image-set` makes them."""


@dataclass(frozen=True)
class CheckConfig(LandmarkOptions):
    """Options of `python -m export check`."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Exported files."""
    detector: DetectorOptions = field(default_factory=DetectorOptions)
    report: OutputFolder | None = None
    """Folder for report.json, report.md, and the chart; default: the table is only printed."""


@dataclass(frozen=True)
class ListConfig:
    """Options of `python -m export list`."""

    out: Path = Path("dist")
    """Folder to list."""
    weights: Path | None = None
    """Checkpoint that the files should come from; default: the shipped tracking networks."""
    detector: Path = WEIGHTS_FOLDER / "detector.safetensors"
    """Checkpoint that detectors should come from."""


@dataclass(frozen=True, kw_only=True)
class SetOptions:
    """Where rendered images come from and go to."""

    data: Path
    """Folder of rendered shards that training has not seen, for instance renders/heldout."""
    out: OutputFolder = WEIGHTS_FOLDER
    """Folder for the calibration set and the held-out set."""
    seed: int = 20
    """Seed of people, jitter, and backgrounds; stored in the files."""


@dataclass(frozen=True, kw_only=True)
class ImageSetConfig(SetOptions):
    """Options of `python -m export image-set`."""

    calibration_images: int = 24
    """Number of images to calibrate with."""
    held_out_images: int = 60
    """Number of images to evaluate on. 60 images have about 200 faces, enough to detect a loss of 0.01."""
    image_size: int = 192
    """Side of the images, pixels; the detector's input size."""


@dataclass(frozen=True, kw_only=True)
class CropSetConfig(SetOptions):
    """Options of `python -m export calibration-set`."""

    calibration_crops: int = 96
    """Number of crops to calibrate with. Value ranges converge after some dozens; 96 JPEGs take half a megabyte."""
    held_out_crops: int = 200
    """Number of crops to evaluate on. 200 are enough to detect an increase of a few percent."""
    background_fraction: float = 0.15
    """Fraction of crops without a well-framed face; a tracker gets such crops, too."""
    crop_size: int = 112
    """Side of the crops, pixels; the network's input size."""


@dataclass(frozen=True)
class GoldenConfig:
    """Options of `python -m export golden`."""

    model: Path = models.FOLDER / f"{models.network_files().accurate}.tflite"
    """Exported tracking network, whose outputs are recorded."""
    detector: Path = models.FOLDER / f"{models.DETECTOR_MODEL}.tflite"
    """Exported detector, whose outputs are recorded."""
    out: OutputFolder = Path("android_demo/core/src/test/resources/golden")
    """Folder for the vectors."""
