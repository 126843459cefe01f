"""Metrics of detections that are known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.detector.detectors import SearchResult
from benchmarks.detector.images import ImageSet, LabeledImage
from benchmarks.detector.metrics import (
    ALONE,
    IN_LOOP,
    compute_metrics,
    compute_ranking,
    compute_roll_metrics,
    find_hits,
    size_curves,
    unlabeled,
)
from edge_runtime.geometry import ROI
from edge_runtime.landmarks import WFLW_98

NOWHERE = ROI(380, 20, 30)


@pytest.fixture
def image(face_at):
    def make(*rois):
        return LabeledImage(np.full((300, 400, 3), 90, np.uint8), [face_at(roi).landmarks for roi in rois])

    return make


@pytest.fixture
def values(face_at):
    """Metrics by (table, column) of detections alone and, if others, in the loop."""

    def make(images, alone, loop=None, complete=True):
        loop = alone if loop is None else loop
        results = [SearchResult(a, [face_at(r) for r in b], (1.0, 2.0)) for a, b in zip(alone, loop, strict=True)]
        subject = ImageSet("here", "nowhere", images, WFLW_98, complete)
        found = compute_metrics(subject, "made up", results, results, "made up")
        return {(m.table.removeprefix("here: "), m.column): m.value for m in found}

    return make


def test_alone_and_in_the_loop_are_measured_apart(image, values):
    left, right = ROI(100, 100, 80), ROI(300, 200, 40)
    images = [image(left, right), image()]
    seen = values(images, [[left, NOWHERE], [NOWHERE]], [[left, right], []])
    alone, loop = f"faces found, {ALONE}", f"faces found, {IN_LOOP}"
    assert (seen[alone, "recall"], seen[alone, "precision"]) == (50, pytest.approx(100 / 3))
    assert (seen[alone, "false alarms per image"], seen[alone, "false alarms per image without a face"]) == (1, 1)
    assert (seen[loop, "recall"], seen[loop, "precision"], seen[loop, "mean IoU"]) == (100, 100, pytest.approx(1))
    assert seen[loop, "false alarms per image without a face"] == 0
    assert (seen[alone, "time"], seen[loop, "time"]) == (1, 2)


def test_recall_by_size_is_in_pixels_of_the_landmarks(image, values):
    # The landmarks' rectangle has two thirds of the ROI's side: 12, 27, and 60 px.
    small, middle, large = ROI(50, 50, 18), ROI(150, 150, 40.5), ROI(300, 150, 90)
    seen = values([image(small, middle, large)], [[large, middle]])
    sizes = {column: value for (table, column), value in seen.items() if table == f"recall by size, {ALONE}"}
    assert sizes == {"10 to 15 px": 0, "20 to 30 px": 100, "40 to 80 px": 100}


def test_the_size_curve_is_of_the_loop(image, face_at):
    small, middle, large = ROI(50, 50, 18), ROI(150, 50, 40.5), ROI(300, 150, 180)
    result = SearchResult([small, middle, large], [face_at(middle), face_at(large)], (1, 1))
    (curve,) = size_curves(ImageSet("here", "nowhere", [image(small, middle, large)], WFLW_98), "a", [result])
    assert list(zip(curve.x, curve.y, strict=True)) == [(12.5, 0), (25, 100), (120, 100)]
    assert not list(size_curves(ImageSet("here", "nowhere", [image(middle, large)], WFLW_98), "a", [result]))


def test_where_labels_are_incomplete_other_detections_are_not_labeled(image, values):
    face, inexact = ROI(100, 100, 80), ROI(140, 100, 80)
    assert 0.2 < face.iou(inexact) < 0.5
    seen = values([image(face), image()], [[inexact, NOWHERE], [NOWHERE, ROI(50, 50, 20)]], complete=False)
    table = f"faces found, {ALONE}"
    assert seen[table, "not labeled per image"] == 1.5, "an inexact detection of a labeled face is none of them"
    assert seen[table, "labeled, of the detections"] == 0
    assert not any("false" in column or column == "precision" for _, column in seen)


def test_a_detection_inside_a_large_label_is_not_unlabeled(image):
    assert unlabeled(image(ROI(100, 100, 80)), [ROI(102, 98, 60), NOWHERE]) == [NOWHERE]


def test_loose_recall_counts_inexact_rois(image, values):
    face, rough = ROI(100, 100, 80), ROI(130, 100, 80)
    assert 0.3 < face.iou(rough) < 0.5
    seen = values([image(face)], [[rough]])
    assert (seen[f"faces found, {ALONE}", "recall"], seen[f"faces found, {ALONE}", "recall, IoU 0.3"]) == (0, 100)


def test_metrics_exist_when_nothing_is_detected(image, values):
    seen = values([image(ROI(100, 100, 80))], [[]])
    table = f"faces found, {IN_LOOP}"
    assert [seen[table, column] for column in ("recall", "precision", "mean IoU")] == [0, None, None]


def test_time_is_relative_to_the_first_detector(image):
    first, other = ([SearchResult([], [], (t, 2 * t)) for t in times] for times in ((1, 2, 4), (3, 6, 8)))
    subject = ImageSet("here", "nowhere", [image()] * 3, WFLW_98)
    seen = {(m.table, m.column): m.value for m in compute_metrics(subject, "b", other, first, "a")}
    assert [seen[f"here: faces found, {mode}", "time"] for mode in (ALONE, IN_LOOP)] == [6, 12]
    assert seen[f"here: faces found, {ALONE}", "time over a's"] == 3


def test_recall_by_roll_follows_the_turned_labels(image):
    upright = image(ROI(100, 100, 80))
    turned = {degrees: [upright.turned(degrees)] for degrees in (0, 90)}
    (there,) = turned[0][0].rois
    hits = {d: find_hits(images, [SearchResult([there], [], (1, 1))], ALONE) for d, images in turned.items()}
    found, curve = compute_roll_metrics("here", "made up", hits)
    assert [(m.column, m.value) for m in found] == [("0°", 100), ("90°", 0)]
    assert (curve.x, curve.y) == ([0, 90], [100, 0])


def test_ranking_follows_the_scores(image):
    face = ROI(100, 100, 80)
    subject = ImageSet("here", "nowhere", [image(face), *[image()] * 9], WFLW_98)

    def ranked(found):
        return {m.column: m.value for m in compute_ranking(subject, "made up", found)}

    one_alarm = ranked([[(0.4, face)], [(0.9, NOWHERE)], *[[]] * 8])
    assert (one_alarm["AP"], one_alarm["recall at 0.1 false alarms"]) == (50, 100)
    two_alarms = ranked([[(0.4, face)], [(0.9, NOWHERE)], [(0.8, NOWHERE)], *[[]] * 7])
    assert two_alarms["recall at 0.1 false alarms"] == 0
    assert two_alarms["recall at 0.3 false alarms"] == 100
    assert ranked([[]] * 10)["AP"] == 0
