"""Write the golden vectors."""

from __future__ import annotations

import json
import logging
from typing import Any

import numpy as np

from edge_runtime.backends import load_backend
from edge_runtime.files import write_atomically
from export.config import GoldenConfig
from export.metadata import append_spec
from export.testing.golden.constants import constants
from export.testing.golden.recorder import Recorder, play
from export.testing.golden.scenes import cut_faces, scenes, write_ppm
from export.testing.golden.schemes import schemes
from export.testing.golden.steps import steps

log = logging.getLogger(__name__)

MODEL_HEAD = b"\x1c\x00\x00\x00TFL3"
"""Start of a TFLite file, enough to hold a spec."""

Document = dict[str, Any]


def write_golden(config: GoldenConfig) -> None:
    """Track the scenes and write the vectors. FileNotFoundError or ModelFileError for the exported files."""
    networks = [load_backend(path) for path in (config.model, config.detector)]
    faces = cut_faces()
    files = {f"face_{number}.ppm": write_ppm(face) for number, face in enumerate(faces)}
    for name, network in zip(("network", "detector"), networks, strict=True):
        files[f"{name}.tflite"] = append_spec(MODEL_HEAD, network.spec)
    documents: dict[str, Document] = {
        "constants.json": constants(),
        "schemes.json": schemes(),
        "steps.json": steps(faces),
    }
    for scene in scenes():
        network, detector = (Recorder(backend, scene) for backend in networks)
        documents[f"sequence_{scene.name}.json"] = play(scene, network, detector, faces)
    files |= {name: as_text(document).encode() for name, document in documents.items()}
    for name, content in files.items():
        write_atomically(config.out / name, content)
        log.info("%s: %d KiB", config.out / name, len(content) // 1024)
    log.info("%d KiB in all", sum(map(len, files.values())) // 1024)


def as_text(document: Document) -> str:
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
