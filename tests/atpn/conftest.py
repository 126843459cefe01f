"""Procedurally drawn faces: a flat-shaded mask of 98 points in space, projected by a known camera."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch

from atpn.data.sample import Sample
from atpn.data.shards import DENSE_STEPS, write_shard
from atpn.data.store import SampleStore
from atpn.model import ATPN, ATPNConfig, load_checkpoint, save_checkpoint
from edge_runtime.geometry import ROI, Intrinsics, angles_to_matrix
from edge_runtime.landmarks import IBUG_68, WFLW_98, convert, scheme_by_name
from export.config import WEIGHTS_FOLDER
from export.crop_set import read_crop_set


def _arc(x0, x1, y, bow, count):
    t = np.linspace(-1, 1, count)
    return np.column_stack([np.linspace(x0, x1, count), y + bow * (1 - t**2)])


def face_points(open_mouth=0.3, open_eyes=0.5):
    """(98, 3) points of a face about 2 units wide, head frame: x right, y down, z away from the camera."""
    angle = np.linspace(np.pi, 0, 33)
    plane = [np.column_stack([np.cos(angle), 0.1 + 1.1 * np.sin(angle)])]
    for x0, x1, flip in ((-0.8, -0.2, False), (0.2, 0.8, True)):
        top, bottom = _arc(x0, x1, -0.45, -0.12, 5), _arc(x0, x1, -0.38, -0.1, 5)[1:][::-1]
        if flip:  # mirror of the left brow: upper edge from the inside out, lower edge back
            bottom = _arc(x0, x1, -0.38, -0.1, 5)[:4][::-1]
        plane.append(np.vstack([top, bottom]))
    plane.append(np.column_stack([np.zeros(4), np.linspace(-0.2, 0.25, 4)]))
    plane.append(_arc(-0.2, 0.2, 0.35, 0.05, 5))
    for x0, x1 in ((-0.65, -0.3), (0.3, 0.65)):
        upper = _arc(x0, x1, -0.15, -0.16 * open_eyes, 5)
        lower = _arc(x0, x1, -0.15, 0.16 * open_eyes, 5)[1:4][::-1]
        plane.append(np.vstack([upper, lower]))
    upper, lower = _arc(-0.4, 0.4, 0.65, -0.1, 7), _arc(-0.4, 0.4, 0.65, 0.12 + 0.3 * open_mouth, 7)[1:6][::-1]
    plane.append(np.vstack([upper, lower]))
    upper, lower = _arc(-0.3, 0.3, 0.65, -0.03, 5), _arc(-0.3, 0.3, 0.65, 0.03 + 0.3 * open_mouth, 5)[1:4][::-1]
    plane.append(np.vstack([upper, lower]))
    plane.append(np.array([[-0.475, -0.15], [0.475, -0.15]]))
    xy = np.vstack(plane)
    depth = 0.6 * (xy[:, 0] ** 2 + 0.3 * xy[:, 1] ** 2)
    depth[51:55] -= np.linspace(0.05, 0.35, 4)
    return np.column_stack([xy, depth])


def draw_sample(rng, key="face", size=160, angles=None, center=None, identity=None):
    """One drawn face; `angles` (radians), `center` (image pixels of the head's origin) are random when not given."""
    angles = rng.normal(0, [0.2, 0.4, 0.15]) if angles is None else np.asarray(angles)
    rotation = angles_to_matrix(angles)
    camera = Intrinsics.from_fov(size, size, 40.0)
    if center is None:
        center = (size - 1) / 2 + rng.uniform(-0.06, 0.06, 2) * size
    depth = camera.fx / (size * 0.27 * rng.uniform(0.9, 1.1))
    position = depth * np.array([(center[0] - camera.cx) / camera.fx, (center[1] - camera.cy) / camera.fy, 1.0])
    points = face_points(rng.uniform(0, 1), rng.uniform(0, 1)) @ rotation.T + position
    pixels = points[:, :2] / points[:, 2:] * (camera.fx, camera.fy) + (camera.cx, camera.cy)
    image = draw_background(rng, size)
    skin = rng.uniform(90, 230) * np.array([1.0, 0.8, 0.7])
    outline = np.vstack([pixels[:33], pixels[33:51]])
    _fill(image, outline, skin)
    parts = ((33, 42, 0.3), (42, 51, 0.3), (60, 68, 1.15), (68, 76, 1.15), (76, 88, 0.6), (88, 96, 0.15))
    for start, stop, shade in parts:
        _fill(image, pixels[start:stop], np.clip(skin * shade, 0, 255))
    cv2.polylines(image, [np.round(pixels[51:60] * 16).astype(int)], False, (skin * 0.5).tolist(), 2, cv2.LINE_AA, 4)
    return Sample(
        image=image,
        landmarks=pixels.astype(np.float32),
        visibility=np.ones(WFLW_98.count, bool),
        rotation=rotation,
        intrinsics=camera,
        key=key,
        attributes={"identity": identity or key},
    )


def draw_background(rng, size=160):
    """(size, size, 3) uint8 of smooth colored blotches."""
    return cv2.resize(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8), (size, size), interpolation=cv2.INTER_CUBIC)


def _fill(image, points, color):
    hull = cv2.convexHull(np.round(points * 16).astype(np.int32))
    cv2.fillConvexPoly(image, hull, np.asarray(color, float).tolist(), cv2.LINE_AA, 4)


def write_faces(folder, faces=24, backgrounds=4, seed=0, size=160):
    """Shards of drawn faces and backgrounds in a folder."""
    rng = np.random.default_rng(seed)
    samples = [draw_sample(rng, f"face-{i:05d}", size) for i in range(faces)]
    samples += [Sample(draw_background(rng, size), key=f"background-{i:05d}") for i in range(backgrounds)]
    folder.mkdir(parents=True, exist_ok=True)
    write_shard(folder / "faces-000000.tar", samples)
    return folder


@pytest.fixture(name="draw_sample", scope="session")
def draw_sample_fixture():
    return draw_sample


@pytest.fixture(scope="session")
def make_shards():
    return write_faces


@pytest.fixture(scope="session")
def face_shards(tmp_path_factory):
    """A folder of 24 drawn faces and 4 backgrounds."""
    return write_faces(tmp_path_factory.mktemp("renders"))


@pytest.fixture(scope="session")
def atpn():
    return load_checkpoint(WEIGHTS_FOLDER / "atpn.safetensors")[0]


class Portrait:
    """A rendered face in a larger image, and a rough detector that finds it, twice, and a wall besides."""

    def __init__(self) -> None:
        crops = read_crop_set(WEIGHTS_FOLDER / "heldout.npz")
        index = int(np.flatnonzero(crops.has_face & (np.abs(crops.pose) < 0.12).all(axis=1))[0])
        face = cv2.resize(crops.crops[index], (224, 224), interpolation=cv2.INTER_CUBIC)
        self.image = np.full((320, 400, 3), 128, np.uint8)
        """(H, W, 3) uint8 RGB."""
        self.image[50:274, 40:264] = face
        self.landmarks = crops.landmarks[index] * 224 - 0.5 + (40, 50)

    def detect(self, frame):
        """Three regions; the first is off by a tenth of the face."""
        assert frame.dtype == np.uint8
        truth = ROI.from_landmarks(self.landmarks)
        shifted = ROI(truth.cx + 0.1 * truth.size, truth.cy, 1.1 * truth.size)
        return [shifted, ROI(330.0, 160.0, 80.0), truth]


@pytest.fixture(scope="session")
def portrait():
    return Portrait()


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory):
    """An untrained network: its landmarks are about the mean shape."""
    torch.manual_seed(0)
    shape = torch.rand(98, 2) * 0.6 + 0.2
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_checkpoint(path, ATPN(ATPNConfig(width=0.25, input_size=48), shape), {"stage": "none"})
    return path


@pytest.fixture(scope="session")
def drawn_afw(tmp_path_factory, face_shards):
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


@pytest.fixture(scope="session")
def decoded():
    """The sample of a `StoredSample`, all of its labels included."""

    def decode(stored):
        labels, packed = stored.labels, stored.packed_dense()
        kinds = {"landmarks": np.float32, "visibility": np.bool_, "rotation": np.float64, "neighbours": np.float32}
        arrays = {name: np.array(labels[name], kind) for name, kind in kinds.items() if labels.get(name) is not None}
        if packed is not None:
            arrays |= {"dense": packed[:, :2].astype(np.float32) / DENSE_STEPS, "dense_visibility": packed[:, 2] != 0}
        return Sample(
            image=cv2.imdecode(np.frombuffer(stored.encoded, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1],
            intrinsics=Intrinsics(**labels["intrinsics"]) if labels["intrinsics"] else None,
            neighbors=arrays.pop("neighbours", None),
            boxes={kind: tuple(box) for kind, box in labels.get("boxes", {}).items()},
            scheme=scheme_by_name(labels["scheme"]),
            **{name: labels[name] for name in ("key", "attributes")},
            **arrays,
        )

    return decode
