from __future__ import annotations

import json

import pytest
import torch

from atpn.model import CheckpointError, load_checkpoint, save_checkpoint
from atpn.model.checkpoint import weights_sha256


@pytest.fixture
def path(tmp_path, tiny_model):
    path = tmp_path / "runs" / "atpn.safetensors"
    save_checkpoint(path, tiny_model, {"data": "drawn faces", "seed": 7})
    return path


def test_round_trip(path, tiny_model, images):
    model, metadata = load_checkpoint(path)
    assert metadata == {"data": "drawn faces", "seed": 7}
    assert model.config == tiny_model.config
    assert not model.training
    for a, b in zip(model(images), tiny_model(images), strict=True):
        assert torch.equal(a, b)
    assert len(weights_sha256(path)) == 64


def test_nothing_but_the_pair_is_left_behind(path):
    assert sorted(p.name for p in path.parent.iterdir()) == ["atpn.json", "atpn.safetensors"]


def test_a_failed_write_keeps_the_old_pair(path, tiny_model, monkeypatch):
    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edge_runtime.files.os.fsync", full_disk)
    with pytest.raises(OSError, match=r"No space left.*atpn\.safetensors"):
        save_checkpoint(path, tiny_model, {"seed": 8})
    assert sorted(p.name for p in path.parent.iterdir()) == ["atpn.json", "atpn.safetensors"]
    assert load_checkpoint(path)[1]["seed"] == 7


def test_missing_files_are_named(tmp_path, path):
    with pytest.raises(CheckpointError, match=r"no checkpoint file .*absent\.safetensors"):
        load_checkpoint(tmp_path / "absent.safetensors")
    path.with_suffix(".json").unlink()
    with pytest.raises(CheckpointError, match=r"no checkpoint file .*atpn\.json"):
        load_checkpoint(path)


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_a_folder_in_the_place_of_a_checkpoint_is_not_a_regular_file(path, suffix):
    path.with_suffix(suffix).unlink()
    path.with_suffix(suffix).mkdir()
    with pytest.raises(CheckpointError, match=rf"atpn\{suffix} is not a regular file"):
        load_checkpoint(path)


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"ends in \.safetensors, got .*model\.pt"):
        load_checkpoint(tmp_path / "model.pt")


def test_truncated_weights_are_refused(path):
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="truncated or from another run"):
        load_checkpoint(path)


def _edit(path, **changes):
    beside = path.with_suffix(".json")
    beside.write_text(json.dumps(json.loads(beside.read_text()) | changes))


def test_another_architecture_is_refused(path):
    _edit(path, architecture="TUFA")
    with pytest.raises(CheckpointError, match="describes TUFA version 1, expected ATPN version 1"):
        load_checkpoint(path)


@pytest.mark.parametrize("config", [{"width": 0.5}, {"depth": 3}, {"scheme": "ibug68", "width": 0.25}])
def test_weights_of_another_config_are_refused(path, config):
    _edit(path, config=config)
    with pytest.raises(CheckpointError, match="does not fit this version's ATPN"):
        load_checkpoint(path)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"architecture": "ATPN", "format_version": 1}'])
def test_a_damaged_description_is_refused(path, content):
    path.with_suffix(".json").write_text(content)
    with pytest.raises(CheckpointError, match=r"atpn\.json .*copy it again"):
        load_checkpoint(path)


@pytest.mark.parametrize("change", [{"weights_sha256": 5}, {"weights_sha256": {"a": 1}}, {"metadata": None}])
def test_a_description_of_other_types_is_refused(path, change):
    _edit(path, **change)
    with pytest.raises(CheckpointError, match=r"atpn\.json .*copy it again"):
        load_checkpoint(path)
