import pytest

from atpn.__main__ import main
from atpn.tufa.cli import COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["tufa", command, "--help"])
    assert stop.value.code == 0
    assert f"atpn tufa {command}" in capsys.readouterr().out


def test_a_command_does_what_it_says(tiny_tufa, tmp_path):
    out = tmp_path / "shapes.png"
    assert main(["tufa", "shapes", "--weights", str(tiny_tufa), "--out", str(out)]) == 0
    assert out.is_file()


def test_missing_weights_are_told(tmp_path, capsys):
    assert main(["tufa", "shapes", "--weights", "none.safetensors", "--out", str(tmp_path / "shapes.png")]) == 1
    assert "no checkpoint file none.safetensors" in capsys.readouterr().err
