"""Shards of samples, and archives of images and of outputs."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from atpn.data.sample import Sample
from atpn.data.shards import list_shards, read_shard, write_scheme, write_shard
from atpn.data.store import SampleStore
from benchmarks.results import Metric, Results, ResultsError
from edge_runtime.landmarks import WFLW_98, LandmarkScheme
from export.crop_set import read_crop_set
from export.errors import ExportError
from export.image_archive import write_archive
from export.image_set import read_image_set
from platform_checks.device_outputs import DeviceOutputs
from tests.fuzz.mutations import of_bytes, of_json, of_tar, of_zip
from tests.fuzz.target import Target, digest
from tests.fuzz.targets.media import scene
from tests.fuzz.targets.settings import SCHEME

SIZE = 32
COUNT = 4


def _make_shard(folder: Path) -> None:
    rng = np.random.default_rng(0)
    samples = [
        Sample(
            scene(step, SIZE, SIZE),
            landmarks=None if step == COUNT - 1 else rng.uniform(4, 28, (98, 2)).astype(np.float32),
            scheme=WFLW_98,
            rotation=np.eye(3),
            boxes={"detector": (4.0, 4.0, 28.0, 28.0)},
            key=f"face-{step}",
            attributes={"identity": f"person-{step}"},
        )
        for step in range(COUNT)
    ]
    write_shard(folder / "faces-000000.tar", samples)


def _make_own_scheme(folder: Path) -> None:
    scheme = LandmarkScheme.from_dict(SCHEME)
    points = np.linspace(4, 28, 14, dtype=np.float32).reshape(7, 2)
    write_scheme(folder, scheme)
    write_shard(folder / "faces-000000.tar", [Sample(scene(0, SIZE, SIZE), points, scheme, key="face-0")])


def _read_samples(_: Path, file: Path) -> str:
    """Return a digest of all samples of a shard."""
    return digest(
        *itertools.chain.from_iterable((each.encoded, each.labels, each.dense or b"") for each in read_shard(file))
    )


def _read_store(folder: Path, file: Path) -> None:
    assert list_shards(folder)
    for on_disk in (False, True):
        store = SampleStore.read(folder, on_disk=on_disk)
        for index in range(len(store)):
            store[index]
            store.boxes(index)
        store.split()


def _images() -> list[np.ndarray]:
    return [scene(step, SIZE, SIZE) for step in range(COUNT)]


def _make_crop_set(folder: Path) -> None:
    shapes = {"landmarks": (98, 2), "pose": (3,), "expressions": (52,), "gaze": (2, 2)}
    labels = {name: np.full((COUNT, *shape), 0.5, np.float32) for name, shape in shapes.items()}
    write_archive(folder / "crops.npz", _images(), labels, {"scheme": "wflw98", "origin": {"seed": 0}})


def _read_crop_set(_: Path, file: Path) -> str:
    found = read_crop_set(file, SIZE)
    return digest(found.crops, found.landmarks, found.pose, found.scheme.name, found.origin)


def _make_image_set(folder: Path) -> None:
    labels = {"regions": np.ones((COUNT, 4)), "wanted": np.ones(COUNT, bool), "faces": np.ones(COUNT, int)}
    write_archive(folder / "images.npz", _images(), labels, {"origin": {"seed": 0}})


def _read_image_set(_: Path, file: Path) -> str:
    found = read_image_set(file, SIZE)
    return digest(found.images, found.origin, *(each.regions for each in found.composites))


def _make_outputs(folder: Path) -> None:
    arrays = {"crops/crops": np.zeros((2, 8, 8, 3), np.uint8), "tiny.tflite/pose": np.zeros((2, 3), np.float32)}
    DeviceOutputs(arrays, {"tiny.tflite": "fp32"}, {}, {"numpy": "2"}).write(folder / "outputs.npz")


def _read_outputs(_: Path, file: Path) -> str:
    found = DeviceOutputs.read(file)
    return digest(*(part for name, array in sorted(found.arrays.items()) for part in (name, array)))


def _make_results(folder: Path) -> None:
    metric = Metric(table="latency", row="atpn", column="median", value=1.5, unit="ms", std_error=0.1)
    Results("latency", [metric], machine={"processor": "x"}).write(folder / "latency.json")


TARGETS = (
    Target("shard", _make_shard, _read_samples, (ValueError,), of_bytes, compared=True, weight=2.0),
    Target("samples", _make_shard, _read_store, (ValueError, OSError), of_tar({".json": of_json}), "*.tar"),
    Target("shard-scheme", _make_own_scheme, _read_store, (ValueError,), of_json, "scheme.json"),
    Target("crop-set", _make_crop_set, _read_crop_set, (ExportError,), of_bytes, compared=True),
    Target("crop-set-arrays", _make_crop_set, _read_crop_set, (ExportError,), of_zip(of_bytes)),
    Target("image-set", _make_image_set, _read_image_set, (ExportError,), of_bytes, compared=True),
    Target("image-set-arrays", _make_image_set, _read_image_set, (ExportError,), of_zip(of_bytes)),
    Target("device-outputs", _make_outputs, _read_outputs, (ValueError,), of_bytes, compared=True),
    Target("device-outputs-arrays", _make_outputs, _read_outputs, (ValueError,), of_zip(of_bytes)),
    Target("benchmark-results", _make_results, lambda _, file: Results.read(file), (ResultsError,), of_json),
)
