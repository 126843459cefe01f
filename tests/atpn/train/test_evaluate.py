import json

import cv2
import numpy as np
import pytest
import torch

from atpn.__main__ import main
from atpn.data.store import SampleStore
from atpn.model import ATPN, ATPNConfig, save_checkpoint
from atpn.train.evaluate import EvaluateConfig, landmark_report, pose_report
from edge_runtime.landmarks import IBUG_68, WFLW_98, convert


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """An untrained network: its landmarks are about the mean shape."""
    torch.manual_seed(0)
    shape = torch.rand(98, 2) * 0.6 + 0.2
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_checkpoint(path, ATPN(ATPNConfig(width=0.25, input_size=48), shape), {"stage": "none"})
    return path


@pytest.fixture(scope="module")
def afw(tmp_path_factory, face_shards):
    """Three drawn faces in AFW's layout."""
    folder = tmp_path_factory.mktemp("afw")
    store, labels = SampleStore.read(face_shards), []
    for i in range(3):
        sample = store[i]
        cv2.imwrite(str(folder / f"{i}.png"), sample.image[:, :, ::-1])
        points = convert(sample.landmarks, WFLW_98, IBUG_68).tolist()
        labels.append({"image": f"{i}.png", "width": 160, "height": 160, "faces": [{"landmarks": points}]})
    (folder / "labels.json").write_text(json.dumps(labels))
    return folder


def test_the_report_holds_every_figure(weights, face_shards, afw, tmp_path, capsys):
    arguments = ["--weights", weights, "--data", face_shards, "--afw", afw, "--out", tmp_path / "report.json"]
    assert main(["evaluate", *map(str, arguments), "--overlay", str(tmp_path / "pictures")]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["rendered"]["faces"] == 24
    assert report["rendered"]["pose"]["all"]["count"] == 24
    assert sum(entry["count"] for entry in report["rendered"]["nme_rectangle_by_yaw"].values()) == 24
    assert report["afw"]["faces"] == 3
    assert report["afw"]["first"]["nme"] > 0.1
    for name, faces in (("rendered", 24), ("afw", 3)):
        tracking = report[name]["tracking"]
        assert set(tracking) == {"positives", "negatives", "average_precision", "missed", "false_alarms"}
        assert (tracking["positives"], tracking["negatives"]) == (faces, 10 * faces)
    assert report["versions"]["opencv"] == cv2.__version__
    assert len(report["weights_sha256"]) == 64
    printed = capsys.readouterr().out
    assert "rendered: 24 faces" in printed
    assert "afw: 3 faces" in printed
    assert len(list((tmp_path / "pictures" / "rendered").glob("0*.jpg"))) == 24
    sheet = cv2.imread(str(tmp_path / "pictures" / "rendered" / "sheet.jpg"))
    assert sheet.shape == (3 * 224, 6 * 224, 3)
    worst = cv2.imread(str(sorted((tmp_path / "pictures" / "afw").glob("0000_*.jpg"))[0]))
    assert worst.shape == (448, 448, 3)


def test_exact_predictions_have_no_error(face_shards):
    shapes = SampleStore.read(face_shards).landmarks[:24].astype(np.float64)
    report = landmark_report(shapes, shapes, WFLW_98)
    assert report["nme"] == 0
    assert report["auc_10"] == pytest.approx(1)
    assert report["mouth_opening"]["slope"] == pytest.approx(1)


def test_pose_report_bins_by_yaw():
    target = np.radians([[0.0, 10, 0], [0, 80, 0], [0, 100, 0]])
    report = pose_report(target + np.radians([[3.0, 0, 0], [6, 0, 0], [9, 0, 0]]), target)
    assert report["yaw_60"] == pytest.approx({"mae": 1, "pitch": 3, "yaw": 0, "roll": 0, "count": 1})
    assert report["yaw_90"]["pitch"] == pytest.approx(4.5)
    assert report["all"]["count"] == 3


def test_nothing_to_measure_on_is_refused(weights):
    with pytest.raises(ValueError, match="give --data FOLDER"):
        EvaluateConfig(weights)


def test_commands_refuse_with_a_message(weights, tmp_path, capsys):
    assert main(["evaluate", "--weights", str(weights), "--afw", str(tmp_path)]) == 1
    assert "labels.json is missing" in capsys.readouterr().err
    assert main(["train", "landmarks", "--data", str(tmp_path / "none"), "--out", str(tmp_path / "run")]) == 1
    assert "is not a folder" in capsys.readouterr().err
    assert main(["trian"]) == 2
    assert "evaluate" in capsys.readouterr().err
    assert main(["--help"]) == 0
