import numpy as np
import pytest

from atpn.evaluate.faces import find_faces, list_images, refine_face
from atpn.evaluate.metrics import point_errors
from edge_runtime.geometry import ROI, upright_roll
from edge_runtime.landmarks import WFLW_98


def error(landmarks, ground_truth):
    return point_errors(landmarks[None], ground_truth[None], WFLW_98.inter_ocular(ground_truth)[None]).mean()


def test_folders_stand_for_their_images(tmp_path):
    folder = tmp_path / "folder"
    (folder / "deeper.png").mkdir(parents=True)
    for name in ("b.JPG", "a.png", "notes.txt"):
        (folder / name).write_bytes(b"content")
    (tmp_path / "own.dat").write_bytes(b"content")
    assert list_images([tmp_path / "own.dat", folder]) == [tmp_path / "own.dat", folder / "a.png", folder / "b.JPG"]
    for path in (folder / "deeper.png", tmp_path / "missing.png"):
        with pytest.raises(FileNotFoundError, match=f"no image in .*{path.name}; give images and folders"):
            list_images([folder, path])


def test_a_folders_images_are_in_natural_order(tmp_path):
    for number in (10, 9, 2, 1):
        (tmp_path / f"frame_{number}.png").write_bytes(b"content")
    assert [path.name for path in list_images([tmp_path])] == [f"frame_{n}.png" for n in (1, 2, 9, 10)]


def test_each_face_is_found_once_and_nothing_else(portrait, atpn):
    faces = find_faces(portrait.image, atpn, portrait)
    assert len(faces) == 1
    assert faces[0].confidence > 0.7
    assert error(faces[0].landmarks, portrait.landmarks) < 0.06
    assert faces[0].roi.iou(ROI.from_landmarks(portrait.landmarks)) > 0.85


def test_a_image_without_a_face_has_none(atpn):
    class Generous:
        def detect(self, frame):
            return [ROI(100.0, 100.0, 80.0), ROI(60.0, 80.0, 120.0)]

    assert find_faces(np.full((200, 200, 3), 90, np.uint8), atpn, Generous()) == []


def test_the_crop_is_the_one_that_the_landmarks_ask_for(portrait, atpn):
    ground_truth = ROI.from_landmarks(portrait.landmarks)
    turned = ROI(ground_truth.cx + 0.08 * ground_truth.size, ground_truth.cy, ground_truth.size, np.radians(20))
    face = refine_face(portrait.image, turned, atpn)
    assert abs(face.roi.roll - upright_roll(portrait.landmarks, atpn.mean_shape.numpy())) < np.radians(4)
    again = ROI.from_landmarks(face.landmarks, face.roi.roll)
    np.testing.assert_allclose((again.cx, again.cy, again.size), (face.roi.cx, face.roi.cy, face.roi.size), rtol=1e-6)
