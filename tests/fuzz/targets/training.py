"""Checkpoints, training states, and recipe files."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import torch
from hypothesis import strategies as st

from atpn.data.afw import read_afw
from atpn.model import ATPN, ATPNConfig, load_checkpoint, save_checkpoint
from atpn.model.checkpoint import CheckpointError, load_network
from atpn.slpt.config import SLPTConfig
from atpn.slpt.network import SLPT, new_slpt
from atpn.train.recipe_file import RecipeFileConfig, read_recipe
from atpn.train.state import Progress, load_state, save_state
from tests.fuzz.mutations import of_bytes, of_json, of_text
from tests.fuzz.target import Target, digest
from tests.fuzz.targets.media import scene

RECIPE = """recipe = "thesis"
samples = 220
batch_size = 22
width = 0.25

[landmarks]
data = ["renders/train", "data/300w/train"]
sampling_weights = [1, 1]

[tracking]
data = ["data/wider-face/train"]
weights = "runs/thesis/landmarks.safetensors"
"""


def _network() -> ATPN:
    torch.manual_seed(0)
    return ATPN(ATPNConfig(width=0.1, input_size=32), torch.rand(98, 2) * 0.6 + 0.2)


def _make_checkpoint(folder: Path) -> None:
    save_checkpoint(folder / "tiny.safetensors", _network(), {"stage": "none"})


def _read_checkpoint(folder: Path, file: Path) -> str:
    network, _ = load_checkpoint(folder / "tiny.safetensors")
    return digest(*(tensor.numpy() for tensor in network.state_dict().values()))


def _make_slpt(folder: Path) -> None:
    config = SLPTConfig(input_size=32, layers=1, dim=8, heads=2, channels=4, patch=3)
    save_checkpoint(folder / "slpt.safetensors", new_slpt(config, torch.rand(98, 2), 0), {"stage": "none"})


def _read_slpt(folder: Path, file: Path) -> None:
    load_network(folder / "slpt.safetensors", SLPT)


def _make_state(folder: Path) -> None:
    network = _network()
    optimizer = torch.optim.Adam(network.parameters())
    sum(each.sum() for each in network.parameters()).backward()
    optimizer.step()
    save_state(folder / "landmarks.state.safetensors", network, network, optimizer, Progress(step=3, setup={"seed": 0}))


def _make_recipe(folder: Path) -> None:
    (folder / "recipe.toml").write_text(RECIPE)


def _read_recipe(folder: Path, file: Path) -> None:
    read_recipe(RecipeFileConfig(file=file, out=folder / "run"))


def _make_afw(folder: Path) -> None:
    labels = [{"image": "1.jpg", "width": 32, "height": 32, "faces": [{"landmarks": [[1.0, 2.0]] * 68}]}]
    (folder / "labels.json").write_text(json.dumps(labels))
    cv2.imwrite(str(folder / "1.jpg"), scene(0, 32, 32))


def _of_safetensors(content: bytes) -> st.SearchStrategy[bytes]:
    """Return damaged files, and files whose JSON header is damaged."""
    size = int.from_bytes(content[:8], "little")
    header, tensors = content[8 : 8 + size], content[8 + size :]
    return st.one_of(
        of_bytes(content), of_json(header).map(lambda changed: len(changed).to_bytes(8, "little") + changed + tensors)
    )


TARGETS = (
    Target("checkpoint-weights", _make_checkpoint, _read_checkpoint, (CheckpointError,), _of_safetensors,
           "*.safetensors", compared=True),
    Target("checkpoint-json", _make_checkpoint, _read_checkpoint, (CheckpointError,), of_json, "*.json"),
    Target("slpt-json", _make_slpt, _read_slpt, (CheckpointError,), of_json, "*.json"),
    Target("training-state", _make_state, lambda _, file: load_state(file), (ValueError,), _of_safetensors),
    Target("recipe", _make_recipe, _read_recipe, (ValueError,), of_text),
    Target("afw-labels", _make_afw, lambda folder, _: list(read_afw(folder)), (ValueError,), of_json, "*.json"),
)  # fmt: skip
