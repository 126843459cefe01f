"""Signed distances to outlines whose shape is known."""

import numpy as np
import pytest

from atpn.evaluate.inference import Predictions
from atpn.evaluate.protocols.outlines import CURVES, OUTER_CORNERS, POINTS, face_errors
from atpn.evaluate.protocols.registry import describe, evaluate_protocol
from edge_runtime.geometry import rotation_2d
from edge_runtime.spec import ModelSpec, standard_outputs


@pytest.fixture
def face():
    """A template whose outline is half a circle of radius 80 below eyes 100 px apart, and landmarks on it."""
    drawn = np.random.default_rng(0).uniform(-40, 40, (189, 2))
    drawn[list(OUTER_CORNERS)] = (-50, 0), (50, 0)
    (outline,) = CURVES["chin"]
    drawn[list(outline.drawn)] = _circle(np.linspace(180, 0, 11))
    landmarks = np.zeros((98, 2))
    landmarks[:33] = _circle(np.linspace(180, 0, 33))
    for template, landmark in sum(POINTS.values(), ()):
        landmarks[landmark] = drawn[template]
    return drawn, landmarks


def _circle(degrees):
    return 80 * np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)


def test_landmarks_between_drawn_points_of_a_round_outline_lie_on_it(face):
    errors = face_errors(*face)
    for name in ("jaw line", "chin"):
        assert errors[name][:, 1].max() < 0.001  # a polygon through the drawn points would be off by 0.01
    assert errors["points"][:, 0].max() < 1e-9


@pytest.mark.parametrize(("turn", "size"), [(0.0, 1.0), (0.7, 3.0)])
def test_bias_is_positive_outside_the_outline_whatever_pose_and_size(face, turn, size):
    drawn, landmarks = face
    landmarks[:33] *= 82 / 80  # 2 of the 100 px between the eyes
    errors = face_errors(*(size * points @ rotation_2d(turn).T + (40, -7) for points in (drawn, landmarks)))
    for name in ("jaw line", "chin"):
        np.testing.assert_allclose(errors[name][:, 1], 0.02, atol=0.001)
    sides = errors["jaw line"][:, 2]
    assert (sides > 0.005).all()
    assert (np.abs(errors["chin"][:, 2]) < sides.max()).all()


def test_points_tell_down_from_outward(face):
    drawn, landmarks = face
    landmarks[[60, 72]] = (-51, 3), (51, 3)
    errors = face_errors(drawn, landmarks)["eye corners"]
    np.testing.assert_allclose(errors[[0, 3]], [(np.hypot(0.01, 0.03), 0.03, 0.01)] * 2, atol=1e-9)
    np.testing.assert_allclose(errors[[1, 2]], 0, atol=1e-9)


def test_the_protocol_has_a_row_for_every_curve_and_kind_of_point(tmp_path, replica):
    replica.london(tmp_path)
    shape = np.random.default_rng(0).uniform(0, 1, (98, 2))

    class Network:
        spec = ModelSpec(name="same", scheme="wflw98", mean_shape=shape, outputs=standard_outputs(98), input_size=48)

        def predict(self, crops):
            n = len(crops)
            return Predictions(np.tile(shape, (n, 1, 1)), np.zeros((n, 98)), np.zeros((n, 3)), np.ones(n))

    report = evaluate_protocol("london", Network(), tmp_path)
    for rows in report["passes"].values():
        assert list(rows) == ["curves", "points", *CURVES, *POINTS]
        assert {row["faces"] for row in rows.values()} == {3}
        assert all(row["nme"] >= abs(row["bias"]) for row in rows.values())
    first = report["passes"]["first"]
    counts = {name: sum(len(curve.landmarks) for curve in curves) for name, curves in CURVES.items()}
    mean = sum(first[name]["nme"] * count for name, count in counts.items()) / sum(counts.values())
    assert first["curves"]["nme"] == pytest.approx(mean)
    assert f"{100 * first['chin']['bias']:.2f}" in describe("london", report)
