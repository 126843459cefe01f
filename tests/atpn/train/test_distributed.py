"""Two processes of torchrun against one process that has both their batches."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import IterableDataset

from atpn.__main__ import main
from atpn.data.shards import read_shard, write_shard
from atpn.data.store import SampleStore
from atpn.model import load_checkpoint
from atpn.train import cli
from atpn.train.config import TrainConfig
from atpn.train.landmarks import LandmarkTask, new_model
from atpn.train.loop import Budget, RunOptions, Trainer
from atpn.train.state import load_state

STEPS = 3
BATCH = 16
# So short that steps which follow rounding alone, as Adam's first do where a gradient is next to nothing, move nothing.
LEARNING_RATE = 1e-6


@pytest.fixture(scope="module")
def two_shards(make_shards, tmp_path_factory, decoded):
    """Twenty-four faces and four backgrounds in two shards."""
    folder = make_shards(tmp_path_factory.mktemp("two"), size=96)
    samples = [decoded(stored) for stored in read_shard(folder / "faces-000000.tar")]
    for index in (0, 1):
        write_shard(folder / f"faces-{index:06d}.tar", samples[index::2])
    return folder


def arguments(folder, out, *more, stage="landmarks"):
    given = [stage, "--data", folder, "--out", out, "--batch-size", BATCH, "--width", 0.25, "--workers", 0]
    given += ["--samples", STEPS * BATCH, "--coarse-fraction", 1, "--device", "cpu", "--bfloat16", "off"]
    given += ["--lr", LEARNING_RATE] if stage == "landmarks" else []
    return ["train", *map(str, [*given, *more])]


def torchrun(*arguments):
    """A running torchrun of two processes."""
    root = Path(__file__).parents[3]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=root, env=environment)


@pytest.fixture(scope="module")
def two_processes(two_shards, tmp_path_factory):
    """Where two processes are training while this one does something else."""
    out = tmp_path_factory.mktemp("processes")
    running = torchrun("-m", "atpn", *arguments(two_shards, out))
    yield out, running
    running.wait(timeout=600)


class BothBatches(IterableDataset):
    """The batches of both processes, one after the other."""

    def __init__(self, halves):
        self.halves = halves

    def __iter__(self):
        for batches in zip(*self.halves, strict=True):
            yield {key: torch.cat([batch[key] for batch in batches]) for key in batches[0]}


class BothTask(LandmarkTask):
    """Learns from what two processes' tasks see."""

    halves: tuple[LandmarkTask, ...]

    def begin(self, model):
        super().begin(model)
        for half in self.halves:
            half.begin(model)

    def batches(self, crop_size, first_step):
        return BothBatches([half.batches(crop_size, first_step) for half in self.halves])


@pytest.mark.slow
def test_two_processes_train_as_one_with_their_batches(two_shards, two_processes, tmp_path):
    out, running = two_processes
    config = TrainConfig(
        *("landmarks", (two_shards,), tmp_path / "one"),
        **{"samples": STEPS * BATCH, "width": 0.25, "coarse_fraction": 1.0, "batch_size": BATCH, "lr": LEARNING_RATE},
        bfloat16="off",
    )
    recipe = cli.stage_recipe("landmarks", config)
    share = replace(recipe, batch_size=BATCH // 2)
    stores = [SampleStore.read(two_shards, (rank, 2)) for rank in (0, 1)]
    assert sorted(stores[0].keys + stores[1].keys) == sorted(SampleStore.read(two_shards).keys)
    task = BothTask(stores[0], recipe, 0)
    task.halves = tuple(LandmarkTask(store, share, cli.SEED_STEP * rank) for rank, store in enumerate(stores))
    model = new_model(stores[0], task.faces, 0.25, recipe.input_size, 0)
    options = RunOptions(tmp_path / "one", Budget(samples=STEPS * BATCH), {}, {}, bfloat16="off", workers=0)
    one = Trainer(task, model, recipe, options).run()
    _, errors = running.communicate(timeout=600)
    assert running.returncode == 0, errors
    assert errors.count("24 faces, 4 backgrounds") == 1
    two, metadata = load_checkpoint(out / "landmarks.safetensors")
    assert metadata["steps"] == STEPS
    assert metadata["samples"] == STEPS * BATCH
    # Averaged gradients differ by rounding, and by what the losses' kinks make of it: those of one process with one
    # thread and with two differ by 0.012 in the median and 0.08 at most. With norms of half a batch each, the median
    # would be 1.1.
    ends = [folder / "landmarks.state.safetensors" for folder in (tmp_path / "one", out)]
    (_, _, moments, _), (_, _, other_moments, _) = map(load_state, ends)
    assert moments.keys() == other_moments.keys()
    largest = max(state["exp_avg"].abs().max() for state in moments.values())
    pairs = [(state["exp_avg"], other_moments[name]["exp_avg"]) for name, state in moments.items()]
    off = [float((a - b).abs().max() / a.abs().max()) for a, b in pairs if a.abs().max() > 1e-5 * largest]
    assert np.median(off) < 0.1
    assert max(off) < 0.5
    # What the networks say of faces is the same to a hundredth of a pixel.
    statistics = [network.state_dict() for network in (one, two)]
    for name in statistics[0]:
        if name.endswith(("running_mean", "running_var")):
            torch.testing.assert_close(*(state[name] for state in statistics), rtol=1e-3, atol=1e-4)
    image = task.batches(112, 0).halves[0].batch(0, np.random.default_rng(0))["image"].permute(0, 3, 1, 2).float()
    with torch.no_grad():
        outputs = [network.eval()(image).landmarks for network in (one, two)]
    torch.testing.assert_close(*outputs, rtol=0, atol=1e-4)


STOPPED = """
import os, signal, sys
from atpn.__main__ import main
from atpn.train import loop

original = loop.update_ema

def update(ema_model, model, decay, now):
    original(ema_model, model, decay, now)
    if now == 0 and os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGTERM)

loop.update_ema = update
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_one_process_that_is_stopped_stops_all_and_they_go_on(two_shards, two_processes, tmp_path):
    script = tmp_path / "stopped.py"
    script.write_text(STOPPED)
    running = torchrun(str(script), *arguments(two_shards, tmp_path / "broken"))
    _, errors = running.communicate(timeout=600)
    assert errors.count("interrupted: stopped at step 1; repeat the command to resume") == 2, errors
    assert load_state(tmp_path / "broken" / "landmarks.state.safetensors")[3].step == 1
    running = torchrun("-m", "atpn", *arguments(two_shards, tmp_path / "broken"))
    _, errors = running.communicate(timeout=600)
    assert running.returncode == 0, errors
    two_processes[1].wait(timeout=600)
    ends = [load_state(folder / "landmarks.state.safetensors") for folder in (tmp_path / "broken", two_processes[0])]
    for networks in zip(*(end[:2] for end in ends), strict=True):
        states = [network.state_dict() for network in networks]
        for name, value in states[0].items():
            assert torch.equal(value, states[1][name]), name


DISAGREEING = """
import os, sys
from atpn.__main__ import main
from atpn.train import loop

def measured(step):
    assert os.environ["RANK"] == "0"  # the leader alone
    step(True)
    return True, (2.0, 1.0)

loop.faster_in_bfloat16 = measured
chosen = loop.Trainer._choose_precision

def reported(self):
    result = chosen(self)
    print(f"rank {os.environ['RANK']}: bfloat16 {result}", file=sys.stderr)
    return result

loop.Trainer._choose_precision = reported
sys.exit(main(sys.argv[1:]))
"""


def test_all_processes_compute_in_the_precision_that_the_leader_measured(two_shards, tmp_path):
    script = tmp_path / "disagreeing.py"
    script.write_text(DISAGREEING)
    running = torchrun(str(script), *arguments(two_shards, tmp_path / "out", "--bfloat16", "auto"))
    _, errors = running.communicate(timeout=120)
    assert running.returncode == 0, errors
    assert [f"rank {rank}: bfloat16 True" in errors for rank in (0, 1)] == [True, True], errors


def test_what_cannot_be_shared_is_refused(face_shards, tmp_path, monkeypatch, capsys):
    with pytest.raises(ValueError, match="holds 1 shards, too few for 2 processes"):
        SampleStore.read(face_shards, (0, 2))
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert main(arguments(face_shards, tmp_path)) == 1
    assert "a batch of 16 cannot be split equally among 3 processes" in capsys.readouterr().err
    assert main(["evaluate"]) == 1
    assert "torchrun runs only render and train, got evaluate" in capsys.readouterr().err
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(arguments(face_shards, tmp_path, stage="tracking")) == 1
    assert (
        "a tracking batch of 8 cannot hold a face and its 10 negatives; use --batch-size 22" in capsys.readouterr().err
    )
