"""Write the golden vectors, and compute them again from the recorded network outputs."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.backends import load_backend
from edge_runtime.files import write_atomically
from edge_runtime.spec import ModelSpec
from export.config import GoldenConfig
from export.metadata import append_spec
from export.testing.golden.constants import constants
from export.testing.golden.recorder import Recorder, Replayer, detector_outputs, network_outputs, play, scene_of
from export.testing.golden.scenes import cut_faces, read_ppm, scenes, write_ppm
from export.testing.golden.steps import steps

log = logging.getLogger(__name__)

MODEL_HEAD = b"\x1c\x00\x00\x00TFL3"
"""Start of a TFLite file, enough to hold a spec."""
SEQUENCES = "sequence_*.json"

Document = dict[str, Any]


def write_golden(config: GoldenConfig) -> None:
    """Track the scenes and write the vectors. FileNotFoundError or ModelFileError for the exported files."""
    networks = [load_backend(path) for path in (config.model, config.detector)]
    faces = cut_faces()
    files = {f"face_{number}.ppm": write_ppm(face) for number, face in enumerate(faces)}
    for name, network in zip(("network", "detector"), networks, strict=True):
        files[f"{name}.tflite"] = append_spec(MODEL_HEAD, network.spec)
    documents: dict[str, Document] = {"constants.json": constants(), "steps.json": steps(faces)}
    for scene in scenes():
        network, detector = (Recorder(backend, scene) for backend in networks)
        documents[f"sequence_{scene.name}.json"] = play(scene, network, detector, faces)
    files |= {name: _text(document).encode() for name, document in documents.items()}
    for name, content in files.items():
        write_atomically(config.out / name, content)
        log.info("%s: %d KiB", config.out / name, len(content) // 1024)
    log.info("%d KiB in all", sum(map(len, files.values())) // 1024)


def read_golden(folder: Path) -> dict[str, Document]:
    """Read the JSON files by name."""
    return {path.name: json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))}


def golden_again(folder: Path) -> dict[str, Document]:
    """Compute the vectors again from the recorded faces, specs, and network outputs."""
    faces = [read_ppm(path) for path in sorted(folder.glob("face_*.ppm"))]
    network_spec, detector_spec = (ModelSpec.read(folder / f"{name}.tflite") for name in ("network", "detector"))
    documents: dict[str, Document] = {"constants.json": constants(), "steps.json": steps(faces)}
    for path in sorted(folder.glob(SEQUENCES)):
        recorded = json.loads(path.read_bytes())
        network = Replayer(network_spec, network_outputs(recorded, network_spec))
        detector = Replayer(detector_spec, detector_outputs(recorded, detector_spec))
        documents[path.name] = play(scene_of(path.stem, recorded), network, detector, faces)
    return {name: json.loads(_text(document)) for name, document in documents.items()}


def difference(ours: Any, theirs: Any, tolerance: float, path: str = "") -> str | None:
    """Return where and how two documents first differ, or None if they agree within the tolerance."""
    if isinstance(ours, dict) and isinstance(theirs, dict) and ours.keys() == theirs.keys():
        pairs: Sequence[tuple[str, Any, Any]] = [(f"{path}.{key}", ours[key], theirs[key]) for key in ours]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = [(f"{path}[{i}]", a, b) for i, (a, b) in enumerate(zip(ours, theirs, strict=True))]
    elif isinstance(ours, float) and isinstance(theirs, float):
        return None if abs(ours - theirs) <= tolerance else f"{path}: {ours} and {theirs}"
    else:
        return None if ours == theirs else f"{path}: {str(ours)[:60]} and {str(theirs)[:60]}"
    return next((found for p, a, b in pairs if (found := difference(a, b, tolerance, p)) is not None), None)


def _text(document: Document) -> str:
    """Format JSON with a line per frame or case."""
    plain = json.loads(json.dumps(document, default=_plain, allow_nan=False))
    return _format(plain, 2) + "\n"


def _format(value: Any, levels: int) -> str:
    if levels and isinstance(value, dict):
        inner = (f"{json.dumps(key)}: {_format(item, levels - 1)}" for key, item in value.items())
        return "{\n" + ",\n".join(inner) + "\n}"
    if levels and isinstance(value, list) and value and isinstance(value[0], list | dict):
        return "[\n" + ",\n".join(_format(item, 0) for item in value) + "\n]"
    return json.dumps(value, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not JSON")
