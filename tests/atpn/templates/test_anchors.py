"""Where the landmarks lie, out of all kinds of checkpoints."""

from __future__ import annotations

import json

import numpy as np
import pytest

from atpn.model import ATPN, CheckpointError, save_checkpoint
from atpn.templates.anchors import AnchoredNetwork, landmark_network
from atpn.tufa.network import TUFA
from atpn.weights import SHIPPED
from edge_runtime.landmarks import COFW_29, IBUG_68, WFLW_98, convert


def test_a_prompt_checkpoint_says_where_its_anchors_are(prompt_weights, anchors):
    found = AnchoredNetwork.read(prompt_weights)
    assert isinstance(found.network, ATPN)
    assert landmark_network(found) is found.network
    np.testing.assert_allclose(found.of(WFLW_98), anchors, atol=1e-6)
    np.testing.assert_allclose(found.of(IBUG_68), convert(anchors, WFLW_98, IBUG_68), atol=1e-6)
    np.testing.assert_allclose(found.of(COFW_29), convert(anchors, WFLW_98, COFW_29), atol=1e-6)


def test_a_tufa_aligns_its_anchors_and_has_some_of_its_own(tufa_weights, anchors):
    found = AnchoredNetwork.read(tufa_weights)
    assert isinstance(found.network, TUFA)
    assert isinstance(landmark_network(found), ATPN)
    np.testing.assert_allclose(found.of(WFLW_98), anchors + np.array([0.0, 0.01]), atol=1e-6)
    np.testing.assert_allclose(found.of(IBUG_68), convert(anchors, WFLW_98, IBUG_68) + 0.005, atol=1e-6)


def test_without_learned_anchors_the_mean_shape_stands_in(model, caplog):
    np.testing.assert_array_equal(AnchoredNetwork.read(SHIPPED).of(WFLW_98), model.mean_shape)
    assert "using its mean shape" in caplog.text


def test_a_network_without_these_landmarks_says_what_it_has(model):
    with pytest.raises(ValueError, match="no anchors of cofw29 or wflw98, only of mine"):
        AnchoredNetwork(model, {"mine": np.zeros((3, 2))}).of(COFW_29)


@pytest.mark.parametrize("anchors", [[1, 2], {"wflw98": [[0.5, 0.5]]}, {"wflw98": [[None, 0]] * 98}, {"wflw98": "x"}])
def test_damaged_anchors_are_refused(model, tmp_path, anchors):
    save_checkpoint(tmp_path / "bad.safetensors", model, {"anchors": anchors})
    with pytest.raises(CheckpointError, match=r"bad\.json: anchors"):
        AnchoredNetwork.read(tmp_path / "bad.safetensors")


def test_missing_and_damaged_checkpoints_are_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"no checkpoint file .*absent\.safetensors"):
        AnchoredNetwork.read(tmp_path / "absent.safetensors")
    (tmp_path / "other.safetensors").write_bytes(b"")
    (tmp_path / "other.json").write_text(json.dumps([]))
    with pytest.raises(CheckpointError, match=r"other\.json is not a checkpoint's description"):
        AnchoredNetwork.read(tmp_path / "other.safetensors")
