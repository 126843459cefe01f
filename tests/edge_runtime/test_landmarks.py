import copy
import json

import numpy as np
import pytest

from edge_runtime.errors import SchemeError
from edge_runtime.landmarks import (
    CELEBA_5,
    COFW_29,
    IBUG_68,
    SCHEMES,
    WFLW_98,
    LandmarkScheme,
    convert,
    scheme_by_name,
)

ALL = [pytest.param(scheme, id=name) for name, scheme in SCHEMES.items()]


@pytest.mark.parametrize("scheme", ALL)
def test_mirror_is_an_involution_that_fixes_only_the_midline(scheme):
    assert np.array_equal(scheme.mirror[scheme.mirror], np.arange(scheme.count))
    fixed = set(np.flatnonzero(scheme.mirror == np.arange(scheme.count)))
    paired = {i for pair in scheme.mirror_pairs for i in pair}
    assert fixed == set(range(scheme.count)) - paired
    assert len(paired) == 2 * len(scheme.mirror_pairs)


@pytest.mark.parametrize("scheme", ALL)
def test_mirror_swaps_the_sides_of_groups_and_keeps_edges(scheme):
    for name, group in scheme.groups.items():
        other = name.replace("left", "L").replace("right", "left").replace("L", "right")
        assert {int(scheme.mirror[i]) for i in group} == set(scheme.groups[other])
    edges = {frozenset(edge) for edge in scheme.edges}
    assert {frozenset(int(scheme.mirror[i]) for i in edge) for edge in edges} == edges


def test_midlines_are_the_published_ones():
    midline = {name: set(np.flatnonzero(s.mirror == np.arange(s.count))) for name, s in SCHEMES.items()}
    assert midline["wflw98"] == {16, 51, 52, 53, 54, 57, 79, 85, 90, 94}
    assert midline["ibug68"] == {8, 27, 28, 29, 30, 33, 51, 57, 62, 66}
    assert midline["cofw29"] == {20, 21, 24, 25, 26, 27, 28}
    assert midline["celeba5"] == {2}


def test_98_to_68_follows_the_published_table():
    table = [*range(0, 33, 2), *range(33, 38), *range(42, 47), *range(51, 60)]
    table += [60, 61, 63, 64, 65, 67, 68, 69, 71, 72, 73, 75, *range(76, 96)]
    points = np.random.default_rng(0).normal(size=(2, 98, 2))
    assert np.array_equal(convert(points, WFLW_98, IBUG_68), points[:, table])


@pytest.mark.parametrize("target", [IBUG_68, COFW_29, CELEBA_5], ids=lambda s: s.name)
def test_conversion_commutes_with_mirroring(target):
    points = np.random.default_rng(1).normal(size=(98, 2))
    mirrored = convert(points[WFLW_98.mirror], WFLW_98, target)
    assert np.allclose(mirrored, convert(points, WFLW_98, target)[target.mirror])


def test_conversion_keeps_eye_corners_and_itself():
    points = np.random.default_rng(2).normal(size=(98, 2))
    for target in (IBUG_68, COFW_29):
        assert target.inter_ocular(convert(points, WFLW_98, target)) == pytest.approx(WFLW_98.inter_ocular(points))
    assert convert(points, WFLW_98, WFLW_98) is points


def test_impossible_conversion_says_which_are_possible():
    with pytest.raises(ValueError, match=r"ibug68 to wflw98.*wflw98 to ibug68"):
        convert(np.zeros((68, 2)), IBUG_68, WFLW_98)


def test_unknown_scheme_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"wflw99.*wflw98, ibug68, cofw29"):
        scheme_by_name("wflw99")


def test_groups_must_cover_every_index_once():
    with pytest.raises(ValueError, match=r"cover 0..2 once"):
        LandmarkScheme("bad", 3, {"a": (0, 1), "b": (1,)}, ((0, 1),), (), (0, 1))


def mine(**changes):
    """The JSON of a scheme of 7 landmarks."""
    known = {
        "name": "mine7",
        "count": 7,
        "names": ["left_outer", "left_inner", "right_inner", "right_outer", "nose", "mouth_left", "mouth_right"],
        "groups": {"left_eye": [0, 1], "right_eye": [2, 3], "nose": [4], "mouth": [5, 6]},
        "mirror_pairs": [[0, 3], [1, 2], [5, 6]],
        "edges": [[0, 1], [2, 3], [5, 6]],
        "outer_eye_corners": [0, 3],
    }
    return {key: value for key, value in (known | changes).items() if value is not ...}


def test_scheme_file_reads_back(tmp_path):
    path = tmp_path / "mine7.json"
    path.write_text(json.dumps(mine()))
    scheme = LandmarkScheme.read(path)
    assert scheme.mirror.tolist() == [3, 2, 1, 0, 4, 6, 5]
    assert scheme.to_dict() == mine()
    assert LandmarkScheme.from_dict(scheme.to_dict()) == scheme
    assert scheme.inter_ocular(np.arange(14.0).reshape(7, 2)) == pytest.approx(np.hypot(6, 6))


def test_scheme_without_groups_names_and_edges_has_one_group():
    scheme = LandmarkScheme.from_dict(mine(groups=..., names=..., edges=None))
    assert scheme.groups == {"face": tuple(range(7))}
    assert (scheme.names, scheme.edges) == ((), ())


@pytest.mark.parametrize("scheme", ALL)
def test_reference_of_a_known_scheme_is_its_name(scheme):
    assert scheme.reference == scheme.name
    assert LandmarkScheme.from_reference(scheme.name) is scheme
    assert LandmarkScheme.from_dict(scheme.to_dict()) == scheme
    assert copy.deepcopy(scheme) == scheme


def test_reference_of_another_scheme_is_its_definition():
    scheme = LandmarkScheme.from_dict(mine())
    assert scheme.reference == mine()
    assert LandmarkScheme.from_reference(json.loads(json.dumps(scheme.reference))) == scheme


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": " "}, "needs a printable name"),
        ({"name": "wflw98"}, "wflw98 is the name of a known scheme"),
        ({"name": ...}, "missing: name"),
        ({"mirror_pairs": ...}, "missing: mirror_pairs"),
        ({"points": 7}, "unknown scheme fields: points"),
        ({"count": 2}, "count must be 3 to 1024, got 2"),
        ({"count": 5000}, "count must be 3 to 1024, got 5000"),
        ({"count": "7"}, "count must be 3 to 1024, got '7'"),
        ({"count": True}, "got True"),
        ({"mirror_pairs": [[0, 3], [3, 1]]}, "mirror_pairs hold 3 more than once"),
        ({"mirror_pairs": [[0, 3], [1, 1]]}, r"expected pairs of two different indices, got \[\[1, 1\]\]"),
        ({"mirror_pairs": [[0, 7]]}, "mirror_pairs: indices must lie in 0 to 6, got 7"),
        ({"mirror_pairs": [[0, 3.0]]}, "must be a list of indices"),
        ({"mirror_pairs": 3}, "must be a list of index pairs"),
        ({"edges": [[0, -1]]}, "edges: indices must lie in 0 to 6, got -1"),
        ({"outer_eye_corners": [0, 1]}, r"outer_eye_corners \[0, 1\] must be one of mirror_pairs"),
        ({"outer_eye_corners": [0, 3, 4]}, "outer_eye_corners: expected pairs"),
        ({"groups": {"eyes": [0, 1, 2, 3, 3], "nose": [4]}}, "without a group: 5, 6; in several: 3"),
        ({"groups": [0, 1]}, "groups are lists of indices by name"),
        ({"names": ["a"] * 7}, "names must be unique, got a more than once"),
        ({"names": ["a", "b"]}, r"got 2 names, expected one per landmark \(7\)"),
        ({"names": list(range(7))}, "list of non-empty strings"),
    ],
)
def test_scheme_file_is_refused_when_a_field_is_wrong(tmp_path, changes, message):
    path = tmp_path / "mine7.json"
    path.write_text(json.dumps(mine(**changes)))
    with pytest.raises(SchemeError, match=message) as raised:
        LandmarkScheme.read(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("content", ["{", "[1]", "[" * 100_000])
def test_scheme_file_is_refused_when_it_is_not_an_object(tmp_path, content):
    path = tmp_path / "mine7.json"
    path.write_text(content)
    with pytest.raises(SchemeError, match=r"mine7.json"):
        LandmarkScheme.read(path)
    with pytest.raises(FileNotFoundError, match="no landmark scheme at"):
        LandmarkScheme.read(tmp_path / "none.json")


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "x" * 10**5 + "\n"},
        {"count": "x" * 10**5},
        {"names": ["x" * 10**5] * 7},
        {"names": "x" * 10**5},
        {"groups": {"x" * 10**5: [0]}},
        {"groups": {"a": list(range(10**5)) * 3}},
        {"mirror_pairs": [[0, 1]] * 10**5},
        {"mirror_pairs": [[0] * 10**5]},
        {"edges": "x" * 10**5},
        {"x" * 10**5: 1},
    ],
)
def test_messages_are_short_and_quick_whatever_the_file_holds(tmp_path, changes):
    path = tmp_path / "scheme.json"
    valid = {"name": "mine7", "count": 7, "mirror_pairs": [[0, 3], [1, 2], [5, 6]], "outer_eye_corners": [0, 3]}
    path.write_text(json.dumps(valid | changes))
    with pytest.raises(SchemeError) as caught:
        LandmarkScheme.read(path)
    assert len(str(caught.value)) < 1000
