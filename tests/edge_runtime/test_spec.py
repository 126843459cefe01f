import dataclasses
import json

import numpy as np
import pytest

from edge_runtime.errors import ModelFileError
from edge_runtime.spec import ModelSpec, detector_outputs, standard_outputs


def test_json_round_trip(spec):
    again = ModelSpec.from_json(spec.to_json())
    assert again.to_json() == spec.to_json()
    assert np.allclose(again.mean_shape, spec.mean_shape, atol=1e-6)
    assert again.outputs == {"landmarks": (98, 2), "uncertainty": (98,), "pose": (3,), "confidence": (1,)}


def test_spec_does_not_change(spec):
    with pytest.raises(ValueError, match="read-only"):
        spec.mean_shape[0] = 0
    with pytest.raises(TypeError):
        spec.provenance["data"] = "other"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outputs": standard_outputs(97)}, "outputs must be"),
        ({"outputs": dict(reversed(standard_outputs(98).items()))}, "in this order"),
        ({"scheme": "ibug68"}, "ibug68 has 68 points, mean_shape has 98"),
        ({"mean_shape": np.zeros((98, 3))}, r"\(N, 2\)"),
        ({"mean_shape": np.full((98, 2), np.nan)}, "finite"),
        ({"input_size": 4}, "at least 8"),
        ({"crop_margin": -0.1}, "crop_margin"),
        ({"lost_threshold": 0.8}, "lost_threshold <= track_threshold"),
        ({"format_version": 2}, "format_version is 2"),
        ({"prompts": 5}, "points_uncertainty"),
        ({"prompts": -1}, "a template or query points"),
    ],
)
def test_bad_fields_are_named(spec, change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(spec, **change)


def test_a_template_travels_in_the_spec(spec, lips):
    found = dataclasses.replace(spec, template=lips, outputs=standard_outputs(98, points=3))
    again = ModelSpec.from_json(found.to_json())
    assert again.to_json() == found.to_json()
    assert again.template.as_dict() == lips.as_dict()
    assert (again.points, again.outputs["points"], again.outputs["points_uncertainty"]) == (3, (3, 2), (3,))


def test_prompts_travel_in_the_spec(prompt_spec):
    again = ModelSpec.from_json(prompt_spec.to_json())
    assert (again.prompts, again.template, again.points) == (5, None, 5)
    assert list(again.outputs) == [*standard_outputs(98), "points", "points_uncertainty"]


def test_specs_from_before_templates_are_read(spec):
    values = json.loads(spec.to_json())
    del values["template"], values["prompts"]
    again = ModelSpec.from_json(json.dumps(values))
    assert (again.template, again.prompts, again.points) == (None, 0, 0)


def test_a_template_or_prompts_but_not_both(prompt_spec, lips):
    with pytest.raises(ValueError, match="a template or query points"):
        dataclasses.replace(prompt_spec, template=lips)


def test_a_damaged_template_is_rejected(spec, lips):
    values = json.loads(dataclasses.replace(spec, template=lips, outputs=standard_outputs(98, points=3)).to_json())
    values["template"]["points"][1] = [2.0, 0.5]
    with pytest.raises(ValueError, match=r"point 1 .* lies outside"):
        ModelSpec.from_json(json.dumps(values))


def test_a_detector_has_no_template(lips):
    with pytest.raises(ValueError, match="a detector has no scheme, no mean shape and no template"):
        ModelSpec("d", "", np.empty((0, 2)), detector_outputs(4), template=lips)


def test_templates_of_users_are_schemes_too():
    spec = ModelSpec("lips", "my_lips", np.random.default_rng(0).random((12, 2)), standard_outputs(12))
    assert spec.outputs["landmarks"] == (12, 2)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda v: v.pop("scheme"), "lacks scheme"),
        (lambda v: v.update(color="red"), "unknown fields: color"),
        (lambda v: v.update(format_version=99), "format_version is 99"),
        (lambda v: v.pop("format_version"), "format_version is None"),
        (lambda v: v.update(outputs=[1]), "wrong type"),
        (lambda v: v.update(input_size="big"), "wrong type"),
    ],
)
def test_bad_json_is_rejected(spec, edit, message):
    values = json.loads(spec.to_json())
    edit(values)
    with pytest.raises(ValueError, match=message):
        ModelSpec.from_json(json.dumps(values))


@pytest.mark.parametrize("text", ["{", "[]", '"x"'])
def test_text_that_is_no_spec_is_rejected(text):
    with pytest.raises(ValueError, match="model spec"):
        ModelSpec.from_json(text)


def test_read_from_onnx(write_onnx, spec):
    assert ModelSpec.read(write_onnx()).to_json() == spec.to_json()


def test_read_from_tflite(tiny_tflite):
    assert ModelSpec.read(tiny_tflite).input_size == 16


def test_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.tflite.*make export-tflite"):
        ModelSpec.read(tmp_path / "absent.tflite")


@pytest.mark.parametrize("name", ["m.onnx", "m.tflite"])
@pytest.mark.parametrize(
    ("content", "message"), [(b"", "is empty"), (b"\x00" * 4 + b"junk" * 50, "damaged"), (b"\x1c\x00", "damaged")]
)
def test_damaged_file_is_rejected(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=message):
        ModelSpec.read(path)


def test_other_formats_are_rejected(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"x")
    with pytest.raises(ModelFileError, match=r"ends in \.tflite, \.onnx, \.mlpackage, got '\.pt'"):
        ModelSpec.read(path)


def test_onnx_without_spec_is_rejected(write_onnx):
    with pytest.raises(ModelFileError, match=r"tiny\.onnx has no model spec.*make export"):
        ModelSpec.read(write_onnx(spec_json=None))


def test_tflite_without_spec_is_rejected(bare_tflite):
    with pytest.raises(ModelFileError, match=r"tiny\.tflite has no model spec"):
        ModelSpec.read(bare_tflite)


def test_truncated_tflite_is_rejected(tiny_tflite):
    tiny_tflite.write_bytes(tiny_tflite.read_bytes()[:-100])
    with pytest.raises(ModelFileError, match="truncated"):
        ModelSpec.read(tiny_tflite)


def test_unknown_format_version_names_the_file(write_onnx, spec):
    text = spec.to_json().replace('"format_version": 1', '"format_version": 7')
    with pytest.raises(ModelFileError, match=r"tiny\.onnx.*format_version is 7, this runtime reads 1"):
        ModelSpec.read(write_onnx(spec_json=text))


def test_from_json_reads_names_of_earlier_versions(spec):
    text = dataclasses.replace(spec, uncertainty_threshold=0.05).to_json()
    assert "most_uncertain" not in text
    assert ModelSpec.from_json(text.replace("uncertainty_threshold", "most_uncertain")).uncertainty_threshold == 0.05
    detector = ModelSpec("d", "", np.empty((0, 2)), detector_outputs(4)).to_json()
    assert '"rois"' in detector
    assert list(ModelSpec.from_json(detector.replace('"rois"', '"regions"')).outputs) == ["scores", "rois"]
