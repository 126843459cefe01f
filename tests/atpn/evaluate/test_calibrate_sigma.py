import json

import numpy as np
import pytest
import torch

from atpn.__main__ import main
from atpn.data.store import SampleStore
from atpn.evaluate.calibrate_sigma import calibrate
from atpn.model import ATPN, ATPNConfig, load_checkpoint


def test_sigma_alone_changes_and_becomes_right(tiny_weights, face_shards, tmp_path):
    out = tmp_path / "calibrated.safetensors"
    arguments = ["--weights", tiny_weights, "--data", face_shards, "--unseen", "--out", out]
    assert main(["calibrate", *map(str, arguments)]) == 0
    before, after = (load_checkpoint(path)[0].state_dict() for path in (tiny_weights, out))
    assert [name for name in before if not torch.equal(before[name], after[name])] == ["landmark_branch.log_sigma.bias"]
    record = json.loads(out.with_suffix(".json").read_text())["metadata"]["sigma_calibration"]
    assert record["unseen"]
    assert record["faces"] == 24
    assert record["scale_after"] == pytest.approx(1)
    # The layer's bias does what the record says.
    model = load_checkpoint(out)[0]
    store = SampleStore.read(face_shards)
    again = calibrate(model, store, store.faces)[1]
    assert again["factors"] == pytest.approx(dict.fromkeys(record["factors"], 1.0))


def test_what_cannot_be_calibrated_is_refused(tiny_weights, face_shards):
    store = SampleStore.read(face_shards)
    with pytest.raises(ValueError, match="no held-out face"):
        calibrate(load_checkpoint(tiny_weights)[0], store, np.array([], int))
    plain = ATPN(ATPNConfig(width=0.25, input_size=48, uncertainty=False), torch.rand(98, 2))
    with pytest.raises(ValueError, match="no uncertainty head"):
        calibrate(plain, store, store.faces)
