import cv2
import numpy as np
import pytest
import torch

from atpn.model import save_checkpoint
from atpn.slpt.pictures import (
    TILE,
    AttentionConfig,
    PatchesConfig,
    attention_weights,
    show_attention,
    show_patches,
    strongest,
)


def test_attention_is_drawn_on_faces_and_as_a_matrix(tiny_slpt, face_shards, tmp_path):
    images = {}
    for block in ("cross", "self"):
        images[block] = show_attention(
            AttentionConfig(tiny_slpt, face_shards, tmp_path / f"{block}.png", 2, block=block)
        )
        np.testing.assert_array_equal(cv2.imread(str(tmp_path / f"{block}.png")), images[block])
        assert images[block].shape == (TILE + 3 * 98, 2 * TILE, 3)
    assert (images["cross"] != images["self"]).any()


def test_the_strongest_other_landmark_is_chosen():
    weights = torch.tensor([[0.9, 0.06, 0.04], [0.1, 0.2, 0.7], [0.5, 0.3, 0.2]])
    assert strongest(weights).tolist() == [1, 2, 0]


def test_patches_are_drawn_stage_by_stage(tiny_slpt, face_shards, tmp_path):
    image = show_patches(PatchesConfig(tiny_slpt, face_shards, tmp_path / "patches.png", 2, points=5))
    assert image.shape == (2 * TILE, 3 * TILE, 3)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "patches.png")), image)


def test_what_the_network_lacks_is_told(make_slpt, tiny_slpt, face_shards, tmp_path):
    with pytest.raises(ValueError, match="--layer must be 1 to 2"):
        show_attention(AttentionConfig(tiny_slpt, face_shards, tmp_path / "a.png", layer=3))
    save_checkpoint(tmp_path / "no.safetensors", make_slpt(cross_attention=False), {})
    with pytest.raises(ValueError, match="without cross-attention; give --block self"):
        show_attention(AttentionConfig(tmp_path / "no.safetensors", face_shards, tmp_path / "a.png"))
    stage = make_slpt(self_attention=False).stages(torch.zeros(1, 3, 32, 32), weights=True)[0]
    with pytest.raises(ValueError, match="without self-attention; give --block cross"):
        attention_weights(stage, "self")
