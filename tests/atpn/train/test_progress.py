"""The record of a run's checkpoints."""

import cv2

from atpn.train.progress import add_progress, read_progress


def test_rows_are_kept_in_order_and_drawn(tmp_path):
    path = tmp_path / "landmarks.progress.jsonl"
    assert read_progress(path) == []
    for samples, nme in ((1000, 9.0), (2000, 6.0), (3000, 5.5)):
        add_progress(path, {"step": samples // 10, "samples": samples, "minutes": 1.5, "nme": nme})
    assert [(row["samples"], row["nme"]) for row in read_progress(path)] == [(1000, 9.0), (2000, 6.0), (3000, 5.5)]
    before = cv2.imread(str(tmp_path / "landmarks.progress.png"))
    # A run that went back to an earlier state: what came after it did not happen. New figures may join.
    add_progress(path, {"step": 150, "samples": 1500, "minutes": 1.5, "nme": 7.0, "nme_clear": 4.0})
    assert [row["samples"] for row in read_progress(path)] == [1000, 1500]
    after = cv2.imread(str(tmp_path / "landmarks.progress.png"))
    assert after.shape == (before.shape[0], 2 * before.shape[1], 3)


def test_figures_below_zero_are_drawn(tmp_path):
    # An untrained network's slopes and correlations may be.
    path = tmp_path / "landmarks.progress.jsonl"
    for samples, slope in ((1000, -0.03), (2000, -0.2), (3000, 0.4)):
        add_progress(path, {"step": samples // 10, "samples": samples, "minutes": 1.5, "mouth_slope": slope})
        assert cv2.imread(str(tmp_path / "landmarks.progress.png")) is not None
