"""The script for a rented GPU, with a Python that writes down what it is asked to do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tyro

from atpn.synthetic.cli import RenderConfig
from atpn.train.config import TrainConfig

SCRIPT = Path(__file__).parents[3] / "atpn" / "train" / "gpu_run.sh"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a bash script")


def run(folder, train="exit 0", **settings):
    """Run the script; `train` is what the training does after it has written 1000 bytes of weights."""
    python = folder / "python"
    python.write_text(
        '#!/bin/sh\nprintf "%s\\n" "$@" > $RUN/$3.txt; echo "did $3"\n'
        f"[ $3 = render ] || {{ head -c 1000 /dev/zero > $RUN/landmarks.safetensors; {train}; }}\n"
    )
    python.chmod(0o755)
    environment = {"PYTHON": str(python), "RUN": str(folder / "run"), "OUT": str(folder / "out")} | settings
    return subprocess.run(
        [SCRIPT], env=os.environ | environment, capture_output=True, text=True, start_new_session=True
    )


def asked(folder, command):
    return (folder / "run" / f"{command}.txt").read_text().splitlines()[3:]


def test_it_renders_trains_and_collects(tmp_path):
    settings = {"ASSETS": "some assets", "COUNT": "40", "MINUTES": "0.5", "WORKERS": "3"}
    done = run(tmp_path, **settings, TRAIN_OPTIONS="--init shipped --batch-size 512")
    assert done.returncode == 0
    render = tyro.cli(RenderConfig, args=asked(tmp_path, "render"))
    assert (render.count, render.workers, str(render.assets), render.split) == (40, 3, "some assets", "train")
    train = tyro.cli(TrainConfig, args=asked(tmp_path, "train"))
    assert (train.stage, train.minutes, train.loader, train.batch_size) == ("landmarks", 0.5, "device", 512)
    assert train.data == (render.out,)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["landmarks.safetensors", "run.log"]
    assert (tmp_path / "out" / "run.log").read_text() == "did render\ndid train\n"


def test_without_assets_the_procedural_head_is_rendered(tmp_path):
    assert run(tmp_path).returncode == 0
    assert tyro.cli(RenderConfig, args=asked(tmp_path, "render")).assets is None


def test_a_failure_is_reported_and_what_there_is_collected(tmp_path):
    assert run(tmp_path, "echo broken >&2; exit 3").returncode == 3
    assert (tmp_path / "out" / "landmarks.safetensors").stat().st_size == 1000
    assert "broken" in (tmp_path / "out" / "run.log").read_text()


def test_a_stop_waits_for_the_trainer_to_save(tmp_path):
    # The process group is signaled, as `timeout` and a terminal do; the trainer's last checkpoint is what is collected.
    save = "trap 'head -c 2000 /dev/zero > $RUN/landmarks.safetensors; exit 130' TERM; kill -TERM 0"
    assert run(tmp_path, save).returncode in (130, 143)
    assert (tmp_path / "out" / "landmarks.safetensors").stat().st_size == 2000


def test_weights_too_large_to_fetch_are_named(tmp_path):
    done = run(tmp_path, "head -c 20000000 /dev/zero > $RUN/landmarks.safetensors")
    assert "is larger than 16777216 bytes" in done.stderr
    assert not (tmp_path / "out" / "landmarks.safetensors").exists()
