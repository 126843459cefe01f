import pytest
import tyro

from atpn.__main__ import main
from atpn.slpt.cli import COMMANDS
from atpn.slpt.train import TrainSLPTConfig


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["slpt", command, "--help"])
    assert stop.value.code == 0
    assert f"atpn slpt {command}" in capsys.readouterr().out


def test_missing_weights_are_told(face_shards, capsys):
    assert main(["slpt", "evaluate", "--weights", "none.safetensors", "--data", str(face_shards)]) == 1
    assert "no checkpoint file none.safetensors" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "own_patch"),
    [([], True), (["--own-patch"], True), (["--no-own-patch"], False), (["--size", "resnet34"], False)],
)
def test_own_patch_is_a_flag_that_overrides_the_size(flags, own_patch):
    config = tyro.cli(TrainSLPTConfig, args=["--data", "renders", "--out", "run", *flags])
    assert config.architecture().own_patch is own_patch
