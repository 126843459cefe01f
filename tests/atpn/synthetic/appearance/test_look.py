"""Brow landmarks lie where a drawn brow can be seen to begin and end."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from atpn.synthetic.appearance.look import _brow_points


def _brow(left: float, right: float, top: float, bottom: float) -> np.ndarray:
    """(64, 128) contrast of a level bar with soft edges."""
    rows, columns = np.mgrid[:64, :128]
    inside = (columns >= left) & (columns < right) & (rows >= top) & (rows < bottom)
    return cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 1.0)


@pytest.mark.parametrize("outer_first", [True, False])
def test_edges_and_ends_are_those_of_the_bar(outer_first):
    points = _brow_points(_brow(40, 90, 20, 30), outer_first)
    upper, lower = points[1:4], points[5:]
    ends = points[[0, 4]]
    np.testing.assert_allclose(upper[:, 1], 20, atol=0.6)
    np.testing.assert_allclose(lower[:, 1], 30, atol=0.6)
    np.testing.assert_allclose(ends[:, 0], (40, 90), atol=1.5)
    assert ((ends[:, 1] > 20) & (ends[:, 1] < 27)).all()
    assert (np.diff(points[:5, 0]) > 0).all()


def test_faint_hair_beyond_an_end_does_not_count():
    strong = _brow(40, 90, 20, 30)
    faint = np.maximum(strong, 0.1 * _brow(15, 120, 20, 30))
    np.testing.assert_allclose(_brow_points(faint, True), _brow_points(strong, True), atol=0.6)
