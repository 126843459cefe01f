"""Files of settings: templates, schemes, calibrations, specs, and the remembered recommendation."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from edge_runtime import Calibration, CalibrationError, ModelFileError, SchemeError, TemplateError, recommendation
from edge_runtime.landmarks import LandmarkScheme
from edge_runtime.models import DETECTOR_MODEL, LANDMARK_MODELS, model_path
from edge_runtime.spec import parse_spec, read_spec_json
from edge_runtime.template import Template
from tests.fuzz.mutations import of_json, of_text
from tests.fuzz.target import Target

TEMPLATE = {
    "name": "lips",
    "points": [[0.4, 0.7], [0.5, 0.68], [0.6, 0.7], [0.5, 0.74]],
    "names": ["left", "upper", "right", "lower"],
    "groups": {"outer": [0, 1, 2, 3], "corners": [0, 2]},
    "edges": [[0, 1], [1, 2], [2, 3], [3, 0]],
}
SCHEME = {
    "name": "mine7",
    "count": 7,
    "names": ["a", "b", "c", "d", "nose", "e", "f"],
    "groups": {"eyes": [0, 1, 2, 3], "nose": [4], "mouth": [5, 6]},
    "mirror_pairs": [[0, 3], [1, 2], [5, 6]],
    "edges": [[0, 1], [2, 3]],
    "outer_eye_corners": [0, 3],
}
PLAIN_CAMERA = {"fx": 600.0, "fy": 600.0, "cx": 319.5, "cy": 239.5, "width": 640, "height": 480}
YAML_CAMERA = """%YAML:1.0
---
image_width: 640
image_height: 480
camera_matrix: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 600., 0., 319.5, 0., 600., 239.5, 0., 0., 1. ]
distortion_coefficients: !!opencv-matrix
   rows: 1
   cols: 5
   dt: d
   data: [ 0.1, -0.2, 0., 0., 0. ]
"""
XML_CAMERA = """<?xml version="1.0"?>
<opencv_storage>
<image_width>640</image_width>
<image_height>480</image_height>
<camera_matrix type_id="opencv-matrix">
  <rows>3</rows>
  <cols>3</cols>
  <dt>d</dt>
  <data>600. 0. 319.5 0. 600. 239.5 0. 0. 1.</data></camera_matrix>
</opencv_storage>
"""


def _make_template(folder: Path) -> None:
    (folder / "template.json").write_text(json.dumps(TEMPLATE, indent=1))


def _make_scheme(folder: Path) -> None:
    (folder / "scheme.json").write_text(json.dumps(SCHEME, indent=1))


def _make_json_calibration(folder: Path) -> None:
    (folder / "plain.json").write_text(json.dumps(PLAIN_CAMERA))
    matrix = {"type_id": "opencv-matrix", "rows": 3, "cols": 3, "dt": "d", "data": np.eye(3).ravel().tolist()}
    matrix["data"] = [600.0, 0.0, 319.5, 0.0, 600.0, 239.5, 0.0, 0.0, 1.0]
    (folder / "opencv.json").write_text(
        json.dumps({"image_width": 640, "image_height": 480, "camera_matrix": matrix}, indent=1)
    )


def _make_text_calibration(folder: Path) -> None:
    (folder / "camera.yaml").write_text(YAML_CAMERA)
    (folder / "camera.xml").write_text(XML_CAMERA)


def _make_specs(folder: Path) -> None:
    for name in (LANDMARK_MODELS[0], DETECTOR_MODEL):
        (folder / f"{name}.json").write_text(read_spec_json(model_path(name)) or "")


def _read_spec(folder: Path, file: Path) -> None:
    parse_spec(file.read_bytes().decode("utf-8", "replace"), file)


def _make_recommendation(folder: Path) -> None:
    os.environ["XDG_CACHE_HOME"] = str(folder)
    recommendation.save(LANDMARK_MODELS[0], 2, "measured")


def _read_recommendation(folder: Path, file: Path) -> None:
    os.environ["XDG_CACHE_HOME"] = str(folder)
    recommendation.recommended()


TARGETS = (
    Target("template", _make_template, lambda _, file: Template.read(file), (TemplateError,), of_json),
    Target("scheme", _make_scheme, lambda _, file: LandmarkScheme.read(file), (SchemeError,), of_json),
    Target(
        "calibration-json",
        _make_json_calibration,
        lambda _, file: Calibration.read(file),
        (CalibrationError,),
        of_json,
    ),
    Target(
        "calibration-text",
        _make_text_calibration,
        lambda _, file: Calibration.read(file),
        (CalibrationError,),
        of_text,
    ),
    Target("spec", _make_specs, _read_spec, (ModelFileError,), of_json),
    Target("recommendation", _make_recommendation, _read_recommendation, (), of_json),
)
