"""Errors and the choice of boxes, on synthetic photographs and a network with known errors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from atpn.data.afw import Photo, read_afw
from benchmarks.baselines.accuracy import evaluate, split
from benchmarks.baselines.adapters import BASELINES
from benchmarks.baselines.network import ALL_POINTS
from edge_runtime.landmarks import IBUG_68


def photo(key, seed):
    face = np.random.default_rng(seed).uniform(40, 160, (68, 2)).astype(np.float32)
    return Photo(np.zeros((200, 200, 3), np.uint8), (face,), key)


class KnownErrors:
    """Returns the labels with an error that grows with the distance from the best scale."""

    name, points, box_scale, box_is_fixed = "knowing", ALL_POINTS, 1.0, False
    best_scale = 1.4

    def __init__(self, photos):
        self.faces = [face for each in photos for face in each.faces]

    def prepare(self, frame, region):
        return frame

    def run(self, tensor):
        return None

    def decode(self, output, region):
        (face,) = [
            f
            for f in self.faces
            if abs(f.max(axis=0) + f.min(axis=0) - 2 * np.array([region.cx, region.cy])).max() < 1e-3
        ]
        scale = region.size / np.ptp(face, axis=0).max()
        return face + (0.05 + abs(scale - self.best_scale)) * IBUG_68.inter_ocular(face) * np.array([1.0, 0.0])

    def to_ibug(self, landmarks):
        return landmarks


def test_evaluate_chooses_boxes_on_other_photographs():
    photos = [photo(str(i), i) for i in range(24)]
    choosing, reported = split(photos)
    assert [p.key for p in choosing[:3]] == ["0", "2", "4"]
    assert [p.key for p in reported[:2]] == ["1", "3"]
    metrics = {f.column: f.value for f in evaluate(KnownErrors(photos), choosing, reported).metrics()}
    adapted = metrics.pop("adapted")
    expected = {"points": 68, "box": 1.4, "NME": 5.0, "without the jaw": 5.0, "above 10 %": 0.0}
    assert metrics == pytest.approx(expected, abs=0.01)
    assert np.isfinite(adapted)


def test_evaluate_keeps_a_fixed_box_and_ignores_missing_points():
    photos = [photo(str(i), i) for i in range(20)]
    network = KnownErrors(photos)
    network.box_is_fixed, network.points = True, ALL_POINTS[:60]
    network.to_ibug = lambda landmarks: np.where(np.arange(68)[:, None] < 60, landmarks, np.nan)
    result = evaluate(network, *split(photos))
    metrics = {f.column: f.value for f in result.metrics()}
    assert (metrics["box"], metrics["points"], metrics["above 10 %"]) == (1.0, 60, 100.0)
    assert metrics["NME"] == pytest.approx(45.0, abs=0.01)
    curve = result.curve()
    assert max(curve.y) == 0.0, "no face has an error below 15 %"


@pytest.mark.parametrize(
    ("name", "nme"), [("OpenSeeFace", 7.08), ("PFLD-GhostOne", 5.24), ("GhostNet-Slim", 5.37), ("Peppa slim", 6.01)]
)
def test_baselines_get_their_authors_input(real_faces, name, nme):
    pytest.importorskip("onnxruntime")
    file, opened = BASELINES[name]
    path = real_faces.parent / "peers" / file
    if not path.is_file():
        pytest.skip(f"{name}'s network is not at {path}")
    photos = list(itertools.islice(read_afw(real_faces / "afw"), 12))
    network = opened(path)
    network.box_is_fixed = True
    # Swapped channels or values in [0, 1] instead of around 0 make each worse by 0.15 at least.
    assert evaluate(network, [], photos).per_face.mean() == pytest.approx(nme, abs=0.05)
