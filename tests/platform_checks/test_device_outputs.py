"""Outputs of this machine; the guided tracker follows another machine's steps."""

from __future__ import annotations

import os

import numpy as np
import pytest

from edge_runtime.models import model_path
from platform_checks.device_outputs import (
    EMPTY_FRAMES,
    FRAMES,
    HELD_OUT,
    DeviceOutputs,
    GuidedBackend,
    device_outputs,
    frames,
    held_out_images,
    random_crops,
)


class Brightness:
    """A network that returns the brightness of the crop."""

    spec = None

    def run(self, crop, query_points=None):
        return {"confidence": np.array([crop.mean()], np.float32)}


def test_guided_backend_records_its_outputs_and_returns_the_others():
    network = GuidedBackend(Brightness(), {"confidence": np.array([[0.5], [0.7]], np.float32)})
    given = [network.run(np.full((4, 4, 3), level, np.uint8))["confidence"][0] for level in (10, 20, 30)]
    assert given == pytest.approx([0.5, 0.7, 0.7])
    assert [result["confidence"][0] for result in network.results] == [10, 20, 30]
    assert GuidedBackend(Brightness(), None).run(np.full((4, 4, 3), 9, np.uint8))["confidence"][0] == 9


def test_frames_include_empty_ones():
    images = list(frames())
    assert len(images) == FRAMES
    assert [number for number, image in enumerate(images) if (image == 127).all()] == list(EMPTY_FRAMES)


def test_random_crops_are_the_same_each_time():
    assert np.array_equal(random_crops(), random_crops())


def test_held_out_images_are_rgb():
    images = held_out_images(HELD_OUT / "heldout.npz")
    assert images.shape[1:] == (112, 112, 3)
    red, _, blue = images.mean(axis=(0, 1, 2))
    assert red > blue, "skin"


def test_outputs_are_written_and_read_back(tmp_path):
    outputs = DeviceOutputs({"a/x": np.arange(3.0)}, {"a": "fp32"}, {"b": "why"}, {"numpy": "2"})
    outputs.write(tmp_path / "o.npz")
    again = DeviceOutputs.read(tmp_path / "o.npz")
    assert np.array_equal(again.arrays["a/x"], np.arange(3.0))
    assert (again.precisions, again.unsupported, again.versions) == ({"a": "fp32"}, {"b": "why"}, {"numpy": "2"})


@pytest.mark.parametrize("content", [b"", b"{}", b"PK\3\4 and no archive"])
def test_read_rejects_another_file(tmp_path, content):
    (tmp_path / "odd.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"odd\.npz was not written by `python -m platform_checks outputs`"):
        DeviceOutputs.read(tmp_path / "odd.npz")


@pytest.mark.parametrize("about", ['{"precisions": null}', '{"precisions": {}, "more": {}}', "[]", "["])
def test_read_rejects_an_archive_without_its_description(tmp_path, about):
    np.savez(tmp_path / "odd.npz", about=np.array(about), crops=np.zeros(2))
    with pytest.raises(ValueError, match=r"odd\.npz was not written by `python -m platform_checks outputs`"):
        DeviceOutputs.read(tmp_path / "odd.npz")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes by name")
def test_read_rejects_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe is not a regular file"):
        DeviceOutputs.read(tmp_path / "pipe")


def test_device_outputs_list_unsupported_files(tmp_path):
    path = tmp_path / "a.tflite"
    path.write_bytes(b"\0\0\0\0TFL3")
    outputs = device_outputs([path], 1)
    assert "has no model spec" in outputs.unsupported["a.tflite"]


def test_device_outputs_repeat_on_the_same_machine():
    pytest.importorskip("ai_edge_litert")
    files = [model_path("atpn_fp16"), model_path("detector_fp32")]
    past = device_outputs(files, 2)
    again = device_outputs(files, 2, past)
    assert past.arrays.keys() == again.arrays.keys()
    assert all(np.array_equal(past.arrays[name], again.arrays[name], equal_nan=True) for name in past.arrays)
    held = np.isfinite(past.arrays["atpn_fp16.tflite, tracking/face landmarks"]).all(axis=(1, 2))
    assert held[: EMPTY_FRAMES.start].all()
    assert not held[EMPTY_FRAMES.start : EMPTY_FRAMES.stop].any()
    assert held[-1]
