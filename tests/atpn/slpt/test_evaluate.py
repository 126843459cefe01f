import importlib.util
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from atpn.__main__ import main
from atpn.evaluate import metrics
from atpn.evaluate.backend import CheckpointBackend
from atpn.evaluate.crops import validation_batch
from atpn.evaluate.protocols.published import FULL
from atpn.model import save_checkpoint
from atpn.slpt.evaluate import EvaluateSLPTConfig, evaluate, stage_report
from atpn.slpt.published import published_results
from edge_runtime.landmarks import IBUG_68, WFLW_98, convert

_PATH = Path(__file__).parents[1] / "data" / "conftest.py"
_spec = importlib.util.spec_from_file_location("replicas", _PATH)
_replicas = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_replicas)
replica = _replicas.replica


def test_the_report_has_errors_by_stage_and_reliability(tiny_slpt, face_shards, drawn_afw, tmp_path, capsys):
    out, plots = tmp_path / "report.json", tmp_path / "plots"
    call = ["slpt", "evaluate", "--weights", tiny_slpt, "--data", face_shards, "--afw", drawn_afw, "--out", out]
    assert main([*map(str, call), "--detector", "none", "--plots", str(plots)]) == 0
    report = json.loads(out.read_text())
    assert (report["rendered"]["faces"], report["afw"]["faces"]) == (24, 3)
    assert set(report["rendered"]["uncertainty"]) == {"scale", "rank_correlation", "bins", "parts"}
    assert (plots / "reliability.png").is_file()
    assert (plots / "ced.png").is_file()
    assert not {"pose", "tracking", "refusal"} & (set(report["rendered"]) | set(report["afw"]))
    for name, section in (("rendered", "landmarks_yaw_60"), ("afw", "upright")):
        stages = report[name]["stages"]
        assert len(stages) == 3
        assert stages[-1]["nme"] == pytest.approx(report[name][section]["nme"], rel=1e-4)
        assert stages[0]["side"] == 0.25
        for before, after in itertools.pairwise(stages):
            assert 0.5 * before["side"] <= after["side"] <= 0.7 * before["side"]
    assert "afw stage 3: NME" in capsys.readouterr().out


def test_a_stage_s_error_is_that_of_its_landmarks(make_slpt, store):
    model = make_slpt("slpt")
    batch = validation_batch(store, store.faces[:5], model.mean_shape.numpy(), 32)
    target = convert(batch["landmarks"].numpy(), WFLW_98, IBUG_68)
    found = stage_report(model, batch["image"].numpy(), target, IBUG_68, batch_size=2)
    with torch.no_grad():
        stages = model.stages(batch["image"].permute(0, 3, 1, 2).float())
    for row, stage in zip(found, stages, strict=True):
        points = convert(stage.landmarks[-1].numpy(), WFLW_98, IBUG_68)
        expected = metrics.point_errors(points, target, IBUG_68.inter_ocular(target)).mean()
        assert row["nme"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("network", ["slpt", "dslpt"])
def test_a_protocol_stands_beside_the_network_s_published_results(make_slpt, network, replica, tmp_path, capsys):
    save_checkpoint(tmp_path / "net.safetensors", make_slpt(network), {})
    replica.ibug300w(tmp_path / "300W")
    report = evaluate(EvaluateSLPTConfig(tmp_path / "net.safetensors", tmp_path / "300W", "300w", detector="none"))
    assert report["300w"]["passes"]["upright"][FULL]["faces"] == 3
    printed = capsys.readouterr().out
    assert f"{network.upper()}, ResNet-34 (thesis, table {'4.2' if network == 'slpt' else '5.3'})" in printed
    assert ("3.20" if network == "slpt" else "3.04") in printed
    assert (
        f"by backbone: ResNet-34 {'3.20, HRNetW18C-lite 3.17' if network == 'slpt' else '3.04, ResNet-50 3.02'}"
        in printed
    )


def test_published_rows_are_the_backbone_s():
    assert published_results("wflw", "dslpt", "resnet50").rows[FULL]["nme"] == 4.11
    assert published_results("wflw", "slpt", "resnet50").method == "SLPT, ResNet-34"
    assert published_results("cofw", "dslpt", "atpn").rows[FULL] == {"nme": 3.34, "failure_rate_10": 0.39}
    assert published_results("london", "dslpt", "resnet34") is None


@pytest.mark.parametrize("network", ["slpt", "tufa"])
def test_protocols_that_need_pose_or_confidence_are_no_choice(tmp_path, capsys, network):
    options = ["--weights", str(tmp_path / "any"), "--data", str(tmp_path), "--protocol", "pose"]
    with pytest.raises(SystemExit):
        main([network, "evaluate", *options])
    assert "invalid choice: 'pose'" in capsys.readouterr().err


def test_the_shared_interface_gives_landmarks_alone(make_slpt):
    network = CheckpointBackend(make_slpt(), with_heads=False)
    assert set(network.spec.outputs) == {"landmarks", "uncertainty"}
    crops = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    predicted = network.predict(crops)
    assert predicted.landmarks.shape == (2, 98, 2)
    assert (predicted.uncertainty > 0).all()
    assert set(network.run(crops[0])) == {"landmarks", "uncertainty"}
