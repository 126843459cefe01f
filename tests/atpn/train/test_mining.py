import numpy as np
import pytest

from atpn.data.sample import Sample
from atpn.data.scenes import MINED, MINED_WINDOW
from atpn.data.shards import write_shard
from atpn.data.store import SampleStore
from atpn.train import mining
from atpn.train.mining import IMAGE_SIZE, MIN_CONFIDENCE, MineConfig, alarms, run, textured, wall
from atpn.weights import SHIPPED
from edge_runtime.backends import load_backend
from edge_runtime.detector.network import NetworkDetector
from edge_runtime.geometry import ROI, FieldOfView
from edge_runtime.models import DETECTOR_MODEL, model_path, network_files
from edge_runtime.observation import Observer
from export.image_archive import read_archive

IMAGE = 20
"""Number of a held-out picture with one large face."""


@pytest.fixture(scope="module")
def detector():
    return NetworkDetector(model_path(DETECTOR_MODEL))


@pytest.fixture(scope="module")
def observer():
    backend = load_backend(model_path(network_files().accurate))
    return Observer(backend, backend.spec)


@pytest.fixture(scope="module")
def face():
    """A picture with one rendered face, (192, 192, 3) uint8 RGB, and the face's square."""
    archive = read_archive(SHIPPED.with_name("detector_heldout.npz"), None, ("regions", "faces"), "images")
    first = int(archive.labels["faces"][:IMAGE].sum())
    x, y, size, roll = (archive.labels["regions"][first] * (192, 192, 192, 1)).tolist()
    return archive.images[IMAGE], ROI(x, y, size, roll)


def test_what_passes_for_a_face_is_an_alarm(detector, observer, face):
    picture, place = face
    found = list(alarms(np.ascontiguousarray(picture[:, :, ::-1]), detector, observer))
    assert len(found) == 1
    assert found[0].iou(place) > 0.5


def test_a_plain_wall_gives_no_alarm(detector, observer):
    assert list(alarms(np.full((240, 320, 3), 90, np.uint8), detector, observer)) == []


def test_mined_images_show_the_alarm_in_their_middle(observer, face, draw_sample, tmp_path, monkeypatch):
    """The "picture without a face" has one, so that the networks pass it for sure."""
    picture, _ = face
    write_shard(tmp_path / "faces-000000.tar", [draw_sample(np.random.default_rng(0)), Sample(picture, key="wall")])
    monkeypatch.setattr(mining, "wall", lambda store, backgrounds, rng: picture)
    monkeypatch.setattr(mining, "textured", lambda rng: picture)
    config = MineConfig(tmp_path, pictures=3, seed=7)
    run(config)
    store = SampleStore.read(tmp_path)
    mined = [i for i in store.backgrounds if store.kinds[i] == MINED]
    assert len(mined) >= 2
    for index in mined:
        assert store.image(index).shape == (IMAGE_SIZE, IMAGE_SIZE, 3)
        # Read where the tracking stage will look: the face is there.
        middle = ROI((IMAGE_SIZE - 1) / 2, (IMAGE_SIZE - 1) / 2, IMAGE_SIZE / MINED_WINDOW)
        bgr = np.ascontiguousarray(store.image(index)[:, :, ::-1])
        assert observer.observe(bgr, middle, FieldOfView().at(IMAGE_SIZE, IMAGE_SIZE)).confidence > MIN_CONFIDENCE


def test_a_stopped_run_resumes(face, draw_sample, tmp_path, monkeypatch):
    write_shard(tmp_path / "faces-000000.tar", [draw_sample(np.random.default_rng(0)), Sample(face[0], key="wall")])
    monkeypatch.setattr(mining, "wall", lambda store, backgrounds, rng: face[0])
    monkeypatch.setattr(mining, "textured", lambda rng: face[0])
    monkeypatch.setattr(mining, "PART", 2)
    whole, config = MineConfig(tmp_path, pictures=5, seed=7), MineConfig(tmp_path, pictures=2, seed=7)
    run(config)
    first = (tmp_path / "mined-000007-000.tar").read_bytes()
    run(whole)
    mined = sorted(tmp_path.glob("mined-*.tar"))
    assert [path.name for path in mined] == [f"mined-000007-{i:03d}.tar" for i in range(3)]
    assert mined[0].read_bytes() == first


def test_pictures_have_the_size_of_a_frame(draw_sample, tmp_path):
    colors = [(255, 0, 0), (0, 255, 0)]
    rows = [Sample(np.full((64, 64, 3), color, np.uint8), key=str(color)) for color in colors]
    write_shard(tmp_path / "a.tar", [draw_sample(np.random.default_rng(0)), *rows])
    store = SampleStore.read(tmp_path)
    for seed in range(8):
        picture = wall(store, store.backgrounds, np.random.default_rng(seed))
        assert picture.shape == textured(np.random.default_rng(seed)).shape == (480, 640, 3)
        assert (picture[..., 2] < 60).all()
