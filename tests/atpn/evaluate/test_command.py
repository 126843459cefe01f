import json

import cv2
import pytest

from atpn.__main__ import main
from atpn.evaluate import command
from atpn.evaluate.command import EvaluateConfig


def test_the_report_holds_every_figure(tiny_weights, face_shards, drawn_afw, tmp_path, capsys):
    arguments = [
        "--weights",
        tiny_weights,
        "--data",
        face_shards,
        "--afw",
        drawn_afw,
        "--out",
        tmp_path / "report.json",
    ]
    arguments += ["--detector", "none", "--overlay", tmp_path / "images", "--plots", tmp_path / "plots"]
    assert main(["evaluate", *map(str, arguments)]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["rendered"]["faces"] == 24
    assert report["rendered"]["pose"]["all"]["count"] == 24
    assert sum(entry["count"] for entry in report["rendered"]["nme_rectangle_by_yaw"].values()) == 24
    assert report["afw"]["faces"] == 3
    assert report["afw"]["first"]["nme"] > 0.1
    for name, faces in (("rendered", 24), ("afw", 3)):
        tracking = report[name]["tracking"]
        figures = {"positives", "negatives", "average_precision", "missed", "false_alarms"}
        assert set(tracking) == figures | {"precision_recall"}
        assert (tracking["positives"], tracking["negatives"]) == (faces, 10 * faces)
        assert set(report[name]["uncertainty"]["parts"]) == {"jaw", "brow", "nose", "eye", "mouth"}
    assert report["versions"]["opencv"] == cv2.__version__
    assert len(report["weights_sha256"]) == 64
    printed = capsys.readouterr().out
    assert "rendered: 24 faces" in printed
    assert "afw: 3 faces" in printed
    assert len(list((tmp_path / "images" / "rendered").glob("0*.jpg"))) == 24
    sheet = cv2.imread(str(tmp_path / "images" / "rendered" / "sheet.jpg"))
    assert sheet.shape == (3 * 224, 6 * 224, 3)
    worst = cv2.imread(str(sorted((tmp_path / "images" / "afw").glob("0000_*.jpg"))[0]))
    assert worst.shape == (448, 448, 3)
    assert cv2.imread(str(tmp_path / "plots" / "ced.png")).shape == (480, 640, 3)
    assert cv2.imread(str(tmp_path / "plots" / "reliability.png")).shape == (2 * 480, 3 * 640, 3)
    for name in ("precision_recall", "pose_ced"):
        assert cv2.imread(str(tmp_path / "plots" / f"{name}.png")).shape == (480, 640, 3)


def test_nothing_to_measure_on_is_refused(tiny_weights):
    with pytest.raises(ValueError, match="give --data FOLDER"):
        EvaluateConfig(tiny_weights)


def test_commands_refuse_with_a_message(tiny_weights, tmp_path, capsys):
    assert main(["evaluate", "--weights", str(tiny_weights), "--afw", str(tmp_path)]) == 1
    assert "labels.json is missing" in capsys.readouterr().err
    assert main(["evaluate", "--weights", str(tiny_weights), "--afw", str(tmp_path), "--detector", "mtcnn"]) == 1
    assert "unknown detector 'mtcnn'" in capsys.readouterr().err
    assert main(["train", "landmarks", "--data", str(tmp_path / "none"), "--out", str(tmp_path / "run")]) == 1
    assert "is not a folder" in capsys.readouterr().err
    assert main(["trian"]) == 2
    assert "evaluate" in capsys.readouterr().err
    assert main(["--help"]) == 0


@pytest.mark.parametrize(("key", "name"), [("landmarks_yaw_60", "renders, |yaw| up to 60: 3"), ("other", "renders: 4")])
def test_a_curve_of_all_faces_is_not_labeled_as_one_of_some(tmp_path, monkeypatch, key, name):
    curve = {"ced": {"error": [0.0, 0.1], "share": [0.0, 1.0]}}
    report = {"rendered": {"landmarks": {"nme": 0.04, **curve}, key: {"nme": 0.03, **curve}}}
    charts = []
    monkeypatch.setattr(command, "write_charts", lambda path, drawn: charts.extend(drawn))
    command.write_plots(tmp_path, report)
    assert charts[0].lines[0].name.startswith(name)
