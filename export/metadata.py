"""The spec that travels inside each file: made from the checkpoint, put into the file's bytes."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import atpn.model
from edge_runtime.spec import SPEC_FILE, ModelSpec, standard_outputs
from edge_runtime.template import Template
from export.errors import ExportError
from export.reference import Reference

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Zip's earliest time stamp: the same model gives the same bytes."""
SHAPING_SOURCES = (
    "wrapper.py",
    "tflite.py",
    "flatbuffer.py",
    "upsampling.py",
    "quantise.py",
    "onnx.py",
    "coreml.py",
    "metadata.py",
    "points.py",
)
"""This room's files whose changes change the exported ones; the network's own are all of `atpn.model`."""
LONGEST_NOTE = 600
"""Characters of one checkpoint entry that the spec repeats; whole training logs stay in the checkpoint."""


def make_spec(
    reference: Reference,
    name: str,
    precision: str,
    with_heads: bool,
    libraries: tuple[str, ...],
    notes: Mapping[str, str] | None = None,
    template: Template | None = None,
    prompts: int = 0,
) -> ModelSpec:
    """The spec of a file about to be made; `libraries` are the distributions whose versions shape it.

    The file finds a template's points, or so many prompts, besides the landmarks.

    ExportError when one of them is not installed.
    """
    model = reference.model
    return ModelSpec(
        name=name,
        scheme=model.config.scheme,
        mean_shape=model.mean_shape.numpy(),
        outputs=standard_outputs(
            model.config.landmark_count, with_heads, prompts if template is None else len(template.points)
        ),
        input_size=model.config.input_size,
        precision=precision,
        template=template,
        prompts=prompts,
        weights_sha256=reference.weights_sha256,
        provenance={**provenance(reference.metadata), **(notes or {})},
        versions=versions_of(libraries),
    )


def versions_of(libraries: Sequence[str]) -> dict[str, str]:
    """Of the exporter and of these distributions; ExportError when one of them is not installed."""
    versions = {"exporter": exporter_version()}
    for library in libraries:
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError as error:
            extra = "coreml" if library == "coremltools" else "export"
            raise ExportError(f"{library} is not installed: pip install '.[{extra}]'") from error
    return versions


@functools.cache
def exporter_version() -> str:
    """This package's version and a hash of the sources that shape a file: between releases they change without it."""
    here = Path(__file__).parent
    sources = [here / name for name in SHAPING_SOURCES]
    sources += sorted(Path(atpn.model.__file__).parent.glob("*.py"))
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    try:
        version = importlib.metadata.version("atpn")
    except importlib.metadata.PackageNotFoundError:
        version = "source"  # run from a checkout without installing it
    return f"{version}+{digest.hexdigest()[:12]}"


def provenance(metadata: Mapping[str, Any]) -> dict[str, str]:
    """What a checkpoint says about itself, as far as it is short."""
    notes = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in metadata.items()
        if key != "template"
    }
    return {key: note for key, note in notes.items() if len(note) <= LONGEST_NOTE}


def append_spec(tflite: bytes, spec: ModelSpec) -> bytes:
    """The TFLite file with a zip archive of the spec at its end, where both TFLite and zip readers accept it."""
    content = io.BytesIO(tflite)
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr(zipfile.ZipInfo(SPEC_FILE, _ZIP_EPOCH), spec.to_json())
    return content.getvalue()
