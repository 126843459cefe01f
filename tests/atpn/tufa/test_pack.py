"""`python -m atpn tufa pack`."""

from __future__ import annotations

import torch

from atpn.__main__ import main
from atpn.model import load_network, save_checkpoint
from atpn.model.checkpoint import weights_sha256
from atpn.tufa.network import TUFA


def test_half_the_bytes_hold_the_same_network_to_half_precision(tiny_tufa, tmp_path, capsys):
    out = tmp_path / "packed.safetensors"
    assert main(["tufa", "pack", "--weights", str(tiny_tufa), "--out", str(out)]) == 0
    assert out.stat().st_size < 0.6 * tiny_tufa.stat().st_size
    (packed, metadata), (original, _) = load_network(out, TUFA), load_network(tiny_tufa, TUFA)
    assert metadata["packed_from"] == weights_sha256(tiny_tufa, TUFA)
    assert metadata["sources"] == ["wflw98", "ibug68", "cofw29"]
    image, plane = torch.rand(1, 3, 32, 32) * 255, torch.rand(1, 5, 2)
    with torch.no_grad():
        torch.testing.assert_close(packed(image, plane), original(image, plane), atol=2e-3, rtol=0)
    assert str(out) in capsys.readouterr().out


def test_weights_beyond_half_precision_are_refused(tiny, tmp_path, capsys):
    with torch.no_grad():
        tiny.alignment.weight[1, 0] = 1e6
    path, out = tmp_path / "large.safetensors", tmp_path / "packed.safetensors"
    save_checkpoint(path, tiny, {})
    assert main(["tufa", "pack", "--weights", str(path), "--out", str(out)]) == 1
    assert "beyond half precision's range" in capsys.readouterr().err
    assert not out.exists()
