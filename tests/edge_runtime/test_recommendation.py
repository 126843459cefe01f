"""Which model file and how many threads are recommended, and what is remembered of it."""

import json
import os
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from edge_runtime import FaceTracker, TrackerOptions, backends, models, recommendation
from edge_runtime.machine import Processor
from edge_runtime.models import model_path
from edge_runtime.recommendation import (
    MAX_MILLISECONDS,
    cache_folder,
    choose,
    measure,
    recommended,
    save,
    thread_counts,
)

SLOW = Processor("slow", 4, {"AVX2": True, "AVX-512 VNNI": False})
FAST = Processor("fast", 4, {"AVX2": True, "AVX-512 VNNI": True})
INT8, FLOAT = {"atpn_int8": {1: 2.0, 2: 1.0}}, {"atpn_fp16": {1: 2.0}}
"""Times that recommend int8 with two threads, and float with one."""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The cache of a machine without int8 dot products and with LiteRT."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    use(monkeypatch, SLOW)
    monkeypatch.setattr(backends, "_is_installed", lambda name: name == "litert")
    return tmp_path / "cache" / "atpn"


def use(monkeypatch, processor):
    monkeypatch.setattr(recommendation, "processor", lambda: processor)
    monkeypatch.setattr(backends, "int8_speeds_up", lambda: bool(processor.int8_features))


@pytest.mark.parametrize(
    ("int8", "fp16", "model", "threads"),
    [
        ({1: 6.5, 2: 4.0, 4: 3.0}, {1: 10.0, 2: 6.0, 4: 4.0}, "atpn_int8", 4),
        ({1: 10.0, 2: 6.0}, {1: 10.0, 2: 5.5}, "atpn_fp16", 2),  # equal: the accurate one
        ({1: 9.1, 2: 1.0}, {1: 10.0, 2: 9.5}, "atpn_fp16", 1),  # int8 saves 9 %, threads 5 %
        ({1: 9.0, 2: 8.1}, {1: 10.0, 2: 10.0}, "atpn_int8", 2),  # exactly the least gain
        ({1: 5.0, 2: 4.9, 4: 2.0}, {1: 10.0, 2: 9.0, 4: 8.0}, "atpn_int8", 1),  # each doubling must help
        ({1: 5.0, 2: 4.0, 4: 3.9}, {1: 10.0, 2: 9.0, 4: 8.0}, "atpn_int8", 2),
        ({1: 5.0, 2: 7.0, 4: 9.0}, {1: 8.0, 2: 9.0, 4: 9.0}, "atpn_int8", 1),  # on a busy machine
    ],
)
def test_choose_takes_int8_and_threads_only_if_they_save_a_tenth(int8, fp16, model, threads):
    name, count, reason = choose({"atpn_int8": int8, "atpn_fp16": fp16})
    assert (name, count) == (model, threads)
    assert f"int8 takes {int8[1] / fp16[1]:.2f} of float's time" in reason
    assert "\n" not in reason


def test_choose_takes_the_only_file_that_runs():
    assert choose({"atpn_fp16": {1: 9.0}}) == ("atpn_fp16", 1, "the only file of atpn that runs here")
    with pytest.raises(ValueError, match="no time was measured, expected one of atpn_int8 or atpn_fp16"):
        choose({})


@pytest.fixture
def two_networks(monkeypatch):
    monkeypatch.setattr(models, "NETWORKS", {"atpn": "atpn", "small": "atpn_small"})


@pytest.mark.parametrize(
    ("large", "small", "model", "threads"),
    [
        ({1: 3.0}, {1: 1.0}, "atpn_fp16", 1),
        ({1: MAX_MILLISECONDS}, {1: 1.0}, "atpn_fp16", 1),
        ({1: MAX_MILLISECONDS + 0.1}, {1: 5.0}, "atpn_small_fp16", 1),
        ({1: 20.0, 2: 11.0}, {1: 6.0, 2: 3.0}, "atpn_fp16", 2),  # with two threads fast enough
        ({1: 12.0, 2: 11.0}, {1: 6.0, 2: 5.9}, "atpn_small_fp16", 1),  # two threads save too little
        ({1: 60.0, 2: 55.0}, {1: 20.0, 2: 15.0}, "atpn_small_fp16", 2),  # neither is: the fastest
    ],
)
def test_choose_takes_the_large_network_where_it_leaves_30_frames_per_second(
    large, small, model, threads, two_networks
):
    times = {"atpn_fp16": large, "atpn_small_fp16": small}
    assert choose(times)[:2] == (model, threads)
    int8 = {f"{name[:-4]}int8": {count: time / 2 for count, time in each.items()} for name, each in times.items()}
    assert choose(times | int8)[0].endswith("int8")


def test_choose_says_why_a_network_is_taken(two_networks):
    assert (
        "atpn takes 30.00 ms, small takes 9.00 ms per face: small is the most accurate within 11.1 ms"
        in choose({"atpn_fp16": {1: 30.0}, "atpn_small_fp16": {1: 9.0}})[2]
    )
    assert (
        "small is the fastest, as none is within 11.1 ms"
        in choose({"atpn_fp16": {1: 90.0}, "atpn_small_fp16": {1: 30.0}})[2]
    )
    assert choose({"atpn_small_fp16": {1: 30.0}})[::2] == ("atpn_small_fp16", "the only file of small that runs here")


@pytest.mark.parametrize(("cores", "counts"), [(1, [1]), (2, [1, 2]), (3, [1, 2]), (4, [1, 2, 4]), (64, [1, 2, 4])])
def test_thread_counts_end_at_the_cores(cores, counts):
    assert thread_counts(cores) == counts


def test_measure_times_each_file_and_says_what_does_not_run(tiny_tflite, tmp_path):
    pytest.importorskip("ai_edge_litert")
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"no model")
    measured = measure({"a": tiny_tflite, "b": broken}, [1, 2], 0.4)
    assert measured.milliseconds.keys() == {"a"}
    assert measured.milliseconds["a"].keys() == {1, 2}
    assert min(measured.milliseconds["a"].values()) > 0
    assert measured.problems.keys() == {"b"}
    assert "not a TFLite file" in measured.problems["b"]


@pytest.mark.parametrize(("per_run", "rounds"), [(0.01, 10), (0.5, 1)])
def test_measure_keeps_to_its_time_on_a_slow_machine(per_run, rounds, spec, monkeypatch):
    clock, runs = [0.0], []

    class Engine:
        def __init__(self, path, backend, threads):
            self.spec, self.threads = spec, threads

        def run(self, crop):
            assert crop.shape == (spec.input_size, spec.input_size, 3)
            clock[0] += per_run / self.threads
            runs.append(self.threads)

    monkeypatch.setattr(recommendation, "load_backend", Engine)
    monkeypatch.setattr(recommendation.time, "perf_counter", lambda: clock[0])
    measured = measure({"a": Path("a"), "b": Path("b")}, [1, 2], 2.0)
    times = pytest.approx({1: 1e3 * per_run, 2: 5e2 * per_run})
    assert measured.milliseconds == {"a": times, "b": times}
    turns = sum(one != two for one, two in pairwise([0, *runs]))
    assert turns == 4 * rounds  # each file with each number of threads, in turn


def test_without_a_measurement_int8_is_recommended_where_it_has_dot_products(cache, monkeypatch):
    slow = recommended()
    assert (slow.model, slow.threads, slow.measured) == (model_path("atpn_fp16"), 1, False)
    use(monkeypatch, FAST)
    fast = recommended()
    assert (fast.model, fast.threads, fast.measured) == (model_path("atpn_int8"), 1, False)
    assert "AVX-512 VNNI" in fast.reason
    monkeypatch.setattr(backends, "_is_installed", lambda name: name == "tflite")  # cannot run the int8 file
    assert recommended().model == model_path("atpn_fp16")
    assert not cache.exists()


def test_a_measurement_is_remembered(cache, monkeypatch):
    path = save(INT8)
    assert path.parent == cache
    found = recommended()
    assert (found.model, found.threads, found.measured) == (model_path("atpn_int8"), 2, True)
    assert found.reason == "the only file of atpn that runs here; 2 threads instead of 1: 0.50 of the time"
    # Another processor with the same home has its own.
    use(monkeypatch, Processor("slow", 2, SLOW.features))
    assert not recommended().measured
    save(FLOAT)
    assert recommended().threads == 1
    use(monkeypatch, SLOW)
    assert recommended().threads == 2


def test_the_tracker_takes_the_recommended_model(cache):
    pytest.importorskip("ai_edge_litert")
    assert FaceTracker().spec.precision == "fp16"
    save(INT8)
    assert FaceTracker().spec.precision == "int8"


def test_a_named_network_is_what_the_tracker_takes(cache, two_networks, monkeypatch, tmp_path):
    pytest.importorskip("ai_edge_litert")
    shutil.copy(model_path("detector_fp32"), tmp_path)
    for name in models.landmark_models():
        shutil.copy(model_path(f"atpn_{name[-4:]}"), tmp_path / f"{name}.tflite")
    monkeypatch.setattr(models, "FOLDER", tmp_path)
    save({"atpn_fp16": {1: 20.0}, "atpn_small_int8": {1: 2.0, 2: 1.0}})
    assert recommended().model == tmp_path / "atpn_small_int8.tflite"
    assert recommended(network="small").threads == 2
    assert (recommended(network="atpn").model, recommended(network="atpn").threads) == (model_path("atpn_fp16"), 1)
    for given in ("small", Path("small")):
        assert FaceTracker(TrackerOptions(model=given)).spec.precision == "int8"
    assert FaceTracker(TrackerOptions(model="atpn")).spec.precision == "fp16"
    with pytest.raises(FileNotFoundError, match="no model file at tiny"):
        FaceTracker(TrackerOptions(model="tiny"))


def test_each_network_has_its_own_choice_from_one_measurement(cache, two_networks, monkeypatch, tmp_path):
    for name in models.landmark_models():
        shutil.copy(model_path(f"atpn_{name[-4:]}"), tmp_path / f"{name}.tflite")
    monkeypatch.setattr(models, "FOLDER", tmp_path)
    save({"atpn_int8": {1: 1.0}, "atpn_fp16": {1: 2.0}, "atpn_small_int8": {1: 0.9}, "atpn_small_fp16": {1: 0.8}})
    assert recommended().model == recommended(network="atpn").model == tmp_path / "atpn_int8.tflite"
    small = recommended(network="small")
    assert (small.model, small.measured) == (tmp_path / "atpn_small_fp16.tflite", True)


def test_a_measurement_of_another_engine_version_or_of_other_files_is_not_used(cache, monkeypatch):
    save(INT8)
    with monkeypatch.context() as patch:
        patch.setattr(recommendation, "engine_version", lambda engine: "0.0.1")
        assert not recommended().measured
    assert recommended().measured
    hashes = recommendation._hashes()
    monkeypatch.setattr(recommendation, "_hashes", lambda: {**hashes, "atpn_int8": "0"})
    assert not recommended().measured


@pytest.mark.parametrize(
    "change",
    [
        lambda content: b"",
        lambda content: b"{",
        lambda content: b"\xff\xfe",
        lambda content: b"[" * 60_000,
        lambda content: b" " * 100_000 + json.dumps(content).encode(),
        lambda content: json.dumps([content]).encode(),
        lambda content: json.dumps({**content, "milliseconds": {"../../evil": {"1": 1.0}}}).encode(),
        lambda content: json.dumps({**content, "milliseconds": ["atpn_int8"]}).encode(),
        lambda content: json.dumps({**content, "milliseconds": {"atpn_int8": {"1": 1.0, "1000": 0.1}}}).encode(),
        lambda content: json.dumps({**content, "milliseconds": {"atpn_int8": {"1": "fast"}}}).encode(),
        lambda content: json.dumps({**content, "milliseconds": {"atpn_int8": None}}).encode(),
        lambda content: json.dumps({key: value for key, value in content.items() if key != "models"}).encode(),
    ],
)
def test_a_damaged_cache_is_no_error(cache, change):
    path = save(INT8)
    path.write_bytes(change(json.loads(path.read_bytes())))
    assert recommended().model == model_path("atpn_fp16")
    assert not recommended().measured
    save(INT8)
    assert recommended().measured


def test_a_cache_that_is_no_file_is_no_error(cache):
    path = save(INT8)
    path.unlink()
    path.mkdir()
    assert not recommended().measured
    path.rmdir()
    os.mkfifo(path)  # reading it would wait forever
    assert not recommended().measured


def test_an_unwritable_cache_is_an_os_error_only_when_saving(cache):
    cache.parent.write_text("a file where the folder should be")
    with pytest.raises(OSError, match="cache"):
        save(INT8)
    assert not recommended().measured


@pytest.mark.parametrize(
    ("environment", "system", "folder"),
    [
        ({}, "linux", "HOME/.cache/atpn"),
        ({"XDG_CACHE_HOME": "/c"}, "linux", "/c/atpn"),
        ({"XDG_CACHE_HOME": "/c"}, "darwin", "/c/atpn"),
        ({"XDG_CACHE_HOME": "relative"}, "linux", "HOME/.cache/atpn"),
        ({}, "darwin", "HOME/Library/Caches/atpn"),
        ({"LOCALAPPDATA": "/l"}, "win32", "/l/atpn"),
        ({}, "win32", "HOME/AppData/Local/atpn"),
    ],
)
def test_cache_folder_is_the_systems(environment, system, folder):
    assert cache_folder(environment, system) == Path(folder.replace("HOME", str(Path.home())))


def test_a_user_without_a_home_has_no_cache(cache, monkeypatch):
    def no_home():
        raise RuntimeError("could not determine home directory")

    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert not recommended().measured
    with pytest.raises(OSError, match="set XDG_CACHE_HOME"):
        save(INT8)
