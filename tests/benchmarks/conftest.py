"""Labeled faces from the repository's rendered crops, a clip, and a detector for it."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from edge_runtime.geometry import ROI, Intrinsics, angles_to_matrix
from edge_runtime.landmarks import IBUG_68, WFLW_98, convert


@pytest.fixture(scope="session")
def rendered_faces():
    """(crops, landmarks in pixels, pose) of 16 rendered faces up to 30° of yaw, and crops of 4 backgrounds."""
    from export.config import WEIGHTS_FOLDER
    from export.crop_set import read_crop_set

    crops = read_crop_set(WEIGHTS_FOLDER / "heldout.npz")
    chosen = np.flatnonzero(np.abs(crops.pose[:, 1]) < np.radians(30))[:16]
    faces = crops.crops[chosen], crops.landmarks[chosen] * 112 - np.float32(0.5), crops.pose[chosen]
    return *faces, crops.crops[np.flatnonzero(~crops.has_face)[:4]]


@pytest.fixture(scope="session")
def face_shards(rendered_faces, tmp_path_factory):
    """The faces and backgrounds as shards, all landmarks seen, every face another person's."""
    from atpn.data.sample import Sample
    from atpn.data.shards import write_shard

    *faces, backgrounds = rendered_faces
    samples = [
        Sample(
            image=crop,
            landmarks=landmarks,
            visibility=np.ones(98, bool),
            rotation=angles_to_matrix(pose),
            intrinsics=Intrinsics.from_fov(112, 112),
            key=f"face-{i:05d}",
        )
        for i, (crop, landmarks, pose) in enumerate(zip(*faces, strict=True))
    ]
    samples += [Sample(image=crop, key=f"background-{i:05d}") for i, crop in enumerate(backgrounds)]
    folder = tmp_path_factory.mktemp("renders")
    write_shard(folder / "faces-000000.tar", samples)
    return folder


@pytest.fixture(scope="session")
def afw_folder(rendered_faces, tmp_path_factory):
    """Three of the faces in AFW's layout, one to a image of 224 pixels."""
    crops, landmarks, *_ = rendered_faces
    folder, labels = tmp_path_factory.mktemp("afw"), []
    for i in range(3):
        image = cv2.resize(crops[i], (224, 224), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{i}.png"), image[:, :, ::-1])
        points = convert(landmarks[i] * 2 + 0.5, WFLW_98, IBUG_68).tolist()
        labels.append({"image": f"{i}.png", "width": 224, "height": 224, "faces": [{"landmarks": points}]})
    (folder / "labels.json").write_text(json.dumps(labels))
    return folder


@pytest.fixture
def clip(tmp_path):
    """A video of 25 bright frames with a dark gap from frame 12 to 17."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (320, 240))
    for level in [230] * 12 + [10] * 6 + [230] * 7:
        writer.write(np.full((240, 320, 3), level, np.uint8))
    writer.release()
    return path


@pytest.fixture
def center_detector():
    """A detector class that returns the middle of the clip's frame."""

    class CenterDetector:
        def __init__(self, backend=None):
            pass

        def detect(self, frame):
            return [ROI(160.0, 120.0, 120.0)]

    return CenterDetector
