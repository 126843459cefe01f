"""Where a file comes from, for the spec inside it, and how the spec gets into a .tflite file."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import atpn.model
from edge_runtime.model_file import NO_CHECKSUM, SPEC_FILE, content_sha256
from edge_runtime.spec import DetectorSpec, ModelSpec
from export.errors import requires

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Zip's earliest time stamp: the same model gives the same bytes."""
MAX_NOTE_LENGTH = 600
"""Characters of one checkpoint entry that the spec repeats; training logs stay in the checkpoint."""


class Checkpoint(Protocol):
    """A network's weights."""

    @property
    def metadata(self) -> dict[str, Any]:
        """What the checkpoint says about itself."""

    @property
    def weights_sha256(self) -> str:
        """Hash of the weights."""


def origin_of(checkpoint: Checkpoint, libraries: Sequence[str], notes: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a spec that say where the file comes from.

    Args:
        checkpoint: The weights; short entries of its metadata become provenance.
        libraries: Distributions whose versions decide what the file looks like.
        notes: More provenance.

    Raises:
        ExportError: One of the libraries is not installed.
    """
    entries = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in checkpoint.metadata.items()
        if key != "template"
    }
    short = {key: note for key, note in entries.items() if len(note) <= MAX_NOTE_LENGTH}
    versions = {"exporter": exporter_version()}
    for library in libraries:
        with requires("coreml" if library == "coremltools" else "export"):
            versions[library] = importlib.metadata.version(library)
    return {"weights_sha256": checkpoint.weights_sha256, "provenance": {**short, **notes}, "versions": versions}


@functools.cache
def exporter_version() -> str:
    """Return this package's version and a hash of the sources that shape files, which change between releases."""
    digest = hashlib.sha256()
    for source in sources():
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    try:
        version = importlib.metadata.version("atpn")
    except importlib.metadata.PackageNotFoundError:
        version = "source"  # run from a checkout without installing it
    return f"{version}+{digest.hexdigest()[:12]}"


def sources() -> list[Path]:
    """Return the sources that shape files; what only chooses or reads a conversion's inputs is not among them."""
    here = Path(__file__).parent
    folders = here / "formats", Path(atpn.model.__file__).parent
    return [
        here / "metadata.py",
        here / "points.py",
        *(each for folder in folders for each in sorted(folder.glob("*.py"))),
    ]


def append_spec(tflite: bytes, spec: ModelSpec | DetectorSpec) -> bytes:
    """Append a zip archive of the spec, with the checksum, to a TFLite file: TFLite and zip readers accept both."""
    unfilled = dataclasses.replace(spec, content_sha256=NO_CHECKSUM)
    checksum = content_sha256([tflite, unfilled.to_json().encode()])
    filled = dataclasses.replace(spec, content_sha256=checksum)
    content = io.BytesIO(tflite)
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr(zipfile.ZipInfo(SPEC_FILE, _ZIP_EPOCH), filled.to_json())
    return content.getvalue()
