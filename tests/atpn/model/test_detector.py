import pytest
import torch
from torch import nn

from atpn.model import CheckpointError, load_checkpoint, load_network, save_checkpoint
from atpn.model.detector import PRIOR, DetectorConfig, FaceDetector


def test_the_budgets_hold():
    model = FaceDetector(DetectorConfig()).eval()
    multiplications = 0

    def count(layer, _, output):
        nonlocal multiplications
        multiplications += output.numel() * layer.weight[0].numel()

    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    model(torch.zeros(1, 3, 192, 192))
    assert sum(parameter.numel() for parameter in model.parameters()) <= 150_000
    assert multiplications <= 30e6


def test_an_untrained_detector_doubts_everything_and_points_at_its_own_cells():
    torch.manual_seed(0)
    model = FaceDetector(DetectorConfig(input_size=96)).eval()
    with torch.no_grad():
        seen = model(torch.rand(2, 3, 96, 96) * 255)
    assert seen.logits.shape == (2, 24, 24)
    assert seen.logits.sigmoid().mean().item() == pytest.approx(PRIOR, rel=0.5)
    centers = (torch.arange(24) + 0.5) / 24
    assert (seen.regions[0, :, :, 0] - centers[None]).abs().max() < 0.5 / 24
    assert (seen.regions[0, :, :, 1] - centers[:, None]).abs().max() < 0.5 / 24
    assert seen.turns.shape == (2, 24, 24, 2)


def test_another_size_keeps_the_weights():
    model = FaceDetector(DetectorConfig(input_size=96)).eval()
    larger = model.resized(128)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), larger.parameters(), strict=True))
    with torch.no_grad():
        assert larger(torch.zeros(1, 3, 128, 128)).logits.shape == (1, 32, 32)
    with pytest.raises(ValueError, match=r"takes \(B, 3, 128, 128\) images, got \(1, 3, 96, 96\)"):
        larger(torch.zeros(1, 3, 96, 96))


def test_a_size_without_whole_cells_is_refused():
    with pytest.raises(ValueError, match="multiple of 32, from 64 to 1024, got 100"):
        DetectorConfig(input_size=100)


def test_checkpoints_know_what_network_they_hold(tmp_path):
    model, path = FaceDetector(DetectorConfig(input_size=96)), tmp_path / "detector.safetensors"
    save_checkpoint(path, model, {"seed": 3})
    loaded, metadata = load_network(path, FaceDetector)
    assert metadata == {"seed": 3}
    assert loaded.config == model.config
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), loaded.parameters(), strict=True))
    with pytest.raises(CheckpointError, match="describes FaceDetector version 1, expected ATPN version 1"):
        load_checkpoint(path)
