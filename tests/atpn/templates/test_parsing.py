"""Points, edges and indices as text."""

from __future__ import annotations

import numpy as np
import pytest

from atpn.templates.parsing import parse_edges, parse_groups, parse_indices, parse_points, read_points


@pytest.mark.parametrize("texts", [["0.1,0.2 0.3,0.4"], ["0.1,0.2", "0.3,0.4"], ["  0.1,0.2\n0.3,.4 "]])
def test_points_are_pairs_in_one_word_or_several(texts):
    np.testing.assert_allclose(parse_points(texts), [[0.1, 0.2], [0.3, 0.4]])


@pytest.mark.parametrize("text", ["0.1", "0.1,0.2,0.3", "0.1, 0.2", "a,b", "0.1;0.2"])
def test_words_that_are_no_points_are_named(text):
    with pytest.raises(ValueError, match="is not a point; write x,y"):
        parse_points([text])


@pytest.mark.parametrize("head", ["", "x,y,name\n", "\ufeffx,y,name\r\n"])
def test_a_table_may_have_headings(head, tmp_path):
    (tmp_path / "p.csv").write_text(head + "0.1,0.2,chin\n\n0.3,0.4,nose\n", "utf-8")
    points, names = read_points(tmp_path / "p.csv")
    np.testing.assert_allclose(points, [[0.1, 0.2], [0.3, 0.4]])
    assert names == ("chin", "nose")


def test_empty_names_in_a_table_are_none(tmp_path):
    (tmp_path / "p.csv").write_text("x,y,name\n0.1,0.2,\n0.3,0.4, \n")
    assert read_points(tmp_path / "p.csv")[1] == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"0.1,0.2,chin\n0.3,0.4,\n", "names 1 of 2 points"),
        (b"0.1,0.2\n0.3\n", "'0.3', point 1, is not x,y"),
        (b"0.1,0.2,chin\n0.3,0.4\n", "names 1 of 2 points"),
        (b"a,b\n", "'a,b', point 0"),
        (b"\xff\xfe\x00", "is not text in UTF-8"),
        (b"x" * 100_000, "point 0, is not x,y or x,y,name"),
        (b"," * 200_000 + b"x", "point 0, is not x,y or x,y,name"),
    ],
)
def test_tables_that_are_none_are_refused(content, message, tmp_path):
    (tmp_path / "p.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_points(tmp_path / "p.csv")


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(ValueError, match="is not a regular file"):
        read_points(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no points file .*absent\.csv"):
        read_points(tmp_path / "absent.csv")


def test_edges_indices_and_groups():
    assert parse_edges(["0-1 1-12"]) == ((0, 1), (1, 12))
    assert parse_indices(["76-78,3", "9"]) == (76, 77, 78, 3, 9)
    assert parse_groups(["outer=0-2,7 inner=5"]) == {"outer": (0, 1, 2, 7), "inner": (5,)}


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_edges, "0-1-2", "'0-1-2' is not an edge"),
        (parse_edges, "0,1", "is not an edge"),
        (parse_indices, "5-3", "'5-3' is not a point number or range"),
        (parse_indices, "-3", "is not a point number"),
        (parse_groups, "outer", "'outer' is not a group"),
        (parse_groups, "=3", "is not a group"),
        (parse_groups, "a=b", "'b' is not a point number"),
    ],
)
def test_words_that_are_none_are_named(parse, text, message):
    with pytest.raises(ValueError, match=message):
        parse([text])


@pytest.mark.parametrize("word", ["0-9999999999", "0-256", "9" * 5000, "1-" + "9" * 5000, "0-999999999"])
def test_huge_ranges_and_numbers_are_short_errors(word):
    for parse in (lambda: parse_indices([word]), lambda: parse_groups([f"a={word}"])):
        with pytest.raises(ValueError, match=r"is not a point number|makes more than 256 points") as caught:
            parse()
        assert len(str(caught.value)) < 500
    with pytest.raises(ValueError, match="is not an edge"):
        parse_edges([f"1-{'9' * 5000}"])
