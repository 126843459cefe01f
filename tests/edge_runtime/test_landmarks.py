import numpy as np
import pytest

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
        LandmarkScheme("bad", 3, {"a": (0, 1), "b": (1,)}, (), (), (0, 1))
