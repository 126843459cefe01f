"""What a machine computes, here with scripted networks: the guided tracker takes another machine's steps."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.cross_platform.device_outputs import (
    BLANK,
    FRAMES,
    HELD_OUT,
    DeviceOutputs,
    GuidedBackend,
    cut_crops,
    device_outputs,
    frames,
    held_out_pictures,
)


class Brightness:
    """A network that says how bright the crop is."""

    spec = None

    def run(self, crop):
        return {"confidence": np.array([crop.mean()], np.float32)}


def test_guided_network_keeps_its_own_answers_and_gives_the_others():
    network = GuidedBackend(Brightness(), {"confidence": np.array([[0.5], [0.7]], np.float32)})
    given = [network.run(np.full((4, 4, 3), level, np.uint8))["confidence"][0] for level in (10, 20, 30)]
    assert given == pytest.approx([0.5, 0.7, 0.7])
    assert [result["confidence"][0] for result in network.results] == [10, 20, 30]
    assert GuidedBackend(Brightness(), None).run(np.full((4, 4, 3), 9, np.uint8))["confidence"][0] == 9


def test_sequence_hides_the_face_for_a_while():
    pictures = list(frames())
    assert len(pictures) == FRAMES
    assert [number for number, picture in enumerate(pictures) if (picture == 127).all()] == list(BLANK)


def test_cut_crops_are_the_same_each_time():
    assert np.array_equal(cut_crops(), cut_crops())


def test_held_out_pictures_are_rgb():
    pictures = held_out_pictures(HELD_OUT / "heldout.npz")
    assert pictures.shape[1:] == (112, 112, 3)
    red, _, blue = pictures.mean(axis=(0, 1, 2))
    assert red > blue, "skin"


def test_outputs_are_written_and_read_back(tmp_path):
    outputs = DeviceOutputs({"a/x": np.arange(3.0)}, {"a": "fp32"}, {"b": "why"}, {"numpy": "2"})
    outputs.write(tmp_path / "o.npz")
    again = DeviceOutputs.read(tmp_path / "o.npz")
    assert np.array_equal(again.arrays["a/x"], np.arange(3.0))
    assert (again.precisions, again.refused, again.versions) == ({"a": "fp32"}, {"b": "why"}, {"numpy": "2"})


@pytest.mark.parametrize("content", [b"", b"{}", b"PK\3\4 and no archive"])
def test_another_file_is_refused_by_name(tmp_path, content):
    (tmp_path / "odd.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"odd\.npz is not what `python -m benchmarks outputs` writes"):
        DeviceOutputs.read(tmp_path / "odd.npz")


def test_refused_file_is_told(tmp_path):
    path = tmp_path / "a.tflite"
    path.write_bytes(b"\0\0\0\0TFL3")
    outputs = device_outputs([path], 1)
    assert "has no model spec" in outputs.refused["a.tflite"]


def test_a_machine_agrees_with_itself_step_by_step():
    pytest.importorskip("ai_edge_litert")
    models = HELD_OUT.parents[1] / "dist"
    if not (models / "detector_fp32.tflite").is_file() or not (models / "atpn_fp32.tflite").is_file():
        pytest.skip(f"no exported files in {models}: `make export-tflite` makes them")
    files = [models / "atpn_fp32.tflite", models / "detector_fp32.tflite"]
    past = device_outputs(files, 2)
    again = device_outputs(files, 2, past)
    assert past.arrays.keys() == again.arrays.keys()
    assert all(np.array_equal(past.arrays[name], again.arrays[name], equal_nan=True) for name in past.arrays)
    held = np.isfinite(past.arrays["atpn_fp32.tflite, tracking/face landmarks"]).all(axis=(1, 2))
    assert held[: BLANK.start].all()
    assert not held[BLANK.start : BLANK.stop].any()
    assert held[-1]
