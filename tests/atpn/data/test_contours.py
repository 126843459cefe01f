import numpy as np
import pytest

from atpn.data.contours import CONTOURS, get_contours, neighbors, slide, sliding
from edge_runtime.landmarks import COFW_29, IBUG_68, WFLW_98


@pytest.mark.parametrize("scheme", [WFLW_98, IBUG_68])
def test_contours_mirror_into_contours_and_do_not_overlap(scheme):
    contours = get_contours(scheme)
    indices = [i for contour in contours for i in contour.indices]
    assert len(indices) == len(set(indices))
    known = {(frozenset(c.indices), frozenset(c.corners), c.closed) for c in contours}
    mirrored = {
        (
            frozenset(int(scheme.mirror[i]) for i in c.indices),
            frozenset(int(scheme.mirror[i]) for i in c.corners),
            c.closed,
        )
        for c in contours
    }
    assert mirrored == known
    assert set(np.flatnonzero(sliding(scheme))) == set(indices) - {i for c in contours for i in c.corners}
    # Neighbors on a curve are joined by a line in an overlay.
    edges = {frozenset(edge) for edge in scheme.edges}
    before, after = neighbors(scheme)
    for i, (left, right) in enumerate(zip(before, after, strict=True)):
        assert all(frozenset((i, int(j))) in edges for j in (left, right) if j != i)


def test_a_scheme_without_contours_is_refused():
    with pytest.raises(ValueError, match=f"no contours for scheme cofw29; known: {', '.join(CONTOURS)}"):
        get_contours(COFW_29)


def test_points_slide_along_a_circle_and_over_its_seam():
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    for distance in (-0.7, 0.02, 3.0):
        moved = slide(circle, np.full(400, distance), closed=True)
        expected = np.column_stack([np.cos(angle + distance), np.sin(angle + distance)])
        np.testing.assert_allclose(moved, expected, atol=2e-3)


def test_an_open_curve_goes_on_straight():
    points = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    moved = slide(points, np.array([-0.5, 0.25, 0.5]), closed=False)
    np.testing.assert_allclose(moved, [[-0.5, 0.0], [1.0, 0.25], [1.0, 1.5]])
