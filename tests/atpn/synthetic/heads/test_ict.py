"""The ICT head's landmarks follow the markup that annotators follow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from atpn.synthetic.heads.head import HeadModel
from atpn.synthetic.heads.ict import load_ict


@pytest.fixture(scope="module")
def head(assets: Path) -> HeadModel:
    return load_ict(assets / "ict_facekit")


def test_lids_and_lips_share_their_width_as_in_the_68_point_markup(head):
    """Shares of OpenFace's published 68-point mean shape, left and right averaged."""
    x = head.landmarks.at(head.neutral)[:, 0]
    for corners, points, shares in (
        ((60, 64), (61, 63), (0.31, 0.68)),
        ((72, 68), (71, 69), (0.31, 0.68)),
        ((60, 64), (67, 65), (0.29, 0.655)),
        ((76, 82), (77, 78, 79), (0.185, 0.37, 0.5)),
        ((76, 82), (87, 86, 85), (0.18, 0.36, 0.5)),
        ((88, 92), (89, 90, 91), (0.34, 0.5, 0.66)),
        ((92, 88), (93, 94, 95), (0.34, 0.5, 0.66)),
    ):
        start, stop = x[list(corners)]
        np.testing.assert_allclose((x[list(points)] - start) / (stop - start), shares, atol=0.02)


def test_rims_run_in_order_and_lips_do_not_cross(head):
    points = head.landmarks.at(head.neutral)
    for rim in (range(60, 65), range(68, 73), range(76, 83), range(88, 93)):
        assert (np.diff(points[list(rim), 0]) > 0).all()
    assert (points[77:82, 1] < points[[87, 86, 85, 84, 83], 1]).all()
    opened = head.landmarks.at(head.express(head.neutral, {"jawOpen": 1.0}))
    assert (opened[89:92, 1] < opened[[95, 94, 93], 1] - 0.5).all()


def test_landmarks_are_left_right_symmetric(head):
    points = head.landmarks.at(head.neutral)
    for left, right in ((0, 32), (55, 59), (61, 71), (67, 73), (78, 80), (86, 84), (89, 91)):
        np.testing.assert_allclose(points[left] * (-1, 1, 1), points[right], atol=0.15)
