"""Detectors in the loop, and the command."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.detector import detectors, turned
from benchmarks.detector.command import search_all
from benchmarks.detector.detectors import NamedDetector, Searcher, open_detectors
from benchmarks.detector.images import LabeledImage
from benchmarks.report import write_report
from benchmarks.results import Results
from edge_runtime.backends import load_backend
from edge_runtime.geometry import ROI


class Known:
    """A detector that returns given ROIs."""

    def __init__(self, *rois):
        self._rois = list(rois)

    def detect(self, frame):
        return list(self._rois)

    def scored(self, frame):
        return [(0.9, roi) for roi in self._rois]


def test_every_detector_is_searched_alone_and_in_the_loop(write_onnx):
    pytest.importorskip("onnxruntime")
    frame = np.full((300, 400, 3), 20, np.uint8)
    frame[80:220, 80:220] = 255
    bright, dark = ROI(150, 150, 120), ROI(330, 60, 60)
    network = load_backend(write_onnx())
    found = [
        Searcher(NamedDetector(n, d, d.scored), network)
        for n, d in (("knows", Known(bright, dark)), ("blind", Known()))
    ]
    results = search_all(found, [LabeledImage(frame, [])] * 3, "here")
    assert [len(each.rois) for each in results["knows"]] == [2, 2, 2]
    assert [len(each.faces) for each in results["knows"]] == [1, 1, 1], "the network rejects the dark one"
    assert [len(each.rois) + len(each.faces) for each in results["blind"]] == [0, 0, 0]
    assert all(alone <= loop for each in results["knows"] for alone, loop in [each.milliseconds])


def test_open_detectors_notes_missing_files(write_onnx, tmp_path):
    found, notes = open_detectors(write_onnx(), tmp_path)
    assert [each.name for each in found] == ["cascades"]
    assert [note.partition(",")[0] for note in notes] == [
        "Left out: our detector",
        "Left out: YuNet",
        "Left out: MediaPipe's detector",
    ]


def test_mediapipe_is_found_among_the_baselines_or_given(write_onnx, tmp_path, monkeypatch):
    opened = []

    class Blazeface(Known):
        def __init__(self, path):
            super().__init__(ROI(100, 100, 50))
            opened.append(path)

    monkeypatch.setattr(detectors, "MediaPipeDetector", Blazeface)
    beside, other = tmp_path / "face_detection_short_range.tflite", tmp_path / "other.tflite"
    beside.touch()
    found, notes = open_detectors(write_onnx(), tmp_path)
    assert [each.name for each in found] == ["cascades", "MediaPipe"]
    assert not any("MediaPipe" in note for note in notes)
    open_detectors(write_onnx(), tmp_path, other)
    assert opened == [beside, other], "a file that is given comes first"
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError, match="MediaPipe's face_detection_short_range"):
        open_detectors(write_onnx(), tmp_path, other)


@pytest.mark.filterwarnings("error")
def test_the_command_writes_results_and_a_report(
    write_onnx, face_shards, afw_folder, clip, tmp_path, capsys, monkeypatch
):
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(turned, "TURNS", (0, 90))
    out = tmp_path / "bench/detector.json"
    folders = {"models": write_onnx(), "data": face_shards, "afw": afw_folder, "videos": clip, "out": out}
    folders |= {"baselines": tmp_path, "unlabeled": tmp_path / "crops"}
    numbers = {"scenes": 3, "photographs": 2, "turned": 1, "frames": 6, "runs": 1}
    given = (folders | numbers).items()
    assert main(["detector", *(str(part) for name, value in given for part in (f"--{name}", value))]) == 0
    results = Results.read(out)
    titles = {m.table for m in results.metrics}
    assert titles > {
        "scenes: faces found, detector alone",
        "AFW: faces found, in the loop",
        "scenes: recall by roll, in the loop",
        "AFW: turned stills",
        "portraits: turned stills",
        "false tracks per 1,000 frames",
        "time of a search",
        "video clip.avi",
    }
    assert "scenes: turned stills" not in titles
    assert {m.row for m in results.metrics if m.table == "AFW: turned stills"} >= {
        "crop given: right",
        "cascades: wrong",
    }
    assert results.settings["network"] == "tiny.onnx"
    assert any(note.startswith("AFW: 2 images") for note in results.notes)
    assert "time of a search" in capsys.readouterr().out
    assert {curve.chart for curve in results.curves} >= {"scenes: recall by size, in the loop"}
    assert cv2.imread(str(write_report(out.parent)[2])) is not None


def test_unlabeled_faces_need_photographs(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["detector", "--unlabeled", "somewhere"])
    assert "give --afw FOLDER, too" in capsys.readouterr().err
