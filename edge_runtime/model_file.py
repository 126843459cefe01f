"""Model files as bytes: the spec's JSON inside them, and the checksum that tells a whole file from a damaged one.

ONNX files have the spec in `metadata_props` under `model_spec`, CoreML packages in the user-defined metadata under the
same key, TFLite files in an appended zip archive (TFLite's "associated files") as `model_spec.json`.

The spec's `content_sha256` is the SHA-256 of these bytes, with 64 zeros in the place of the checksum itself:

- .tflite: the bytes before the archive, then the spec's JSON in UTF-8.
- .onnx: the file.
- .mlpackage: `model.mlmodel`, then the files of the folder `weights` beside it, by name.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge_runtime import protobuf
from edge_runtime.errors import ModelFileError
from edge_runtime.models import NETWORKS
from edge_runtime.reading import MAX_MODEL_BYTES, quote, read_bytes

SPEC_KEY = "model_spec"
"""Key of the spec's JSON in ONNX and CoreML metadata."""
SPEC_FILE = "model_spec.json"
"""Name of the spec's JSON in the archive at the end of a TFLite file."""
SUFFIXES = (".tflite", ".onnx", ".mlpackage")
"""Suffixes of model files; an .mlpackage is a folder."""
MAX_SPEC_BYTES = 2**20
"""Maximum size of a spec's JSON; ours have 6 kB, that of a mesh of 1024 landmarks 0.2 MB."""
NO_CHECKSUM = "0" * 64
"""What stands for the checksum while it is computed."""
HOW_TO_MAKE = "make one with `make export-tflite` or `make export-onnx`"
_COREML_MODEL = Path("Data", "com.apple.CoreML", "model.mlmodel")
_COREML_WEIGHTS = "weights"
_MAX_ARCHIVE_BYTES = 2**21
"""Maximum size of a TFLite file's archive that is read: its directory takes 200 times its size in memory."""


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A model file that was read, and not checked yet."""

    path: Path
    content: bytes
    """The file; of a package, `model.mlmodel`."""
    spec_json: str | None
    """None if the file has no spec."""
    hashed: tuple[bytes | memoryview, ...]
    """What the checksum is of."""

    def sha256(self, written: str) -> str:
        """Return the checksum of a file in which `written` stands as its checksum."""
        return content_sha256(self.hashed, written)


def content_sha256(parts: Iterable[bytes | memoryview], written: str = NO_CHECKSUM) -> str:
    """Return the checksum of a file's parts in which `written`, 64 hexadecimal digits, stands as their checksum."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(bytes(part).replace(written.encode(), NO_CHECKSUM.encode()))
    return digest.hexdigest()


def read_model_file(path: Path | str) -> ModelFile:
    """Read a .tflite or .onnx file or an .mlpackage.

    Raises:
        FileNotFoundError: The file does not exist.
        ModelFileError: The file is no regular one, too large, empty, of another format, or damaged where the spec is.
    """
    path = check_model_file(path)
    content = read_bytes(path / _COREML_MODEL if path.suffix == ".mlpackage" else path, MAX_MODEL_BYTES, ModelFileError)
    if not content:
        raise ModelFileError(f"{path} is empty; {HOW_TO_MAKE}")
    reader = {".tflite": _read_tflite, ".onnx": _read_onnx, ".mlpackage": _read_mlpackage}[path.suffix]
    return reader(path, content)


def check_model_file(path: Path | str) -> Path:
    """Return the path of a model file of a known format; raise FileNotFoundError or ModelFileError."""
    path = Path(path)
    if path.exists() and path.suffix not in SUFFIXES:
        raise ModelFileError(f"{path}: a model file ends in {', '.join(SUFFIXES)}, got {path.suffix!r}")
    if path.is_dir() and not (path.suffix == ".mlpackage" and (path / _COREML_MODEL).is_file()):
        raise ModelFileError(f"{path} is not a CoreML package or lacks {_COREML_MODEL}; {HOW_TO_MAKE}")
    if not path.exists():
        known = "" if path.suffix else f", and no shipped network of that name ({', '.join(NETWORKS)})"
        raise FileNotFoundError(f"no model file at {path}{known}; {HOW_TO_MAKE}")
    if path.suffix == ".mlpackage" and not path.is_dir():
        raise ModelFileError(f"{path} is not a folder, as CoreML packages are; {HOW_TO_MAKE}")
    return path


def coreml_model(package: Path) -> Path:
    """Return the path of a CoreML package's program, which holds the spec."""
    return package / _COREML_MODEL


def _read_tflite(path: Path, content: bytes) -> ModelFile:
    # Bytes 4 to 8 of every TFLite file. The other formats have no such mark.
    if content[4:8] != b"TFL3":
        raise ModelFileError(f"{path} is not a TFLite file or is damaged; {HOW_TO_MAKE}")
    tail = content[-_MAX_ARCHIVE_BYTES:]
    try:
        with zipfile.ZipFile(io.BytesIO(tail)) as archive:
            start = len(content) - len(tail) + min((entry.header_offset for entry in archive.infolist()), default=0)
            text = _spec_in_archive(path, archive)
    except Exception as error:  # zipfile has a dozen kinds for damaged archives, without a common base class
        if isinstance(error, KeyError) or not zipfile.is_zipfile(io.BytesIO(tail)):
            return ModelFile(path, content, None, (content,))
        raise ModelFileError(f"{path}: the model spec is damaged ({quote(error)}); {HOW_TO_MAKE}") from error
    return ModelFile(path, content, _decoded(path, text), (memoryview(content)[: max(start, 0)], text))


def _spec_in_archive(path: Path, archive: zipfile.ZipFile) -> bytes:
    entry = archive.getinfo(SPEC_FILE)
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # the others expand without a limit
        raise NotImplementedError(f"compression {entry.compress_type}, expected none or deflate")
    with archive.open(entry) as file:
        text = file.read(MAX_SPEC_BYTES + 1)
    if max(entry.file_size, len(text)) > MAX_SPEC_BYTES:
        raise ValueError(f"{max(entry.file_size, len(text))} bytes, at most {MAX_SPEC_BYTES} are read")
    return text


def _read_onnx(path: Path, content: bytes) -> ModelFile:
    try:
        text = protobuf.map_value(protobuf.messages(memoryview(content), 14), SPEC_KEY)  # ModelProto.metadata_props
    except ValueError as error:
        raise ModelFileError(f"{path} is not an ONNX model or is damaged ({quote(error)}); {HOW_TO_MAKE}") from error
    return ModelFile(path, content, None if text is None else _decoded(path, text), (content,))


def _read_mlpackage(path: Path, content: bytes) -> ModelFile:
    parts = [memoryview(content)]
    try:
        for field in (2, 100):  # Model.description, ModelDescription.metadata
            parts = [inner for part in parts for inner in protobuf.messages(part, field)]
        entries = (entry for part in parts for entry in protobuf.messages(part, 100))  # Metadata.userDefined
        text = protobuf.map_value(entries, SPEC_KEY)
    except ValueError as error:
        raise ModelFileError(f"{path} is not a CoreML package or is damaged ({quote(error)}); {HOW_TO_MAKE}") from error
    hashed = content, *_coreml_weights(path)
    return ModelFile(path, content, None if text is None else _decoded(path, text), hashed)


def _coreml_weights(package: Path) -> list[bytes]:
    folder, left = coreml_model(package).parent / _COREML_WEIGHTS, MAX_MODEL_BYTES
    weights = []
    for file in sorted(folder.iterdir()) if folder.is_dir() else []:
        weights.append(read_bytes(file, left, ModelFileError))
        left -= len(weights[-1])
    return weights


def _decoded(path: Path, text: bytes) -> str:
    if len(text) > MAX_SPEC_BYTES:
        raise ModelFileError(f"{path}: the model spec has {len(text)} bytes, at most {MAX_SPEC_BYTES} are read")
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{path}: the model spec is damaged ({error}); {HOW_TO_MAKE}") from error
