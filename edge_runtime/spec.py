"""ModelSpec and DetectorSpec: inputs, outputs, and thresholds of a model, stored as JSON in its file.

ONNX files have it in `metadata_props` under `model_spec`, CoreML packages in the user-defined metadata under the same
key, TFLite files in an appended zip archive (TFLite's "associated files") as `model_spec.json`.
"""

from __future__ import annotations

import dataclasses
import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from edge_runtime import protobuf
from edge_runtime.errors import ModelFileError, require
from edge_runtime.geometry import ROI_MARGIN
from edge_runtime.landmarks import SCHEMES, LandmarkScheme
from edge_runtime.template import Template

FORMAT_VERSION = 1
"""Version of the format. A reader refuses any other. It ignores fields and leaves out outputs that it does not know, so
the version is raised only by what a reader must know to use a file: a field that is removed or means something else, an
input, another crop rule."""
SPEC_KEY = "model_spec"
"""Key of the spec's JSON in ONNX and CoreML metadata."""
SPEC_FILE = "model_spec.json"
"""Name of the spec's JSON in the archive at the end of a TFLite file."""
SUFFIXES = (".tflite", ".onnx", ".mlpackage")
"""Suffixes of model files; an .mlpackage is a folder."""
_RENAMED = {"most_uncertain": "uncertainty_threshold"}
_RENAMED_OUTPUTS = {"regions": "rois"}
"""Names in specs of earlier versions, which are still read."""
_COREML_MODEL = Path("Data", "com.apple.CoreML", "model.mlmodel")
_HOW_TO_MAKE = "make one with `make export-tflite` or `make export-onnx`"


def standard_outputs(landmarks: int, with_heads: bool = True, points: int = 0) -> dict[str, tuple[int, ...]]:
    """Return the outputs of a landmark model in order: name to shape without the batch axis.

    `with_heads` adds head pose and confidence; `points` is the number of template or query points.
    """
    outputs: dict[str, tuple[int, ...]] = {"landmarks": (landmarks, 2), "uncertainty": (landmarks,)}
    outputs |= {"pose": (3,), "confidence": (1,)} if with_heads else {}
    return outputs | ({"points": (points, 2), "points_uncertainty": (points,)} if points else {})


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
    provenance: Mapping[str, str] = field(default_factory=dict)
    """Origin of the file, such as data, seed, license, and calibration, in free text."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Versions of the exporter and its libraries."""
    format_version: int = FORMAT_VERSION
    """Version of the format; see `FORMAT_VERSION`."""

    def __post_init__(self) -> None:
        _check_version(self.format_version)
        outputs = {name: tuple(int(n) for n in shape) for name, shape in self.outputs.items()}
        require(self.input_size >= 8, f"input_size must be at least 8 pixels, got {self.input_size}")
        require(0 <= self.crop_margin < math.inf, f"crop_margin must be 0 or more, got {self.crop_margin}")
        require(0 < self.track_threshold < 1, f"track_threshold must lie in (0, 1), got {self.track_threshold}")
        for name, mapping in (("outputs", outputs), ("provenance", self.provenance), ("versions", self.versions)):
            object.__setattr__(self, name, MappingProxyType(dict(mapping)))

    @property
    def known_outputs(self) -> tuple[str, ...]:
        """Names of the outputs that this version knows: those that a backend returns."""
        return tuple(name for name in self.outputs if name in _KNOWN_OUTPUTS)

    def _check_outputs(self, *expected: Mapping[str, tuple[int, ...]]) -> None:
        """Raise ValueError unless the known outputs are one of `expected`, in order and before all others."""
        if not any(list(self.outputs.items())[: len(self.known_outputs)] == list(each.items()) for each in expected):
            allowed = " or ".join(map(str, expected))
            raise ValueError(
                f"outputs must be {allowed} in this order, others only after them, got {dict(self.outputs)}"
            )

    def to_json(self) -> str:
        """Return the spec as a JSON object with a key per field."""
        return json.dumps(self._values(), indent=1)

    def _values(self) -> dict[str, Any]:
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
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
        for f in fields:
            if f.name in known and not isinstance(known[f.name], _JSON_TYPES.get(str(f.type), object)):
                raise ValueError(
                    f"the model spec has a field of the wrong type: {f.name} is {known[f.name]!r}, expected {f.type}"
                )
        # Unlike in a user's file, an unknown field is a later version's, not a typing error.
        for name, kind in (("template", Template), ("scheme_definition", LandmarkScheme)):
            if isinstance(part := known.get(name), dict):
                part = {f.name: part[f.name] for f in dataclasses.fields(kind) if f.name in part}
            if part is not None:
                known[name] = kind.from_dict(part)
        try:
            return cls(**known)
        except (TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"the model spec has a field of the wrong type: {error}") from error

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
    uncertainty_threshold: float = 0.06
    """Maximum mean standard deviation of a new face's landmarks, crop widths. 98 % of held-out rendered faces are
    below, and no background whose confidence passes."""
    scheme_definition: LandmarkScheme | None = None
    """Definition of a scheme that is not in `landmarks.SCHEMES`; None for one that is, or if the file has none."""
    template: Template | None = None
    """Template that the model was exported with; None for landmarks only or query points."""
    prompts: int = 0
    """Number of query points of the second input, (prompts, 2) float32 in [0, 1] of canonical face space; 0: none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        mean_shape = np.array(self.mean_shape, np.float32)
        valid = mean_shape.ndim == 2 and mean_shape.shape[1] == 2 and len(mean_shape) and np.isfinite(mean_shape).all()
        require(valid, f"mean_shape must hold finite (N, 2) points, got shape {mean_shape.shape}")
        if self.prompts < 0 or (self.prompts and self.template is not None):
            raise ValueError(f"a model has a template or query points, got {self.template} and {self.prompts} prompts")
        self._check_outputs(*(standard_outputs(len(mean_shape), heads, self.points) for heads in (True, False)))
        defined = self.scheme_definition
        if defined is not None and defined.name != self.scheme:
            raise ValueError(f"scheme_definition is of {defined.name}, the scheme is {self.scheme}")
        if defined is not None and SCHEMES.get(self.scheme) == defined:
            object.__setattr__(self, "scheme_definition", None)
        scheme = self.landmark_scheme
        if scheme is not None and scheme.count != len(mean_shape):
            raise ValueError(f"scheme {self.scheme} has {scheme.count} points, mean_shape has {len(mean_shape)}")
        require(
            0 < self.lost_threshold <= self.track_threshold,
            "thresholds must satisfy 0 < lost_threshold <= track_threshold < 1, "
            f"got {self.lost_threshold} and {self.track_threshold}",
        )
        require(
            self.uncertainty_threshold > 0, f"uncertainty_threshold must be positive, got {self.uncertainty_threshold}"
        )
        mean_shape.flags.writeable = False
        object.__setattr__(self, "mean_shape", mean_shape)

    @property
    def landmark_scheme(self) -> LandmarkScheme | None:
        """The scheme of the outputs: names, groups, edges; None if neither this version nor the file defines it."""
        return self.scheme_definition or SCHEMES.get(self.scheme)

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


_KNOWN_OUTPUTS = frozenset({*standard_outputs(1, points=1), *detector_outputs(1)})
_JSON_TYPES: Mapping[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}
"""Types of a field in JSON, by its annotation."""


def read_spec(path: Path | str) -> ModelSpec | DetectorSpec:
    """Read the spec of a .tflite or .onnx file or an .mlpackage.

    Raises:
        FileNotFoundError: The file does not exist.
        ModelFileError: The file is empty, damaged, of another format, or has no spec.
    """
    return parse_spec(read_spec_json(path), Path(path))


def read_spec_json(path: Path | str) -> str | None:
    """Return the spec's JSON as the file holds it, None if there is none; errors as of `read_spec`."""
    path = check_model_file(path)
    return {".tflite": _spec_in_tflite, ".onnx": _spec_in_onnx, ".mlpackage": _spec_in_mlpackage}[path.suffix](path)


def parse_spec(text: str | None, path: Path) -> ModelSpec | DetectorSpec:
    """Parse the JSON found in the file `path`, None if there was none. ModelFileError names the file."""
    if text is None:
        raise ModelFileError(
            f"{path} has no model spec: it was not exported by this project or is truncated; {_HOW_TO_MAKE}"
        )
    try:
        values = _read_values(text)
        is_detector = isinstance(values.get("outputs"), dict) and "scores" in values["outputs"]
        return DetectorSpec._from_values(values) if is_detector else ModelSpec._from_values(values)
    except ValueError as error:
        raise ModelFileError(f"{path}: {error}; {_HOW_TO_MAKE}") from error


def _read_values(text: str) -> dict[str, Any]:
    """Return the fields of a spec's JSON by their present names."""
    try:
        values = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"the model spec is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"the model spec must be a JSON object, got {type(values).__name__}")
    # First: another version may have other fields.
    _check_version(values.get("format_version"))
    values = {_RENAMED.get(name, name): value for name, value in values.items()}
    if isinstance(outputs := values.get("outputs"), dict):
        values["outputs"] = {_RENAMED_OUTPUTS.get(name, name): shape for name, shape in outputs.items()}
    return values


def _check_version(version: object) -> None:
    if version != FORMAT_VERSION:
        raise ValueError(
            f"the model spec's format_version is {version!r}, this runtime reads {FORMAT_VERSION}: "
            "update the runtime, or export the model again"
        )


def check_model_file(path: Path | str) -> Path:
    """Return the path of a non-empty model file of a known format; raise FileNotFoundError or ModelFileError."""
    path = Path(path)
    if path.exists() and path.suffix not in SUFFIXES:
        raise ModelFileError(f"{path}: a model file ends in {', '.join(SUFFIXES)}, got {path.suffix!r}")
    content = path / _COREML_MODEL if path.suffix == ".mlpackage" else path
    if path.is_dir() and not content.is_file():
        raise ModelFileError(f"{path} is not a CoreML package or lacks {_COREML_MODEL}; {_HOW_TO_MAKE}")
    if not content.is_file():
        raise FileNotFoundError(f"no model file at {path}; {_HOW_TO_MAKE}")
    with content.open("rb") as file:
        head = file.read(8)
    if not head:
        raise ModelFileError(f"{path} is empty; {_HOW_TO_MAKE}")
    # Bytes 4 to 8 of every TFLite file. The other formats have no such mark.
    if path.suffix == ".tflite" and head[4:] != b"TFL3":
        raise ModelFileError(f"{path} is not a TFLite file or is damaged; {_HOW_TO_MAKE}")
    return path


def _spec_in_tflite(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(SPEC_FILE).decode()
    except (zipfile.BadZipFile, KeyError):
        return None
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{path}: the model spec is damaged ({error}); {_HOW_TO_MAKE}") from error


def _spec_in_onnx(path: Path) -> str | None:
    model = memoryview(path.read_bytes())
    try:
        return protobuf.string_map(protobuf.messages(model, 14)).get(SPEC_KEY)  # ModelProto.metadata_props
    except ValueError as error:
        raise ModelFileError(f"{path} is not an ONNX model or is damaged ({error}); {_HOW_TO_MAKE}") from error


def _spec_in_mlpackage(path: Path) -> str | None:
    parts = [memoryview((path / _COREML_MODEL).read_bytes())]
    try:
        for field in (2, 100):  # Model.description, ModelDescription.metadata
            parts = [inner for part in parts for inner in protobuf.messages(part, field)]
        entries = [entry for part in parts for entry in protobuf.messages(part, 100)]  # Metadata.userDefined
        return protobuf.string_map(iter(entries)).get(SPEC_KEY)
    except ValueError as error:
        raise ModelFileError(f"{path} is not a CoreML package or is damaged ({error}); {_HOW_TO_MAKE}") from error
