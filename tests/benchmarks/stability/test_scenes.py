"""Rendered sequences and scenes, with the procedural head."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from benchmarks.stability.scenarios import SCENARIOS, Scenario, Trajectory

SCENARIO = {scenario.name: scenario for scenario in SCENARIOS}


@pytest.fixture(scope="module")
def renderer(tmp_path_factory):
    pytest.importorskip("moderngl")
    from atpn.synthetic.drawing.gl import GraphicsError
    from benchmarks.stability.motion import open_renderer

    try:
        return open_renderer(None, tmp_path_factory.mktemp("cache"), seed=5)
    except GraphicsError as error:
        pytest.skip(str(error))


def test_trajectories_are_linear_and_the_board_is_last():
    scenario = Scenario("made up", 2.0, (Trajectory([0, 1], [0.2, 0.6], y=0.4),), Trajectory([0], [0.9], size=0.5))
    assert scenario.at(-1.0) == ((0.2, 0.4), (0.9, 0.5))
    assert scenario.at(0.5)[0] == pytest.approx((0.4, 0.4))
    assert scenario.at(9.0)[0] == (0.6, 0.4)


def test_still_and_moving_faces_match_their_labels(renderer):
    from benchmarks.stability.motion import moving, still

    calm, turning = list(still(renderer, 0, 3)), list(moving(renderer, 0, 12))
    assert (calm[0].landmarks == calm[2].landmarks).all()
    assert 0 < np.abs(calm[0].image.astype(int) - calm[2].image).mean() < 10, "only the noise is new"
    assert (turning[11].landmarks - turning[0].landmarks)[..., 0].mean() > 20
    again = next(moving(renderer, 0, 1))
    assert (again.image == turning[0].image).all()
    assert (next(moving(renderer, 1, 1)).image != again.image).any()


def test_visible_fraction_is_zero_when_absent_or_covered(renderer):
    from benchmarks.stability.scenes import record

    for name in ("a face returns", "a face is covered"):
        frames = list(record(renderer, SCENARIO[name], 0))
        shown = np.array([frame.visible_fraction[0] for frame in frames])
        changes = [visible for visible, _ in itertools.groupby(shown[(shown == 0) | (shown == 1)] == 1)]
        assert changes == [True, False, True, False, True], name
        bare = frames[int(np.flatnonzero(shown == 0)[0])].image.astype(int)
        (left, top), (right, bottom) = (f(frames[0].landmarks[0], axis=0).astype(int) for f in (np.min, np.max))
        there = np.abs(frames[0].image.astype(int) - bare)[top:bottom, left:right]
        assert there.mean() > 10, f"{name}: no face at the labels"


def test_visible_fraction_drops_behind_a_nearer_face(renderer):
    from benchmarks.stability.scenes import record

    scenario = SCENARIO["two faces cross"]
    shown = np.array([frame.visible_fraction for frame in itertools.islice(record(renderer, scenario, 0), 90)])
    assert shown[0].tolist() == [1, 1]
    assert shown[:, 0].min() < 0.5
    assert shown[:, 1].min() == 1
