from __future__ import annotations

import io
import zipfile

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edge_runtime.model_file import SPEC_FILE
from edge_runtime.spec import ModelSpec, standard_outputs
from export.formats.flatbuffer import ALIGNMENT, compact
from export.metadata import append_spec

DOTS = np.array([[0.3, 0.3], [0.7, 0.3], [0.7, 0.7], [0.3, 0.7]])


def _spec():
    return ModelSpec(name="dots", scheme="dots", mean_shape=DOTS, outputs=standard_outputs(4))


def test_appended_spec_is_a_zip_behind_unchanged_bytes():
    content = append_spec(b"flatbuffer", _spec())
    assert content.startswith(b"flatbuffer")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert ModelSpec.from_json(archive.read(SPEC_FILE).decode()).name == "dots"
    assert content == append_spec(b"flatbuffer", _spec())


def test_compacting_again_changes_nothing(exported, noise_crops, run_tflite):
    content = (exported / "atpn_int8.tflite").read_bytes()
    again = compact(content)
    assert content.startswith(again)
    crop = noise_crops(1, seed=41)[0]
    for before, after in zip(run_tflite(content, crop), run_tflite(again, crop), strict=True):
        np.testing.assert_array_equal(before, after)


def test_constants_are_inside_the_flatbuffer_and_aligned(exported):
    content = (exported / "atpn_int8.tflite").read_bytes()
    file = schema.Model.GetRootAs(content, 0)
    checked = 0
    for index in range(file.BuffersLength()):
        buffer = file.Buffers(index)
        assert buffer.Offset() == 0
        if buffer.DataLength():
            assert buffer._tab.Vector(buffer._tab.Offset(4)) % ALIGNMENT == 0
            checked += 1
    assert checked > 50


def test_tensor_names_are_short(exported):
    graph = schema.Model.GetRootAs((exported / "atpn_int8.tflite").read_bytes(), 0).Subgraphs(0)
    assert max(len(graph.Tensors(i).Name()) for i in range(graph.TensorsLength())) < 60
