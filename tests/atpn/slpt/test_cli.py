import pytest

from atpn.__main__ import main
from atpn.slpt.cli import COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["slpt", command, "--help"])
    assert stop.value.code == 0
    assert f"atpn slpt {command}" in capsys.readouterr().out


def test_missing_weights_are_told(face_shards, capsys):
    assert main(["slpt", "evaluate", "--weights", "none.safetensors", "--data", str(face_shards)]) == 1
    assert "no checkpoint file none.safetensors" in capsys.readouterr().err
