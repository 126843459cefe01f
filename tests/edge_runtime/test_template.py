import dataclasses
import json
import os

import numpy as np
import pytest

from edge_runtime.errors import TemplateError
from edge_runtime.template import MAX_POINTS, MIN_DISTANCE, Template


def lips(**changes):
    values = {
        "name": "lips",
        "points": [[0.4, 0.7], [0.6, 0.7], [0.5, 0.75]],
        "names": ["left", "right", "middle"],
        "groups": {"corners": [0, 1]},
        "edges": [[0, 2], [2, 1]],
    }
    return values | changes


def test_a_template_comes_back_from_its_json():
    template = Template.from_dict(lips())
    again = Template.from_dict(json.loads(template.to_json()))
    assert again.as_dict() == template.as_dict() == lips()
    assert template.points.dtype == np.float32
    assert template.edges == ((0, 2), (2, 1))


def test_only_name_and_points_are_needed():
    template = Template.from_dict({"name": "dot", "points": [[0, 1]]})
    assert (template.names, template.edges, dict(template.groups)) == ((), (), {})


def test_null_is_an_omitted_field():
    template = Template.from_dict({"name": "dot", "points": [[0, 1]], "names": None, "groups": None, "edges": None})
    assert (template.names, template.edges, dict(template.groups)) == ((), (), {})


def test_numpy_s_integers_are_indices():
    indices = np.arange(3)
    template = Template.from_dict(lips(groups={"all": list(indices)}, edges=[indices[:2].tolist(), tuple(indices[1:])]))
    assert json.loads(template.to_json())["groups"] == {"all": [0, 1, 2]}
    assert template.edges == ((0, 1), (1, 2))


def test_a_template_cannot_be_changed():
    points = np.array([[0.4, 0.5]])
    template = Template("dot", points)
    points[0] = 0.9
    assert template.points[0, 0] == np.float32(0.4)
    with pytest.raises(ValueError, match="read-only"):
        template.points[0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        template.name = "other"
    with pytest.raises(TypeError):
        template.groups["new"] = (0,)


def test_template_accepts_border_points_and_the_minimum_distance():
    near = 0.5 + 1.01 * MIN_DISTANCE
    assert len(Template("edges", [[0, 0], [1, 1], [0, 1], [0.5, 0.5], [near, 0.5]]).points) == 5
    grid = np.stack(np.meshgrid(np.linspace(0, 1, 16), np.linspace(0, 1, 16)), axis=-1).reshape(-1, 2)
    assert len(Template("grid", grid).points) == MAX_POINTS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points": [[0.4, 0.7], [0.6, 1.01]]}, r"point 1 at \[0.6.*, 1.01.*\] lies outside"),
        ({"points": [[-0.001, 0.7]]}, "point 0 .* lies outside"),
        ({"points": [[0.4, float("nan")]]}, r"point 0 is \[0.4.*, nan\], expected finite"),
        ({"points": [[0.4, float("inf")]]}, "expected finite"),
        ({"points": [[0.4, 0.7], [0.5, 0.5], [0.4, 0.7]]}, "points 0 and 2 are equal"),
        ({"points": [[0.4, 0.7], [0.4, 0.7 + MIN_DISTANCE / 2]]}, "points 0 and 1 are equal"),
        ({"points": [[i / 300, 0.5] for i in range(257)]}, "got 257 points, expected at most 256"),
        ({"points": []}, "points must be"),
        ({"points": [0.4, 0.7]}, r"must be \(M, 2\).*got shape \(2,\)"),
        ({"points": [[0.4, 0.7, 0.1]]}, r"must be \(M, 2\)"),
        ({"points": [[0.4, 0.7], [0.5]]}, "pairs of numbers"),
        ({"points": [["a", "b"]]}, "pairs of numbers"),
        ({"points": None}, "points must be"),
        ({"names": ["left", "left", "middle"]}, "names must be unique, one per point"),
        ({"names": ["left"]}, r"names must be unique, one per point \(3\), got \['left'\]"),
        ({"names": "abc"}, "names are a list of strings, got 'abc'"),
        ({"names": [1, 2, 3]}, "names are a list of strings, got"),
        ({"names": 3}, "names are a list of strings, got 3"),
        ({"groups": ["x"]}, r"groups are lists of indices by name, got \['x'\]"),
        ({"groups": {1: [0]}}, "groups are lists of indices by name, got"),
        ({"groups": {"corners": [0.7]}}, r"lists of indices, got \[0.7\]"),
        ({"groups": {"corners": [True]}}, r"lists of indices, got \[True\]"),
        ({"groups": {"corners": "01"}}, "lists of indices, got '01'"),
        ({"groups": {"corners": None}}, "lists of indices, got None"),
        ({"groups": {"corners": [0, 3]}}, r"indices must lie in 0 to 2, got \[0, 3\]"),
        ({"groups": {"corners": ["a"]}}, "lists of indices"),
        ({"groups": {"corners": 1}}, "lists of indices"),
        ({"edges": [[0, -1]]}, "indices must lie in 0 to 2"),
        ({"edges": [[0, 1, 2]]}, "an edge joins two points"),
        ({"edges": [0]}, "lists of indices"),
        ({"edges": [[0, 0]]}, r"an edge joins two points, got \[0, 0\]"),
        ({"edges": ["01"]}, "lists of indices, got '01'"),
        ({"edges": "01"}, "edges are a list of pairs of indices, got '01'"),
        ({"edges": {"a": [0, 1]}}, "edges are a list of pairs of indices, got"),
        ({"name": ""}, "needs a printable name"),
        ({"name": 3}, "needs a printable name"),
        ({"name": "a\nb"}, "needs a printable name"),
        ({"name": "wflw98"}, "the name of a landmark scheme"),
        ({"color": "red"}, "unknown template fields: color; known: name"),
    ],
)
def test_template_rejects_invalid_fields(changes, message):
    values = lips(names=[], groups={}, edges=[]) | changes
    with pytest.raises(ValueError, match=message):
        Template.from_dict(values)


@pytest.mark.parametrize("values", [[], "lips", {"name": "lips"}, {"points": [[0.5, 0.5]]}, None])
def test_template_rejects_other_json(values):
    with pytest.raises(ValueError, match="JSON object with `name` and `points`"):
        Template.from_dict(values)


def test_files_are_named_in_errors(tmp_path):
    path = tmp_path / "lips.json"
    with pytest.raises(FileNotFoundError, match=r"no template at .*lips\.json"):
        Template.read(path)
    for content, message in ((b"{", "is not JSON"), (b"\xff\xfe", "is not JSON"), (b"[]", r"lips\.json: a template")):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            Template.read(path)
    path.write_text(Template.from_dict(lips()).to_json())
    assert Template.read(path).as_dict() == lips()


@pytest.mark.parametrize(
    "values",
    [
        {"name": "x" * 10**5 + "\n"},
        {"name": ["x" * 10**5]},
        {"name": "x" * 10**5, "points": []},
        {"points": [[0.5, 0.5]], "names": ["x" * 10**5] * 2},
        {"points": [[0.5, 0.5]], "names": "x" * 10**5},
        {"points": [[0.5, 0.5]], "groups": {"a": list(range(10**5))}},
        {"points": [[0.5, 0.5]], "edges": [[0] * 10**5]},
        {"points": [[0.5, 1e300]]},
        {"points": [[0.5, 0.5]], "x" * 10**5: 1},
    ],
)
def test_messages_are_short_whatever_the_file_holds(tmp_path, values):
    (tmp_path / "t.json").write_text(json.dumps({"name": "t", "points": [[0.5, 0.5]]} | values))
    with pytest.raises(TemplateError) as caught:
        Template.read(tmp_path / "t.json")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("content", ["[" * 300_000, '{"name": 1e400}', '{"points": 99999999999999999999}', "\0", ""])
def test_wild_json_is_an_error_that_names_the_file(tmp_path, content):
    (tmp_path / "t.json").write_text(content)
    with pytest.raises(TemplateError, match=r"t\.json (is not JSON|has the number|is nested deeper)"):
        Template.read(tmp_path / "t.json")


def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "t.json")
    with pytest.raises(TemplateError, match=r"t\.json is not a regular file"):
        Template.read(tmp_path / "t.json")
