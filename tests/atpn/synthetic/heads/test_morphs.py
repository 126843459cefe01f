"""MakeHuman's morph targets on the ICT head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from atpn.synthetic.heads.head import HeadModel, Part
from atpn.synthetic.heads.ict import load_ict
from atpn.synthetic.heads.morphs import Build, MorphTargets, _aligned, _grouped, _macro, load_morphs


@pytest.fixture(scope="module")
def head(assets: Path) -> HeadModel:
    return load_ict(assets / "ict_facekit")


@pytest.fixture(scope="module")
def morphs(assets: Path, head: HeadModel, asset_cache: Path) -> MorphTargets:
    return load_morphs(assets / "makehuman", head, asset_cache)


def _shaped(morphs: MorphTargets, head: HeadModel, age: float, **changes: float) -> np.ndarray:
    weights = _macro(age, {"female": 0.5, "male": 0.5}, {"asian": 1.0}, 0.5, 0.5)
    return morphs.apply(head.neutral, Build(age, weights | changes))


@pytest.mark.slow
def test_a_young_adult_of_all_origins_is_the_scans_mean(morphs, head):
    origins = dict.fromkeys(("african", "asian", "caucasian"), 1 / 3)
    weights = _macro(0.5, {"female": 0.5, "male": 0.5}, origins, 0.5, 0.5)
    moved = np.linalg.norm(morphs.apply(head.neutral, Build(0.5, weights)) - head.neutral, axis=1)
    assert np.median(moved) < 1e-3  # but for lids that touch the eyeballs


@pytest.mark.slow
def test_children_have_small_faces_below_large_skulls(morphs, head):
    def face_share(surface: np.ndarray) -> float:
        points = head.landmarks.at(surface)
        top = surface[head.part == Part.SKIN, 1].min()
        return float((points[16, 1] - points[[64, 68], 1].mean()) / (points[16, 1] - top))

    shares = [face_share(_shaped(morphs, head, age)) for age in (0.1, 0.25, 0.5)]
    assert shares[0] < shares[1] < shares[2]
    assert shares[0] < 0.96 * shares[2]


@pytest.mark.slow
def test_a_target_moves_what_it_names_and_nothing_else(morphs, head):
    plain, wide = _shaped(morphs, head, 0.5), _shaped(morphs, head, 0.5, **{"mouth/mouth-scale-horiz-incr": 1.0})
    a, b = head.landmarks.at(plain), head.landmarks.at(wide)
    assert b[82, 0] - b[76, 0] > 1.05 * (a[82, 0] - a[76, 0])
    np.testing.assert_allclose(b[60:76], a[60:76], atol=0.15)


@pytest.mark.slow
def test_heads_stay_whole(morphs, head):
    """Landmarks keep their order, lids stay off the eyeballs, teeth stay behind the lips."""
    rng = np.random.default_rng(0)
    skin = head.part == Part.SKIN
    for _ in range(20):
        surface = morphs.apply(head.neutral, morphs.sample(rng))
        assert np.isfinite(surface).all()
        points = head.landmarks.at(surface)
        for rim in (range(60, 65), range(68, 73), range(76, 83)):
            assert (np.diff(points[list(rim), 0]) > 0).all()
        for center, vertices in zip(head.eye_centers(surface), head.eye_vertices, strict=True):
            radius = np.median(np.linalg.norm(surface[vertices] - center, axis=1))
            assert np.linalg.norm(surface[skin] - center, axis=1).min() > radius
        assert surface[head.part == Part.TEETH, 2].min() > points[[79, 85], 2].min()


def test_key_shapes_of_every_slider_sum_to_one():
    rng = np.random.default_rng(1)
    for age, muscle, weight in rng.random((20, 3)):
        weights = _macro(age, {"female": 0.3, "male": 0.7}, {"asian": 0.4, "african": 0.6}, muscle, weight)
        assert sum(v for k, v in weights.items() if "universal" not in k) == pytest.approx(1)
        assert sum(v for k, v in weights.items() if "universal" in k) <= 1 + 1e-9


def test_opposites_and_sides_go_together():
    names = ("eyes/l-eye-scale-decr", "eyes/l-eye-scale-incr", "eyes/r-eye-scale-decr", "eyes/r-eye-scale-incr")
    names += ("asym/asym-jaw-1-l", "asym/asym-jaw-1-r", "head/head-oval", "head/head-round", "chin/chin-triangle")
    details, shapes = _grouped(names)
    assert details == [([names[0], names[2]], [names[1], names[3]]), ([names[4]], [names[5]])]
    assert shapes == [["head/head-oval", "head/head-round"], ["chin/chin-triangle"]]


def test_alignment_undoes_a_similarity():
    rng = np.random.default_rng(2)
    goal = rng.normal(size=(30, 3))
    turned = 1.7 * goal @ Rotation.from_euler("xyz", (0.3, -0.2, 0.5)).as_matrix().T + (4, 5, 6)
    np.testing.assert_allclose(_aligned(turned, goal, np.arange(20)), goal, atol=1e-9)


def test_missing_targets_are_named(tmp_path: Path, procedural_renderer):
    with pytest.raises(FileNotFoundError, match=r"targets\.npz is missing"):
        load_morphs(tmp_path, procedural_renderer.head, tmp_path)
