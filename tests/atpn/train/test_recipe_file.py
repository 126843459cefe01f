from pathlib import Path

import numpy as np
import pytest

import atpn.train
from atpn.__main__ import main
from atpn.data.sample import Sample
from atpn.data.shards import write_shard
from atpn.model import load_checkpoint
from atpn.train import cli
from atpn.train.recipe_file import RecipeFileConfig, read_recipe
from edge_runtime.landmarks import IBUG_68, WFLW_98, convert

RECIPES = sorted((Path(atpn.train.__file__).parent / "recipes").glob("*.toml"))


@pytest.fixture(scope="module")
def published(tmp_path_factory, draw_sample):
    """Sets that hold what the thesis' hold: 98 landmarks; boxes; 68 landmarks and rotations."""
    folder, rng = tmp_path_factory.mktemp("published"), np.random.default_rng(0)
    drawn = [draw_sample(rng, f"face-{i}") for i in range(6)]
    sets = {"wflw": [], "wider": [], "300w-lp": []}
    for s in drawn:
        box = (*s.landmarks.min(0).tolist(), *s.landmarks.max(0).tolist())
        sets["wflw"].append(Sample(s.image, s.landmarks, key=s.key))
        sets["wider"].append(Sample(s.image, boxes={"detector": box}, key=s.key))
        points = convert(s.landmarks, WFLW_98, IBUG_68)
        sets["300w-lp"].append(
            Sample(s.image, points, IBUG_68, rotation=s.rotation, intrinsics=s.intrinsics, key=s.key)
        )
    for name, samples in sets.items():
        (folder / name).mkdir()
        write_shard(folder / name / "a.tar", samples)
    return folder


def write(path, published, pose="300w-lp", extra=""):
    path.write_text(
        f'recipe = "thesis"\nsamples = 22\nbatch_size = 22\nwidth = 0.25\nvalidation = 4\n{extra}\n'
        + "".join(
            f'[{stage}]\ndata = ["{published / name}"]\n'
            + f'backgrounds = "{published / "wider"}"\n' * (stage != "tracking")
            for stage, name in (("landmarks", "wflw"), ("tracking", "wider"), ("pose", pose))
        )
    )
    return [
        "recipe",
        str(path),
        "--out",
        str(path.parent / "run"),
        "--workers",
        "0",
        "--device",
        "cpu",
        "--bfloat16",
        "off",
    ]


@pytest.mark.slow
def test_each_stage_learns_from_its_own_data(published, tmp_path):
    assert main(write(tmp_path / "recipe.toml", published)) == 0
    run = tmp_path / "run"
    described = [load_checkpoint(run / f"{stage}.safetensors")[1] for stage in ("landmarks", "tracking", "pose")]
    assert [d["data"]["path"] for d in described] == ["wflw", "wider", "300w-lp"]
    assert [d["data"].get("blended") for d in described] == ["wider", None, "wider"]
    assert [d["recipe"] for d in described] == ["thesis"] * 3
    # The stages go on from each other, and the network keeps the first one's 98 landmarks.
    assert described[2]["start"].startswith("tracking.safetensors")
    assert load_checkpoint(run / "pose.safetensors")[0].config.scheme.name == "wflw98"


def test_what_a_later_stage_lacks_is_said_before_the_first_trains(published, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cli, "train_stage", lambda *_: pytest.fail("a stage was trained"))
    assert main(write(tmp_path / "recipe.toml", published, pose="wflw")) == 1
    assert "the pose stage cannot use" in (error := capsys.readouterr().err)
    assert "none of its 6 samples has landmarks and a rotation" in error
    assert main(write(tmp_path / "recipe.toml", published, pose="nowhere")) == 1
    assert "nowhere is not a folder" in capsys.readouterr().err
    command = ["train", "all", "--data", str(published / "wflw"), "--out", str(tmp_path / "run")]
    assert main(command) == 1
    assert "the pose stage cannot use" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recipe = thesis", "is not TOML"),
        pytest.param(f"samples = {'1' * 5000}", "recipe.toml is not TOML", id="a number of 5000 digits"),
        ('recipe = "thesis"', "has no stage"),
        ("[landmarks]\ndata = ['a']\nspeed = 3", "[landmarks] has no option 'speed'; known: backgrounds, batch_size, "),
        ("[landmarks]\ndata = ['a']\nlr = 'high'", "wrong options in [landmarks]"),
        ("[lips]\ndata = ['a']", "wrong options in [lips]"),
        ("[tracking]\ndata = ['a', 'b']", "needs one --data"),
        ("[landmarks]\ndata = ['a']\nsamples = 0", "recipe.toml [landmarks]: --samples must be positive, got 0"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path, capsys, text, message):
    (tmp_path / "recipe.toml").write_text(text)
    assert main(["recipe", str(tmp_path / "recipe.toml"), "--out", str(tmp_path)]) == 1
    assert message in capsys.readouterr().err
    assert main(["recipe", str(tmp_path / "none.toml"), "--out", str(tmp_path)]) == 1
    assert "no recipe file" in capsys.readouterr().err


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipes_that_come_along_read(path, tmp_path):
    stages = read_recipe(RecipeFileConfig(path, tmp_path, threads=2))
    assert {stage.threads for stage in stages} == {2}
    for stage in stages:
        cli.stage_recipe(stage.stage, stage)


def test_the_thesis_recipe_is_the_thesis(tmp_path):
    (path,) = (p for p in RECIPES if p.stem == "thesis")
    stages = read_recipe(RecipeFileConfig(path, tmp_path))
    assert [(stage.stage, stage.recipe_name) for stage in stages] == [
        ("landmarks", "thesis"),
        ("tracking", "thesis"),
        ("pose", "thesis"),
    ]
    recipes = [cli.stage_recipe(stage.stage, stage) for stage in stages]
    assert [(r.lr, r.decay_factor, r.decay_epochs, r.batch_size) for r in recipes] == [
        (1e-3, 0.97, 4, 128),
        (1e-3, 0.96, 2, 128),
        (1e-3, 0.96, 2, 128),
    ]


@pytest.mark.parametrize(("entry", "aligned"), [("", None), ("true", True), ("false", False)])
def test_an_entry_that_is_true_or_false_reads(tmp_path, entry, aligned):
    lines = "[landmarks]\ndata = ['a']\n" + (f"semantic_alignment = {entry}\n" if entry else "")
    (tmp_path / "recipe.toml").write_text(lines)
    (stage,) = read_recipe(RecipeFileConfig(tmp_path / "recipe.toml", tmp_path))
    assert stage.semantic_alignment is aligned
    assert cli.stage_recipe("landmarks", stage).semantic_alignment is bool(aligned)
