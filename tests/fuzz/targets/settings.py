"""Files of settings: templates, schemes, calibrations, specs, and the remembered recommendation."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from atpn.templates.parsing import parse_edges, parse_groups, parse_indices, parse_points, read_points
from edge_runtime import Calibration, CalibrationError, ModelFileError, SchemeError, TemplateError, recommendation
from edge_runtime.landmarks import LandmarkScheme
from edge_runtime.models import DETECTOR_MODEL, model_path, network_files
from edge_runtime.spec import parse_spec, read_spec
from edge_runtime.template import Template
from tests.fuzz.mutations import EXTREME_NUMBERS, of_json, of_text
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
    for name in (network_files().int8, DETECTOR_MODEL):
        (folder / f"{name}.json").write_text(read_spec(model_path(name)).to_json())


def _read_spec(folder: Path, file: Path) -> None:
    parse_spec(file.read_bytes().decode("utf-8", "replace"), file)


def _make_recommendation(folder: Path) -> None:
    os.environ["XDG_CACHE_HOME"] = str(folder)
    int8, accurate = network_files()
    recommendation.save({int8: {1: 2.0, 2: 1.0}, accurate: {1: 3.0}})


def _read_recommendation(folder: Path, file: Path) -> None:
    os.environ["XDG_CACHE_HOME"] = str(folder)
    recommendation.recommended()


def _make_points(folder: Path) -> None:
    (folder / "points.csv").write_text("x,y,name\n0.4,0.7,left\n0.5,0.68,upper\n0.6,0.7,right\n")


def _make_words(folder: Path) -> None:
    words = {
        "points": ["0.3,0.4", "0.5,0.6"],
        "edges": ["0-1 1-2"],
        "indices": ["0", "4-8,12"],
        "groups": ["a=0-2 b=3"],
    }
    (folder / "words.json").write_text(json.dumps(words))


def _parse_words(_: Path, file: Path) -> None:
    words = json.loads(file.read_bytes())
    parse_points(words["points"])
    parse_edges(words["edges"])
    parse_indices(words["indices"])
    parse_groups(words["groups"])


@st.composite
def _words(draw: st.DrawFn) -> bytes:
    number = st.sampled_from((*EXTREME_NUMBERS, "1", "2", "x", ""))
    word = st.builds("".join, st.lists(st.one_of(number, st.sampled_from(",-= ")), min_size=1, max_size=5))
    return json.dumps(
        {name: draw(st.lists(word, max_size=3)) for name in ("points", "edges", "indices", "groups")}
    ).encode()


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
    Target("spec", _make_specs, _read_spec, (ModelFileError,), of_json, special=False),
    Target("points-table", _make_points, lambda _, file: read_points(file), (ValueError,), of_text),
    Target(
        "point-words", _make_words, _parse_words, (ValueError,), lambda _: _words(), names_input=False, special=False
    ),
    Target("recommendation", _make_recommendation, _read_recommendation, (), of_json),
)
