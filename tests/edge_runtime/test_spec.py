import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.errors import ModelFileError
from edge_runtime.landmarks import WFLW_98, LandmarkScheme
from edge_runtime.spec import DetectorSpec, ModelSpec, detector_outputs, parse_spec, read_spec, standard_outputs

DETECTOR = DetectorSpec(name="d", outputs=detector_outputs(4), input_size=96, track_threshold=0.3)


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
        ({"mean_shape": np.full((98, 2), 0.5)}, "mean_shape must extend over x and y"),
        ({"mean_shape": np.stack([np.linspace(0, 1, 98), np.ones(98)], 1)}, "mean_shape must extend over x and y"),
        ({"mean_shape": [["0.1", "0.2"]] * 98}, "mean_shape must hold"),
        ({"mean_shape": [[0.1, 0.2], [0.3]]}, "mean_shape must hold"),
        ({"mean_shape": [[0.1, 1e30], [0.3, 0.2]]}, r"mean_shape must hold .* points in \[-1, 2\]"),
        ({"mean_shape": np.random.default_rng(0).random((1025, 2))}, r"1 to 1024 .*got an array of shape \(1025, 2\)"),
        ({"mean_shape": "round"}, "mean_shape must hold"),
        ({"scheme": None}, "scheme must be a printable text, got None"),
        ({"scheme": "a\x1b[2J"}, "scheme must be a printable text"),
        ({"upright": "no"}, "upright must be true or false, got 'no'"),
        ({"upright": 1}, "upright must be true or false, got 1"),
        ({"lost_threshold": 0.8}, "lost_threshold <= track_threshold"),
        ({"lost_threshold": True}, "lost_threshold <= track_threshold < 1, got True"),
        ({"lost_threshold": np.nan}, "lost_threshold <= track_threshold < 1, got nan"),
        ({"uncertainty_threshold": 0}, r"uncertainty_threshold must lie in \(0, 1\], got 0"),
        ({"uncertainty_threshold": np.inf}, r"uncertainty_threshold must lie in \(0, 1\], got inf"),
        ({"uncertainty_threshold": "low"}, r"uncertainty_threshold must lie in \(0, 1\], got 'low'"),
        ({"prompts": 5}, "points_uncertainty"),
        ({"prompts": -1}, "prompts must be 0 to 256, got -1"),
        ({"prompts": 2.0}, "prompts must be 0 to 256, got 2.0"),
        ({"prompts": 257}, "prompts must be 0 to 256, got 257"),
        ({"template": "lips"}, "template must be a Template, got 'lips'"),
        ({"scheme_definition": "mine"}, "scheme_definition must be a LandmarkScheme, got 'mine'"),
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


def test_the_outputs_tell_a_detectors_spec_from_a_landmark_models(spec):
    for each in (spec, DETECTOR):
        again = parse_spec(each.to_json(), Path("m.tflite"))
        assert type(again) is type(each)
        assert again.to_json() == each.to_json()


def test_a_detector_has_only_the_fields_of_a_detector(lips):
    with pytest.raises(TypeError, match="template"):
        DetectorSpec(name="d", outputs=detector_outputs(4), template=lips)
    assert not hasattr(DETECTOR, "mean_shape")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outputs": {"scores": (4, 4), "rois": (5, 5, 3)}}, "outputs must be"),
        ({"outputs": {"scores": ()}}, "outputs must be"),
        ({"outputs": standard_outputs(98)}, "outputs must be"),
        (
            {"outputs": {"scores": (0, 0), "rois": (0, 0, 3)}},
            r"output scores must have sizes of 1 to 4096, got \(0, 0\)",
        ),
    ],
)
def test_bad_fields_of_a_detector_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(DETECTOR, **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": None}, "name must be a printable text, got None"),
        ({"name": " "}, "name must be a printable text, got ' '"),
        ({"name": "a\nb"}, r"name must be a printable text, got 'a\\nb'"),
        ({"input_name": 5}, "input_name must be a printable text, got 5"),
        ({"precision": ["fp32"]}, r"precision must be a printable text, got \['fp32'\]"),
        ({"input_size": 15}, "input_size must be 16 to 1024 pixels, got 15"),
        ({"input_size": 60_000}, "input_size must be 16 to 1024 pixels, got 60000"),
        ({"input_size": 112.0}, "input_size must be 16 to 1024 pixels, got 112.0"),
        ({"input_size": True}, "input_size must be 16 to 1024 pixels, got True"),
        ({"input_size": "big"}, "input_size must be 16 to 1024 pixels, got 'big'"),
        ({"crop_margin": -0.1}, r"crop_margin must lie in \[0, 2\], got -0.1"),
        ({"crop_margin": 112.5}, r"crop_margin must lie in \[0, 2\], got 112.5"),
        ({"crop_margin": 10**400}, r"crop_margin must lie in \[0, 2\], got 1000"),
        ({"crop_margin": None}, r"crop_margin must lie in \[0, 2\], got None"),
        ({"track_threshold": 1.0}, r"track_threshold must lie in \(0, 1\), got 1.0"),
        ({"track_threshold": np.nan}, r"track_threshold must lie in \(0, 1\), got nan"),
        ({"track_threshold": "0.7"}, r"track_threshold must lie in \(0, 1\), got '0.7'"),
        ({"weights_sha256": 7}, "weights_sha256 must be a text, got 7"),
        ({"content_sha256": "ab"}, "content_sha256 must be 64 hexadecimal digits, got 'ab'"),
        ({"content_sha256": None}, "content_sha256 must be 64 hexadecimal digits, got None"),
        ({"provenance": {"seed": 5}}, "provenance must be texts by name"),
        ({"versions": ["torch"]}, "versions must be texts by name"),
        ({"versions": None}, "versions must be texts by name"),
        ({"format_version": 2}, "format_version is 2"),
        ({"format_version": True}, "format_version is True"),
        ({"outputs": [1]}, r"outputs must be at most 64 shapes by name, got \[1\]"),
        ({"outputs": {f"o{i}": (1,) for i in range(65)}}, "outputs must be at most 64 shapes by name"),
        ({"outputs": {"gaze": None}}, "output gaze must have sizes of 1 to 4096, got None"),
        ({"outputs": {"gaze": [None]}}, r"output gaze must have sizes of 1 to 4096, got \[None\]"),
        ({"outputs": {"gaze": [10**9]}}, r"output gaze must have sizes of 1 to 4096, got \[1000000000\]"),
        ({"outputs": {"gaze": [2.5]}}, r"output gaze must have sizes of 1 to 4096, got \[2.5\]"),
        ({"outputs": {"gaze": "22"}}, "output gaze must have sizes of 1 to 4096, got '22'"),
    ],
)
def test_bad_fields_of_both_kinds_are_named(spec, change, message):
    for each in (spec, DETECTOR):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(each, **change)


def test_detectors_specs_of_earlier_versions_are_read():
    fields = {"name": "d", "scheme": "", "mean_shape": [], "upright": False, "lost_threshold": 0.3, "prompts": 0}
    fields |= {"outputs": detector_outputs(4), "track_threshold": 0.3, "template": None, "format_version": 1}
    spec = DetectorSpec.from_json(json.dumps(fields))
    assert (spec.name, spec.track_threshold, spec.outputs) == ("d", 0.3, detector_outputs(4))


def test_earlier_versions_find_the_fields_that_they_require_in_a_detectors_spec():
    values = json.loads(DETECTOR.to_json())
    assert (values["scheme"], values["mean_shape"], values["lost_threshold"]) == ("", [], 0.3)


def test_a_file_of_the_other_kind_is_refused(spec, write_onnx):
    assert ModelSpec.read(write_onnx()).name == "tiny"
    with pytest.raises(ModelFileError, match="'tiny' is not a detector: its outputs are landmarks, uncertainty, pose"):
        DetectorSpec.read(write_onnx())
    path = write_onnx(spec_json=DETECTOR.to_json())
    assert DetectorSpec.read(path).outputs == read_spec(path).outputs == detector_outputs(4)
    with pytest.raises(ModelFileError, match="'d' is a face detector; pass it as `detector`, not as `model`"):
        ModelSpec.read(path)


def test_templates_of_users_are_schemes_too():
    points = np.random.default_rng(0).random((12, 2))
    spec = ModelSpec(name="lips", scheme="my_lips", mean_shape=points, outputs=standard_outputs(12))
    assert spec.outputs["landmarks"] == (12, 2)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda v: v.pop("scheme"), "lacks scheme"),
        (lambda v: v.update(format_version=99), "format_version is 99"),
        (lambda v: v.pop("format_version"), "format_version is None"),
        (lambda v: v.update(outputs=[1]), "outputs must be at most"),
        (lambda v: v.update(outputs={"landmarks": [float("inf"), 2]}), "has the number Infinity"),
        (lambda v: v.update(mean_shape=[[10**400, 0]]), "has the number 1000.* whole numbers must be within"),
        (lambda v: v.update(name=None), "name must be a printable text, got None"),
        (lambda v: v.update(template="lips"), "a template is a JSON object"),
    ],
)
def test_bad_json_is_rejected(spec, edit, message):
    values = json.loads(spec.to_json())
    edit(values)
    with pytest.raises(ValueError, match=message):
        ModelSpec.from_json(json.dumps(values))


def test_fields_of_later_versions_are_ignored(spec):
    for each in (spec, DETECTOR):
        values = json.loads(each.to_json()) | {"color": "red", "checksum": {"network": "ab"}}
        assert type(each).from_json(json.dumps(values)).to_json() == each.to_json()


def test_a_templates_fields_of_later_versions_are_ignored(spec, lips):
    found = dataclasses.replace(spec, template=lips, outputs=standard_outputs(98, points=3))
    values = json.loads(found.to_json())
    values["template"]["colors"] = ["red"] * 3
    assert ModelSpec.from_json(json.dumps(values)).to_json() == found.to_json()
    with pytest.raises(ValueError, match="a template is a JSON object"):
        ModelSpec.from_json(json.dumps(values | {"template": [1]}))


def test_outputs_of_later_versions_may_follow(spec):
    later = {"age": (1,), "wrinkles": (8, 8)}
    for each in (spec, DETECTOR):
        again = type(each).from_json(dataclasses.replace(each, outputs={**each.outputs, **later}).to_json())
        assert again.outputs == {**each.outputs, **later}
        assert again.known_outputs == tuple(each.outputs)


@pytest.mark.parametrize(
    "outputs",
    [
        {"age": (1,), **standard_outputs(98)},
        {**standard_outputs(98, with_heads=False), "age": (1,), "pose": (3,), "confidence": (1,)},
        {**standard_outputs(98, with_heads=False), "confidence": (1,)},
        {**standard_outputs(98), "points": (5, 2)},
        {**standard_outputs(98), "expressions": (52,)},
        {**standard_outputs(98), "gaze": (2, 2), "expressions": (52,)},
        {**standard_outputs(98, with_heads=False), "expressions": (52,), "gaze": (2, 2)},
        {**standard_outputs(98), "rois": (4, 4, 3)},
    ],
)
def test_known_outputs_come_first_and_complete(spec, outputs):
    with pytest.raises(ValueError, match=r"outputs must be .* in this order, others only after them"):
        dataclasses.replace(spec, outputs=outputs)


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "[" * 100_000])
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
    detector = DETECTOR.to_json()
    assert '"rois"' in detector
    assert list(DetectorSpec.from_json(detector.replace('"rois"', '"regions"')).outputs) == ["scores", "rois", "roll"]


MINE = LandmarkScheme.from_dict(
    {"name": "mine3", "count": 3, "mirror_pairs": [[0, 1]], "edges": [[0, 2]], "outer_eye_corners": [0, 1]}
)


def spec_of(scheme, definition=None, count=3):
    shape = np.random.default_rng(0).uniform(0.2, 0.8, (count, 2))
    return ModelSpec(
        name="n", scheme=scheme, scheme_definition=definition, mean_shape=shape, outputs=standard_outputs(count)
    )


def test_the_definition_of_another_scheme_travels_in_the_spec():
    again = ModelSpec.from_json(spec_of("mine3", MINE).to_json())
    assert (again.scheme, again.landmark_scheme) == ("mine3", MINE)
    assert again.landmark_scheme.edges == ((0, 2),)


def test_a_known_scheme_travels_by_its_name(spec):
    defined = dataclasses.replace(spec, scheme_definition=WFLW_98)
    assert defined.to_json() == spec.to_json()
    assert "scheme_definition" not in json.loads(spec.to_json())
    assert defined.landmark_scheme is WFLW_98


def test_a_scheme_that_nobody_defines_is_absent():
    assert ModelSpec.from_json(spec_of("dots").to_json()).landmark_scheme is None


def test_a_definition_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="scheme_definition is of mine3, the scheme is dots"):
        spec_of("dots", MINE)
    with pytest.raises(ValueError, match="scheme mine3 has 3 points, mean_shape has 4"):
        spec_of("mine3", MINE, 4)
    values = json.loads(spec_of("mine3", MINE).to_json())
    values["scheme_definition"]["mirror_pairs"] = [[0, 9]]
    with pytest.raises(ValueError, match="mirror_pairs: indices must lie in 0 to 2, got 9"):
        ModelSpec.from_json(json.dumps(values))


def test_detectors_of_earlier_versions_have_no_roll():
    earlier = dataclasses.replace(DETECTOR, outputs=detector_outputs(24, with_roll=False))
    assert list(DetectorSpec.from_json(earlier.to_json()).outputs) == ["scores", "rois"]
    with pytest.raises(ValueError, match=r"outputs must be .* in this order"):
        dataclasses.replace(DETECTOR, outputs=dict(reversed(DETECTOR.outputs.items())))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mirror_pairs": [[0, 1]] * 100_000}, r"mirror_pairs hold 0, 1 more than once"),
        ({"groups": {"a": [0, 1, 2] * 100_000}}, r"groups must cover 0\.\.2 once; .* in several: 0, 1, 2"),
    ],
)
def test_a_definition_with_countless_indices_is_refused(change, message):
    values = json.loads(spec_of("mine3", MINE).to_json())
    values["scheme_definition"] |= change
    with pytest.raises(ValueError, match=message):
        ModelSpec.from_json(json.dumps(values))
