"""ModelSpec and DetectorSpec: inputs, outputs, and thresholds of a model, stored as JSON in its file.

`model_file` says where it is in a file, and what its checksum is of.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from edge_runtime.errors import ModelFileError, is_finite, is_whole, require
from edge_runtime.expressions import EXPRESSIONS
from edge_runtime.geometry import ROI_MARGIN
from edge_runtime.landmarks import MAX_LANDMARKS, SCHEMES, LandmarkScheme
from edge_runtime.model_file import HOW_TO_MAKE, ModelFile, read_model_file
from edge_runtime.reading import parse_json, quote
from edge_runtime.template import MAX_POINTS, Template

FORMAT_VERSION = 1
"""Version of the format. A reader refuses any other. It ignores fields and leaves out outputs that it does not know, so
the version is raised only by what a reader must know to use a file: a field that is removed or means something else, an
input, another crop rule."""
INPUT_SIZES = (16, 1024)
"""Limits of the input's side, pixels."""
MAX_CROP_MARGIN = 2.0
"""Maximum margin of the crop rule: a crop of five faces' width."""
MAX_DIMENSION = 4096
"""Maximum of each dimension of an output."""
MAX_OUTPUTS = 64
"""Maximum number of outputs."""
MEAN_SHAPE_LIMITS = (-1.0, 2.0)
"""Limits of a mean shape's coordinates, crop widths."""
_RENAMED = {"most_uncertain": "uncertainty_threshold"}
_RENAMED_OUTPUTS = {"regions": "rois"}
"""Names in specs of earlier versions, which are still read."""
_MAX_MESSAGE = 1000
"""Maximum length of what is said about a spec, characters."""
_NAMES = ("name", "input_name", "precision")


def standard_outputs(
    landmarks: int, with_heads: bool = True, points: int = 0, with_expressions: bool = False
) -> dict[str, tuple[int, ...]]:
    """Return the outputs of a landmark model in order: name to shape without the batch axis.

    Args:
        landmarks: Number of landmarks.
        with_heads: Add head pose and confidence.
        points: Number of template or query points.
        with_expressions: Add the coefficients in the order of `EXPRESSIONS`, and each eye's gaze in the pose's frame.
    """
    outputs: dict[str, tuple[int, ...]] = {"landmarks": (landmarks, 2), "uncertainty": (landmarks,)}
    outputs |= {"pose": (3,), "confidence": (1,)} if with_heads else {}
    outputs |= {"points": (points, 2), "points_uncertainty": (points,)} if points else {}
    return outputs | ({"expressions": (len(EXPRESSIONS),), "gaze": (2, 2)} if with_expressions else {})


def detector_outputs(grid: int, with_roll: bool = True) -> dict[str, tuple[int, ...]]:
    """Return the outputs of a face detector with `grid` cells per side; see `detector.decode_detections`.

    Detectors of earlier versions have no roll.
    """
    outputs: dict[str, tuple[int, ...]] = {"scores": (grid, grid), "rois": (grid, grid, 3)}
    return outputs | ({"roll": (grid, grid, 2)} if with_roll else {})


@dataclass(frozen=True, eq=False, kw_only=True)
class FileSpec:
    """What the specs of landmark models and of face detectors have in common. ValueError names an invalid field."""

    name: str
    """Name of the model, for instance `atpn`."""
    outputs: Mapping[str, tuple[int, ...]]
    """Name to shape without the batch axis, in the file's order; see `standard_outputs` and `detector_outputs`. Outputs
    that this version does not know may follow those that it knows."""
    input_name: str = "image"
    input_size: int = 112
    """Side of the square RGB uint8 input, pixels."""
    crop_margin: float = ROI_MARGIN
    """Margin of the crop rule in training, or of a detector's ROIs; see `ROI.from_landmarks`."""
    track_threshold: float = 0.7
    """Minimum confidence for a crop to count as a face, in (0, 1). For a detector: minimum score of a detection."""
    precision: str = "fp32"
    """Storage of weights and activations: `fp32`, `fp16`, or `int8`."""
    weights_sha256: str = ""
    """SHA-256 of the exported checkpoint."""
    content_sha256: str = ""
    """Checksum of the file, see `model_file`; empty in files of earlier versions, which cannot be checked."""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """Origin of the file, such as data, seed, license, and calibration, in free text."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Versions of the exporter and its libraries."""
    format_version: int = FORMAT_VERSION
    """Version of the format; see `FORMAT_VERSION`."""

    def __post_init__(self) -> None:
        _check_version(self.format_version)
        for name in _NAMES:
            _require_text(name, getattr(self, name))
        size, (low, high) = self.input_size, INPUT_SIZES
        valid = is_whole(size) and low <= size <= high
        require(valid, f"input_size must be {low} to {high} pixels, got {quote(repr(size))}")
        valid = is_finite(self.crop_margin) and 0 <= self.crop_margin <= MAX_CROP_MARGIN
        require(valid, f"crop_margin must lie in [0, {MAX_CROP_MARGIN:g}], got {quote(repr(self.crop_margin))}")
        valid = is_finite(self.track_threshold) and 0 < self.track_threshold < 1
        require(valid, f"track_threshold must lie in (0, 1), got {quote(repr(self.track_threshold))}")
        require(isinstance(self.weights_sha256, str), f"weights_sha256 must be a text, got {self.weights_sha256!r}")
        checksum = self.content_sha256
        valid = isinstance(checksum, str) and re.fullmatch("[0-9a-f]{64}|", checksum) is not None
        require(valid, f"content_sha256 must be 64 hexadecimal digits, got {quote(repr(checksum))}")
        for name in ("provenance", "versions"):
            notes = getattr(self, name)
            texts = isinstance(notes, Mapping) and all(isinstance(text, str) for pair in notes.items() for text in pair)
            require(texts, f"{name} must be texts by name, got {quote(repr(notes))}")
            object.__setattr__(self, name, MappingProxyType(dict(notes)))
        object.__setattr__(self, "outputs", MappingProxyType(_checked_outputs(self.outputs)))

    @property
    def known_outputs(self) -> tuple[str, ...]:
        """Names of the outputs that this version knows: those that a backend returns."""
        return tuple(name for name in self.outputs if name in _KNOWN_OUTPUTS)

    def _check_outputs(self, *expected: Mapping[str, tuple[int, ...]]) -> None:
        """Raise ValueError unless the known outputs are one of `expected`, in order and before all others."""
        if not any(list(self.outputs.items())[: len(self.known_outputs)] == list(each.items()) for each in expected):
            allowed = " or ".join(map(str, expected))
            raise ValueError(
                f"outputs must be {allowed} in this order, others only after them, got {quote(dict(self.outputs))}"
            )

    def to_json(self) -> str:
        """Return the spec as a JSON object with a key per field."""
        return json.dumps(self._values(), indent=1)

    def _values(self) -> dict[str, Any]:
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        if not self.content_sha256:
            del values["content_sha256"]
        return values | {name: dict(values[name]) for name in ("outputs", "provenance", "versions")}

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse the result of `to_json`, of this or another version; unknown fields are ignored.

        ValueError names an invalid field.
        """
        return cls._from_values(_read_values(text))

    @classmethod
    def _from_values(cls, values: Mapping[str, Any]) -> Self:
        fields = dataclasses.fields(cls)
        required = {f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING}
        if missing := sorted(required - values.keys()):
            raise ValueError(f"the model spec lacks {', '.join(missing)}")
        known = {f.name: values[f.name] for f in fields if f.name in values}
        # Unlike in a user's file, an unknown field is a later version's, not a typing error.
        for name, kind in (("template", Template), ("scheme_definition", LandmarkScheme)):
            if isinstance(part := known.get(name), dict):
                part = {f.name: part[f.name] for f in dataclasses.fields(kind) if f.name in part}
            if part is not None:
                known[name] = kind.from_dict(part)
        return cls(**known)

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read the spec of a file that must be of this kind; errors as of `read_spec`."""
        return cls.check_kind(read_spec(path))

    @classmethod
    def check_kind(cls, spec: ModelSpec | DetectorSpec) -> Self:
        """Return the spec itself. ModelFileError if it is of the other kind."""
        if isinstance(spec, cls):
            return spec
        if isinstance(spec, DetectorSpec):
            raise ModelFileError(f"model {spec.name!r} is a face detector; pass it as `detector`, not as `model`")
        raise ModelFileError(
            f"model {spec.name!r} is not a detector: its outputs are {', '.join(spec.outputs)}, "
            "expected scores and rois; run `make export-tflite`"
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class ModelSpec(FileSpec):
    """Specification of one exported landmark model, for crops of one face. ValueError names an invalid field."""

    scheme: str
    """Name of the landmark scheme of the outputs; see `landmark_scheme`."""
    mean_shape: np.ndarray
    """(N, 2) upright mean face in [0, 1] of the crop, the reference of a crop's roll."""
    upright: bool = True
    """The model was trained on upright crops; see `geometry.upright_roll`."""
    lost_threshold: float = 0.4
    """Confidence below which a tracked face is lost at once; between it and `track_threshold`, after some frames."""
    uncertainty_threshold: float = 0.07
    """Maximum mean standard deviation of a new face's landmarks, crop widths. 97 % of held-out rendered faces are
    below."""
    scheme_definition: LandmarkScheme | None = None
    """Definition of a scheme that is not in `landmarks.SCHEMES`; None for one that is, or if the file has none."""
    template: Template | None = None
    """Template that the model was exported with; None for landmarks only or query points."""
    prompts: int = 0
    """Number of query points of the second input, (prompts, 2) float32 in [0, 1] of canonical face space; 0: none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        mean_shape = _checked_mean_shape(self.mean_shape)
        _require_text("scheme", self.scheme)
        require(isinstance(self.upright, bool), f"upright must be true or false, got {quote(repr(self.upright))}")
        valid = is_whole(self.prompts) and 0 <= self.prompts <= MAX_POINTS
        require(valid, f"prompts must be 0 to {MAX_POINTS}, got {quote(repr(self.prompts))}")
        for name, kind in (("template", Template), ("scheme_definition", LandmarkScheme)):
            part = getattr(self, name)
            require(isinstance(part, kind | None), f"{name} must be a {kind.__name__}, got {quote(repr(part))}")
        if self.prompts and self.template is not None:
            raise ValueError(f"a model has a template or query points, got {self.template} and {self.prompts} prompts")
        kinds = (True, False), (False, False), (True, True)
        self._check_outputs(*(standard_outputs(len(mean_shape), heads, self.points, more) for heads, more in kinds))
        defined = self.scheme_definition
        if defined is not None and defined.name != self.scheme:
            raise ValueError(f"scheme_definition is of {defined.name}, the scheme is {self.scheme}")
        if defined is not None and SCHEMES.get(self.scheme) == defined:
            object.__setattr__(self, "scheme_definition", None)
        scheme = self.landmark_scheme
        if scheme is not None and scheme.count != len(mean_shape):
            raise ValueError(f"scheme {self.scheme} has {scheme.count} points, mean_shape has {len(mean_shape)}")
        require(
            is_finite(self.lost_threshold) and 0 < self.lost_threshold <= self.track_threshold,
            "thresholds must satisfy 0 < lost_threshold <= track_threshold < 1, "
            f"got {quote(repr(self.lost_threshold))} and {self.track_threshold}",
        )
        limit = self.uncertainty_threshold
        valid = is_finite(limit) and 0 < limit <= 1
        require(valid, f"uncertainty_threshold must lie in (0, 1], got {quote(repr(limit))}")
        mean_shape.flags.writeable = False
        object.__setattr__(self, "mean_shape", mean_shape)

    @property
    def landmark_scheme(self) -> LandmarkScheme | None:
        """The scheme of the outputs: names, groups, edges; None if neither this version nor the file defines it."""
        return self.scheme_definition or SCHEMES.get(self.scheme)

    @property
    def has_expressions(self) -> bool:
        """Whether the model gives expressions and gaze."""
        return "expressions" in self.outputs

    @property
    def points(self) -> int:
        """Number of points besides the landmarks."""
        return self.prompts if self.template is None else len(self.template.points)

    def _values(self) -> dict[str, Any]:
        # Six decimals are a ten-thousandth of a crop pixel.
        mean_shape = [[round(float(x), 6), round(float(y), 6)] for x, y in self.mean_shape]
        template = None if self.template is None else self.template.as_dict()
        values = super()._values() | {"mean_shape": mean_shape, "template": template}
        if self.scheme_definition is not None:
            return values | {"scheme_definition": self.scheme_definition.to_dict()}
        # Runtimes of earlier versions refuse fields that they do not know.
        return {name: value for name, value in values.items() if name != "scheme_definition"}


@dataclass(frozen=True, eq=False, kw_only=True)
class DetectorSpec(FileSpec):
    """Specification of one exported face detector, for whole images. ValueError names an invalid field."""

    def __post_init__(self) -> None:
        super().__post_init__()
        grid = next(iter(self.outputs.get("scores", ())), 0)
        self._check_outputs(detector_outputs(grid), detector_outputs(grid, with_roll=False))

    def _values(self) -> dict[str, Any]:
        # Runtimes of earlier versions have one type for both kinds of model, and refuse a file without these fields.
        return super()._values() | {"scheme": "", "mean_shape": [], "lost_threshold": self.track_threshold}


_KNOWN_OUTPUTS = frozenset({*standard_outputs(1, points=1, with_expressions=True), *detector_outputs(1)})


def read_spec(path: Path | str) -> ModelSpec | DetectorSpec:
    """Read the spec of a .tflite or .onnx file or an .mlpackage.

    Raises:
        FileNotFoundError: The file does not exist.
        ModelFileError: The file is empty, damaged, of another format, or has no spec.
    """
    return open_model_file(path)[0]


def open_model_file(path: Path | str) -> tuple[ModelSpec | DetectorSpec, ModelFile]:
    """Read a model file, and check it if its spec has a checksum; errors as of `read_spec`."""
    file = read_model_file(path)
    spec = parse_spec(file.spec_json, file.path)
    written = spec.content_sha256
    if written and (found := file.sha256(written)) != written:
        raise ModelFileError(
            f"{path} is damaged: the checksum of its content is {found[:12]}…, its spec says {written[:12]}…; "
            "copy it again from where it came, or export it again"
        )
    return spec, file


def parse_spec(text: str | None, path: Path) -> ModelSpec | DetectorSpec:
    """Parse the JSON found in the file `path`, None if there was none. ModelFileError names the file."""
    if text is None:
        raise ModelFileError(
            f"{path} has no model spec: it was not exported by this project or is truncated; {HOW_TO_MAKE}"
        )
    try:
        values = _read_values(text)
        is_detector = isinstance(values.get("outputs"), dict) and "scores" in values["outputs"]
        return DetectorSpec._from_values(values) if is_detector else ModelSpec._from_values(values)
    except ValueError as error:
        raise ModelFileError(f"{path}: {quote(error, _MAX_MESSAGE)}; {HOW_TO_MAKE}") from error


def _read_values(text: str) -> dict[str, Any]:
    """Return the fields of a spec's JSON by their present names."""
    try:
        values = parse_json(text)
    except ValueError as error:
        raise ValueError(f"the model spec {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"the model spec must be a JSON object, got {type(values).__name__}")
    # First: another version may have other fields.
    _check_version(values.get("format_version"))
    values = {_RENAMED.get(name, name): value for name, value in values.items()}
    if isinstance(outputs := values.get("outputs"), dict):
        values["outputs"] = {_RENAMED_OUTPUTS.get(name, name): shape for name, shape in outputs.items()}
    return values


def _require_text(name: str, text: object) -> None:
    printable = isinstance(text, str) and text.strip() and text.isprintable()
    require(printable, f"{name} must be a printable text, got {quote(repr(text))}")


def _checked_outputs(outputs: object) -> dict[str, tuple[int, ...]]:
    """Return outputs as tuples by name. ValueError if one is not a list of sizes."""
    by_name = isinstance(outputs, Mapping) and all(isinstance(name, str) for name in outputs)
    if not isinstance(outputs, Mapping) or not by_name or len(outputs) > MAX_OUTPUTS:
        raise ValueError(f"outputs must be at most {MAX_OUTPUTS} shapes by name, got {quote(repr(outputs))}")
    for name, shape in outputs.items():
        sizes = isinstance(shape, list | tuple) and all(is_whole(n) and 1 <= n <= MAX_DIMENSION for n in shape)
        require(sizes, f"output {quote(name)} must have sizes of 1 to {MAX_DIMENSION}, got {quote(repr(shape))}")
    return {name: tuple(map(int, shape)) for name, shape in outputs.items()}


def _checked_mean_shape(points: Any) -> np.ndarray:
    """Return a mean shape as (N, 2) float32. ValueError if it is not one, or all in one place."""
    try:
        shape = np.array(points)
    except (ValueError, OverflowError):  # lists of different lengths
        shape = np.zeros(0)
    low, high = MEAN_SHAPE_LIMITS
    valid = shape.ndim == 2 and shape.shape[1] == 2 and 0 < len(shape) <= MAX_LANDMARKS and shape.dtype.kind in "iuf"
    valid = valid and np.isfinite(shape).all() and low <= shape.min() and shape.max() <= high
    require(
        valid,
        f"mean_shape must hold 1 to {MAX_LANDMARKS} finite (N, 2) points in [{low:g}, {high:g}], got an array of shape "
        f"{shape.shape}, {shape.dtype}",
    )
    require((np.ptp(shape, axis=0) > 0).all(), "mean_shape must extend over x and y, got points of one place or line")
    return shape.astype(np.float32)


def _check_version(version: object) -> None:
    if not is_whole(version) or version != FORMAT_VERSION:
        raise ValueError(
            f"the model spec's format_version is {quote(repr(version))}, this runtime reads {FORMAT_VERSION}: "
            "update the runtime, or export the model again"
        )
