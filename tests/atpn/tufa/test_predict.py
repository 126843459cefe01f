import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from atpn.__main__ import main
from atpn.evaluate.faces import refine_face
from atpn.model import save_checkpoint
from atpn.tufa import predict
from atpn.tufa.inference import asked_points, context_of, predict_plane
from atpn.tufa.predict import PredictConfig, predict_images
from edge_runtime.geometry import ROI
from edge_runtime.landmarks import IBUG_68

POINTS = [[0.4, 0.45], [0.6, 0.45], [0.5, 0.75]]


@pytest.fixture
def template(tmp_path):
    path = tmp_path / "three.json"
    path.write_text(json.dumps({"name": "three", "points": POINTS, "edges": [[0, 1]]}))
    return path


@pytest.fixture(autouse=True)
def detector(monkeypatch, portrait):
    monkeypatch.setattr(predict, "default_detector", lambda: portrait)


def test_points_are_found_and_drawn(template, tiny_tufa, portrait, portrait_file, atpn, tmp_path):
    out = tmp_path / "out"
    records = predict_images(PredictConfig(str(template), (portrait_file,), tiny_tufa, out))
    lines = (out / "points.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == records
    assert [(record["image"], record["face"]) for record in records] == [(str(portrait_file), 0)]
    # An untrained network answers about what it was asked: the plane's points, in the face's crop.
    roi = refine_face(portrait.image, ROI.from_landmarks(portrait.landmarks), atpn).roi
    np.testing.assert_allclose(records[0]["points"], roi.to_frame(np.array(POINTS)), atol=0.05 * roi.size)
    drawn = cv2.imread(str(out / "0000_portrait.jpg"))
    assert drawn.shape == portrait.image.shape
    x, y = np.round(records[0]["points"][2]).astype(int)
    assert np.abs(drawn[y, x].astype(int) - (80, 60, 255)).max() < 60


def test_without_a_folder_the_lines_are_printed(template, tiny_tufa, portrait_file, capsys):
    records = predict_images(PredictConfig(str(template), (portrait_file,), tiny_tufa))
    assert json.loads(capsys.readouterr().out) == records[0]


def test_pictures_that_show_no_face_are_passed_over(
    template, tiny_tufa, portrait_file, portrait, tmp_path, monkeypatch, caplog
):
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((320, 400, 3), 90, np.uint8))
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    paths = (tmp_path / "wall.png", tmp_path / "broken.jpg", portrait_file)
    assert len(predict_images(PredictConfig(str(template), paths, tiny_tufa))) == 1
    for text in ("no face found in", "broken.jpg is not an image"):
        assert text in caplog.text
    with pytest.raises(ValueError, match="no face in any of the 2 pictures"):
        predict_images(PredictConfig(str(template), paths[:2], tiny_tufa))


def test_pictures_and_folders_follow_on_the_command_line(template, tiny_tufa, portrait_file, tmp_path, capsys):
    folder = tmp_path / "pictures"
    folder.mkdir()
    inside = portrait_file.rename(folder / portrait_file.name)
    call = ["tufa", "predict", "--weights", str(tiny_tufa), "--template", str(template)]
    assert main([*call, str(folder), str(inside)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["image"] for line in lines] == [str(inside)] * 2
    assert main([*call, str(tmp_path / "missing.png"), str(folder)]) == 1
    assert "no image in" in capsys.readouterr().err
    assert main(call) == 1
    assert "give at least one picture" in capsys.readouterr().err


def test_a_template_is_a_file_or_a_name_that_the_network_knows(tiny, template):
    scheme = asked_points(tiny, "ibug68")
    np.testing.assert_array_equal(scheme.plane, tiny.anchors("ibug68").numpy())
    assert scheme.edges == IBUG_68.edges
    drawn = asked_points(tiny, str(template))
    np.testing.assert_allclose(drawn.plane, POINTS)
    assert drawn.edges == ((0, 1),)
    # Where the network was fitted to the template, the fitted places count.
    fitted = tiny.with_scheme("three", np.full((3, 2), 0.3, np.float32))
    assert asked_points(fitted, str(template)).plane.max() == np.float32(0.3)
    assert asked_points(fitted, "three").plane.max() == np.float32(0.3)
    other = tiny.with_scheme("three", np.full((2, 2), 0.3, np.float32))
    with pytest.raises(ValueError, match="3 points, but the network was fitted to 2"):
        asked_points(other, str(template))
    with pytest.raises(ValueError, match=r"'lips' is no \.json file .* knows wflw98, ibug68, cofw29"):
        asked_points(tiny, "lips")
    with pytest.raises(FileNotFoundError, match="no template at"):
        asked_points(tiny, "missing.json")


def test_context_is_asked_along_but_not_returned(tiny):
    crops = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    context = context_of(tiny, "mine")
    assert context.shape == (44, 2)
    np.testing.assert_array_equal(context_of(tiny, "cofw29"), tiny.anchors("wflw98").numpy())
    tiny.config = replace(tiny.config, dense=False)
    np.testing.assert_array_equal(context_of(tiny, "mine"), tiny.anchors("wflw98").numpy())
    plane = np.array(POINTS)
    together = predict_plane(tiny, crops, np.concatenate([plane, context]))
    np.testing.assert_allclose(predict_plane(tiny, crops, plane, context, batch_size=2), together[:, :3], atol=1e-6)
    tiny.train()
    predict_plane(tiny, crops, plane)
    assert tiny.training


def test_a_network_without_a_scheme_asks_for_nothing_along(tiny):
    tiny.config = replace(tiny.config, schemes=(("lips", 195),), dense=False)
    crops = np.zeros((1, 32, 32, 3), np.uint8)
    assert context_of(tiny, "mine").shape == (0, 2)
    alone, asked = (predict_plane(tiny, crops, np.array(POINTS), c) for c in (None, context_of(tiny, "mine")))
    np.testing.assert_array_equal(asked, alone)


def test_another_network_s_checkpoint_is_refused(template, portrait_file, atpn, tmp_path):
    save_checkpoint(tmp_path / "atpn.safetensors", atpn, {})
    with pytest.raises(ValueError, match="expected TUFA"):
        predict_images(PredictConfig(str(template), (portrait_file,), tmp_path / "atpn.safetensors"))
