"""The commands, as a user calls them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from atpn.__main__ import main
from atpn.templates import cli
from atpn.templates.mean_face import SIDE
from atpn.weights import SHIPPED
from edge_runtime.landmarks import COFW_29, IBUG_68, WFLW_98, convert
from edge_runtime.template import Template


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Runs `template …` in an empty folder; gives the exit status and what it said."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str]:
        status = main(["template", *map(str, arguments)])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return run


def test_new_writes_the_given_points(call):
    options = ["--names", "left", "right", "chin", "--edges", "0-1 1-2", "--groups", "top=0-1"]
    status, said = call("new", "mine", "--points", "0.4,0.5 0.6,0.5 0.5,0.8", "--out", "mine.json", *options)
    assert (status, said) == (0, "wrote mine.json: mine, 3 points\n")
    made = Template.read("mine.json")
    np.testing.assert_allclose(made.points, [[0.4, 0.5], [0.6, 0.5], [0.5, 0.8]], atol=1e-5)
    assert (made.name, made.names, made.edges) == ("mine", ("left", "right", "chin"), ((0, 1), (1, 2)))
    assert made.groups == {"top": (0, 1)}


def test_new_reads_a_table(call):
    Path("points.csv").write_text("x,y,name\n0.4,0.5,a\n0.6,0.5,b\n")
    assert call("new", "mine", "--points-file", "points.csv", "--out", "mine.json")[0] == 0
    assert Template.read("mine.json").names == ("a", "b")


def test_new_without_points_writes_an_example_and_spares_what_is_there(call):
    assert "edit its points" in call("new", "mine", "--out", "mine.json")[1]
    assert Template.read("mine.json").name == "mine"
    before = Path("mine.json").read_bytes()
    status, said = call("new", "other", "--out", "mine.json")
    assert status == 1
    assert "mine.json exists; give --overwrite" in said
    assert Path("mine.json").read_bytes() == before


@pytest.mark.parametrize("option", [["--names", "a"], ["--edges", "0-1"], ["--groups", "all=0"]])
def test_new_refuses_what_says_more_of_points_that_are_not_given(option, call):
    status, said = call("new", "mine", *option, "--out", "mine.json")
    assert status == 1
    assert "give --points or --points-file" in said
    assert not Path("mine.json").exists()


def test_a_file_is_replaced_only_when_asked_for(call, portrait, prompt_weights, detected):
    x, y = detected.rois[0].cx, detected.rois[0].cy
    commands = [
        ["new", "mine", "--points", "0.5,0.5"],
        ["from-scheme", "cofw29", "--weights", prompt_weights],
        ["from-image", portrait, "--points", f"{x},{y}", "--weights", prompt_weights],
    ]
    for command in commands:
        Path("mine.json").write_text("drawn by hand")
        status, said = call(*command, "--out", "mine.json")
        assert status == 1
        assert "mine.json exists; give --overwrite to replace it, or another --out" in said
        assert Path("mine.json").read_text() == "drawn by hand"
        assert call(*command, "--out", "mine.json", "--overwrite")[0] == 0
        assert Template.read("mine.json").name == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mine", "--points", "0.5,1.2"], "point 0 at [0.5, 1.2] lies outside [0, 1]"),
        (["mine", "--points", "0.5,0.5 0.5,0.5005"], "points 0 and 1 are equal"),
        (["mine", "--points", "nan,0.5"], "point 0 is [nan, 0.5], expected finite numbers"),
        (["mine", "--points", *(f"{i / 300:.4f},0.5" for i in range(257))], "got 257 points, expected at most 256"),
        (["wflw98", "--points", "0.5,0.5"], "wflw98 is the name of a landmark scheme"),
        (["mine", "--points", "0.5"], "'0.5' is not a point"),
        (["mine", "--points", "0.5,0.5", "--edges", "0-1"], "indices must lie in 0 to 0"),
        (["mine", "--points", "0.5,0.5", "--names", "a", "b"], "one per point (1)"),
        (["mine", "--points", "0.5,0.5", "--points-file", "x.csv"], "either with --points or with --points-file"),
        (["mine", "--points-file", "x.csv"], "no points file x.csv"),
    ],
)
def test_bad_templates_are_refused_and_not_written(arguments, message, call):
    status, said = call("new", *arguments, "--out", "mine.json")
    assert status == 1
    assert message in said
    assert not Path("mine.json").exists()


def test_an_unwritable_path_is_named(call):
    Path("file").write_text("")
    status, said = call("new", "mine", "--points", "0.5,0.5", "--out", "file/mine.json")
    assert status == 1
    assert said.startswith("error: ")
    assert "file" in said


@pytest.mark.parametrize("scheme", [WFLW_98, IBUG_68, COFW_29], ids=lambda s: s.name)
def test_a_whole_scheme_becomes_a_template(scheme, call, prompt_weights, anchors):
    assert call("from-scheme", scheme.name, "--weights", prompt_weights, "--out", "all.json")[0] == 0
    made = Template.read("all.json")
    np.testing.assert_allclose(made.points, convert(anchors, WFLW_98, scheme), atol=1e-5)
    assert made.name == "all"
    assert made.edges == scheme.edges
    assert made.groups == scheme.groups


def test_parts_of_a_scheme_keep_their_lines(call, tufa_weights, anchors):
    options = ["--groups", "mouth", "--indices", "54,16", "--name", "some", "--weights", tufa_weights]
    assert call("from-scheme", "wflw98", *options, "--out", "parts.json")[0] == 0
    made = Template.read("parts.json")
    np.testing.assert_allclose(made.points, anchors[[16, 54, *range(76, 96)]] + [0, 0.01], atol=1e-5)
    assert (made.name, made.names[:3]) == ("some", ("jaw_16", "nose_54", "mouth_76"))
    assert made.groups == {"jaw": (0,), "nose": (1,), "mouth": tuple(range(2, 22))}
    assert len(made.edges) == 20
    assert (2, 3) in made.edges
    assert (22 - 1, 22 - 8) in made.edges


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["wflw99"], "unknown landmark scheme 'wflw99'"),
        (["wflw98", "--groups", "lips"], "wflw98 has no group lips; it has jaw"),
        (["ibug68", "--indices", "60-70"], "ibug68 has landmarks 0 to 67, not 68, 69, 70"),
    ],
)
def test_unknown_parts_are_refused(arguments, message, call, prompt_weights):
    status, said = call("from-scheme", *arguments, "--weights", prompt_weights, "--out", "x.json")
    assert status == 1
    assert message in said


def test_points_of_a_photograph_come_onto_the_plane(call, portrait, prompt_weights, anchors, detected):
    face = cli.find_face(portrait, cli.AnchoredNetwork.read(prompt_weights).network, detected)
    corners = face.roi.to_frame(face.landmarks)[[76, 82]]
    points = " ".join(f"{x:.2f},{y:.2f}" for x, y in corners)
    options = ["--weights", prompt_weights, "--points", points, "--names", "left", "right"]
    assert call("from-image", portrait, *options, "--out", "corners.json")[0] == 0
    made = Template.read("corners.json")
    np.testing.assert_allclose(made.points, anchors[[76, 82]], atol=0.015)
    assert (made.name, made.names) == ("corners", ("left", "right"))


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ("10,10 500,20", "points must lie in"),
        ("nan,20", "points must lie in"),
        ("", "give the points either with --points"),
    ],
)
def test_marks_beside_the_photograph_are_refused(points, message, call, portrait, detected):
    given = ["--points", points] if points else []
    status, said = call("from-image", portrait, *given, "--weights", SHIPPED, "--out", "x.json")
    assert status == 1
    assert message in said


def test_marks_off_the_face_are_refused(call, portrait, detected):
    wide = cv2.copyMakeBorder(cv2.imread(str(portrait)), 0, 0, 200, 0, cv2.BORDER_REPLICATE)
    cv2.imwrite("wide.png", wide)
    detected.rois = [type(detected.rois[0])(255.5, 55.5, 112.0)]
    arguments = ["wide.png", "--points", "250,60 3,60", "--weights", SHIPPED, "--out", "x.json"]
    status, said = call("from-image", *arguments)
    assert status == 1
    assert "points 1 at [3.0, 60.0] are off the face" in said


def test_a_photograph_without_a_face_is_refused(call, detected):
    cv2.imwrite("wall.png", np.full((112, 112, 3), 127, np.uint8))
    arguments = ["wall.png", "--points", "50,50", "--weights", SHIPPED, "--out", "x.json"]
    status, said = call("from-image", *arguments)
    assert status == 1
    assert "found no face" in said


def test_show_draws_a_row_per_template_and_a_column_per_face(call, portrait, prompt_weights, anchors, detected):
    call("new", "two", "--points", "0.3,0.45 0.7,0.45", "--edges", "0-1", "--groups", "cheeks=0-1", "--out", "a.json")
    call("new", "one", "--points", "0.5,0.7", "--out", "b.json")
    arguments = ["a.json", "b.json", "--image", portrait, "--weights", prompt_weights, "--out", "sheet.png"]
    assert call("show", *arguments) == (0, "wrote sheet.png\n")
    sheet = cv2.imread("sheet.png")
    assert sheet.shape == (2 * SIDE, 2 * SIDE, 3)
    for column in (0, SIDE):  # the untrained head leaves points about where the plane has them
        area = sheet[round(0.4 * SIDE) : round(0.5 * SIDE), column + round(0.25 * SIDE) : column + round(0.75 * SIDE)]
        assert (area == (40, 40, 230)).all(axis=-1).sum() > 30
    assert (sheet[SIDE + round(0.7 * SIDE) - 1, round(0.5 * SIDE) - 1] == 30).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "t.json is not JSON"),
        ("[]", "`name` and `points`"),
        ('{"name": "t", "points": [[0.5, NaN]]}', "has the number NaN; all must be finite"),
        ('{"name": "t", "points": [[0.5, 0.5]], "color": 3}', "unknown template fields: color"),
    ],
)
def test_show_names_a_broken_template(content, message, call, prompt_weights):
    Path("t.json").write_text(content)
    status, said = call("show", "t.json", "--weights", prompt_weights, "--out", "sheet.png")
    assert status == 1
    assert message in said


def test_show_refuses_what_it_cannot_draw_or_write(call, prompt_weights):
    call("new", "mine", "--out", "mine.json")
    assert "no template at absent.json" in call("show", "absent.json", "--out", "x.png")[1]
    assert "give at least one JSON file" in call("show", "--out", "x.png")[1]
    status, said = call("show", "mine.json", "--weights", prompt_weights, "--out", "x.txt")
    assert status == 1
    assert "x.txt is not an image" in said
    assert "no checkpoint file" in call("show", "mine.json", "--weights", "none.safetensors", "--out", "x.png")[1]
