import json

import cv2
import numpy as np
import pytest

from atpn.__main__ import main
from atpn.evaluate.faces import refine_face
from atpn.model import save_checkpoint
from atpn.slpt import predict
from atpn.slpt.predict import PredictSLPTConfig, predict_images
from edge_runtime.geometry import ROI


@pytest.fixture(autouse=True)
def detector(monkeypatch, portrait):
    monkeypatch.setattr(predict, "default_detector", lambda: portrait)


@pytest.fixture
def portrait_file(portrait, tmp_path):
    path = tmp_path / "portrait.png"
    cv2.imwrite(str(path), portrait.image[:, :, ::-1])
    return path


def test_landmarks_and_their_uncertainty_are_told_and_drawn(tiny_slpt, portrait, portrait_file, atpn, tmp_path):
    out = tmp_path / "out"
    records = predict_images(PredictSLPTConfig(tiny_slpt, (portrait_file,), out))
    assert [json.loads(line) for line in (out / "points.jsonl").read_text().splitlines()] == records
    record = records[0]
    assert (record["image"], record["face"], record["scheme"]) == (str(portrait_file), 0, "wflw98")
    points, sigma = np.array(record["points"]), np.array(record["sigma"])
    assert points.shape == (98, 2)
    # An untrained network's landmarks are about its mean shape, and sigma a fifth of the last patch, as it begins.
    roi = refine_face(portrait.image, ROI.from_landmarks(portrait.landmarks), atpn).roi
    assert np.abs(roi.to_crop(points) - 0.5).max() < 0.7
    assert 0.2 * 0.05 < np.median(sigma) / roi.size < 0.3 * 0.15
    assert cv2.imread(str(out / "0000_portrait.jpg")).shape == portrait.image.shape


def test_slpt_tells_no_uncertainty(make_slpt, portrait_file, tmp_path, capsys):
    save_checkpoint(tmp_path / "slpt.safetensors", make_slpt("slpt"), {})
    assert main(["slpt", "predict", "--weights", str(tmp_path / "slpt.safetensors"), str(portrait_file)]) == 0
    record = json.loads(capsys.readouterr().out)
    assert len(record["points"]) == 98
    assert "sigma" not in record


def test_pictures_without_a_face_are_refused(tiny_slpt, tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((320, 400, 3), 90, np.uint8))
    assert main(["slpt", "predict", "--weights", str(tiny_slpt), str(tmp_path / "wall.png")]) == 1
    assert "found no face in 1 images" in capsys.readouterr().err
