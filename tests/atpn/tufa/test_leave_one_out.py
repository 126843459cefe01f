import json

import pytest

from atpn.__main__ import main
from atpn.data.sample import Sample
from atpn.data.shards import write_shard
from atpn.model import load_network
from atpn.train.config import Recipe
from atpn.tufa import fit as fitting
from atpn.tufa import leave_one_out as command
from atpn.tufa import train as training
from atpn.tufa.anchors import converted
from atpn.tufa.config import TUFAConfig
from atpn.tufa.leave_one_out import LeaveOneOutConfig, table
from atpn.tufa.network import TUFA
from edge_runtime.landmarks import COFW_29, IBUG_68


@pytest.fixture(autouse=True)
def tiny_sizes(monkeypatch):
    size = TUFAConfig("patches", input_size=32, patch=16, dim=32, depth=1, heads=2, decoder_depth=1)
    monkeypatch.setattr(training, "SIZES", {"small": size})
    monkeypatch.setattr(training, "RECIPE", Recipe(samples=64, batch_size=8, lr=1e-3, warmup_steps=2))
    monkeypatch.setattr(fitting, "ALIGN_STEPS", 3)


@pytest.fixture
def folders(store, tmp_path):
    """Two datasets of few faces, of 68 and of 29 landmarks."""
    for name, scheme in (("coarse", COFW_29), ("fine", IBUG_68)):
        (tmp_path / name / "train").mkdir(parents=True)
        samples = [store[int(index)] for index in store.faces[:8]]
        labeled = [Sample(s.image, converted(s.landmarks, scheme.name), scheme, key=s.key) for s in samples]
        write_shard(tmp_path / name / "train" / "a.tar", labeled)
    return [tmp_path / name / "train" for name in ("coarse", "fine")]


def run(folders, out, *options):
    arguments = ["tufa", "leave-one-out", "--data", *folders, "--held-out", *folders, "--out", out, "--samples", 16]
    arguments += ["--workers", 0, "--features", None, "--bfloat16", "off", "--device", "cpu", *options]
    return main([*map(str, arguments)])


@pytest.mark.slow
def test_each_set_is_left_out_in_turn_and_nothing_is_trained_twice(folders, tmp_path, monkeypatch, capsys):
    out = tmp_path / "runs"
    options = "--sizes", 2, "--repeats", 1, "--fit-steps", 1
    assert run(folders, out, *options) == 0
    report = json.loads((out / "leave_one_out.json").read_text())
    assert list(report["sets"]) == ["coarse", "fine"]
    for name, scheme in (("coarse", "cofw29"), ("fine", "ibug68")):
        row = report["sets"][name]
        assert row["scheme"] == scheme
        assert 0 < row["trained"] < 2
        assert 0 < row["zero_shot"] < 2
        assert [point["faces"] for point in row["few_shot"]] == [0, 2]
        assert row["few_shot"][0]["nme"] == pytest.approx(row["zero_shot"], rel=1e-3)
        model, _ = load_network(out / f"without-{name}" / "tufa.safetensors", TUFA)
        assert [known for known, _ in model.config.schemes] == [other for other in report["data"] if other != name]
    assert "| left out | trained | zero-shot | more | 2 faces |" in capsys.readouterr().out
    monkeypatch.setattr(training.TUFATask, "loss", None)  # would be called if a run trained again
    assert run(folders, out, "--leave-out", "fine") == 0
    assert list(json.loads((out / "leave_one_out.json").read_text())["sets"]) == ["fine"]


def test_a_row_says_how_much_more_the_error_is():
    rows = {"a": {"trained": 0.05, "zero_shot": 0.06}}
    assert table(rows).splitlines()[-1] == "| a | 5.00 | 6.00 | 20 % |"


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"held_out": ()}, r"a folder per --data \(2\), got 0"),
        ({"leave_out": ("c",)}, "unknown sets c; the sets are a, b"),
        ({"fractions": (0.5,)}, "needs --sizes"),
    ],
)
def test_contradicting_options_are_refused(tmp_path, changes, match):
    options = {"held_out": (tmp_path, tmp_path), "names": ("a", "b")} | changes
    with pytest.raises(ValueError, match=match):
        LeaveOneOutConfig((tmp_path, tmp_path), tmp_path, **options)


def test_a_single_set_leaves_nothing_to_learn_from(tmp_path):
    with pytest.raises(ValueError, match="needs two --data or more, got 1"):
        LeaveOneOutConfig((tmp_path,), tmp_path, held_out=(tmp_path,))


def test_a_scheme_that_no_set_shares_is_refused(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "SCHEMES", {})
    config = LeaveOneOutConfig(tuple(folders), tmp_path / "out", held_out=tuple(folders))
    with pytest.raises(ValueError, match="cannot leave coarse out: its landmarks are of cofw29"):
        command.leave_one_out(config)
