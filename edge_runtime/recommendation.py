"""Which shipped network, which of its files, and how many threads suit this machine.

`measure` takes the time, `save` remembers it for this machine, and `recommended` returns what it means.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime import models
from edge_runtime.backends import Backend, default_model_path, load_backend, resolve_engine
from edge_runtime.errors import EdgeRuntimeError
from edge_runtime.files import write_atomically
from edge_runtime.machine import processor
from edge_runtime.models import DEFAULT_NETWORK, landmark_models, model_path, network_files
from edge_runtime.reading import read_json

THREAD_COUNTS = (1, 2, 4)
"""Numbers of threads to measure, up to the number of cores. The network is too small for more."""
MIN_GAIN = 0.1
"""Fraction of the time that int8, or a doubling of the threads, must save to be recommended: the one costs accuracy,
the other load and heat."""
MAX_MILLISECONDS = 1000 / 30 / 3
"""Time per face up to which a more accurate network is recommended: a third of a frame at 30 per second. The rest is
for the camera, for drawing and sending, and for the search for faces, which takes about two tracked frames' time. Raise
it for accuracy at fewer frames per second."""
BLOCK_SECONDS = 0.1
"""Time that a file runs before the next one's turn, so that a change of the clock affects all alike."""
MAX_CACHE_BYTES = 65_536
"""Maximum size of a remembered recommendation; a larger file is damaged."""
_DISTRIBUTIONS = {"litert": "ai-edge-litert", "tflite": "tflite-runtime", "onnxruntime": "onnxruntime"}


@dataclass(frozen=True)
class Recommendation:
    """A model file and a number of threads."""

    model: Path
    threads: int
    reason: str
    """One line."""
    measured: bool
    """Whether it was measured on this machine."""


@dataclass(frozen=True)
class Measurement:
    """Times of model files."""

    milliseconds: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    """Median time per crop, by the model's name and the number of threads."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """Why a model cannot run, by its name."""


def recommended(engine: str = "auto", network: str | None = None) -> Recommendation:
    """Return what was measured on this machine (`python -m edge_runtime.doctor`), else a safe default; measure nothing.

    With a `network` of `models.NETWORKS`, one of its files. FileNotFoundError if there is no file for this engine, see
    `backends.default_model_path`.
    """
    engine = resolve_engine(engine)
    found = None if engine == "onnxruntime" else _load(engine, network)
    if found is not None:
        return found
    model = default_model_path(engine, network=network or DEFAULT_NETWORK)
    int8 = processor().int8_features
    reason = f"int8 dot products: {', '.join(int8)}" if int8 else "int8 is not known to be faster here"
    return Recommendation(model, 1, f"not measured; {reason}", measured=False)


def thread_counts(cores: int) -> list[int]:
    """Return the numbers of threads to measure on a machine with so many cores."""
    return [count for count in THREAD_COUNTS if count == 1 or count <= cores]


def measure(models: Mapping[str, Path], counts: Sequence[int], seconds: float, engine: str = "auto") -> Measurement:
    """Measure each file with each number of threads, in turn, for `seconds` per file."""
    loaded: dict[tuple[str, int], Backend] = {}
    problems = {}
    for name, path in models.items():
        try:
            loaded |= {(name, count): load_backend(path, engine, count) for count in counts}
        except (EdgeRuntimeError, OSError) as error:
            problems[name] = str(error)
    times: dict[tuple[str, int], list[float]] = {key: [] for key in loaded}
    rng, start = np.random.default_rng(0), time.perf_counter()
    while loaded:
        for key, backend in loaded.items():
            crop = rng.integers(0, 256, (backend.spec.input_size, backend.spec.input_size, 3), np.uint8)
            times[key] += _block(backend, crop)
        if time.perf_counter() - start >= seconds * len(loaded) / len(counts):
            break
    result: dict[str, dict[int, float]] = {}
    for (name, count), values in times.items():
        result.setdefault(name, {})[count] = 1e3 * statistics.median(values)
    return Measurement(result, problems)


def _block(backend: Backend, crop: np.ndarray) -> list[float]:
    """Return the times of some runs, without the first: the other engines' threads may still be busy."""
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < 4 or time.perf_counter() - start < BLOCK_SECONDS:
        before = time.perf_counter()
        backend.run(crop)
        times.append(time.perf_counter() - before)
    return times[1:]


def choose(milliseconds: Mapping[str, Mapping[int, float]]) -> tuple[str, int, str]:
    """Return the model's name, the number of threads, and the reason, from the times of `Measurement`.

    Of each network, int8 must save `MIN_GAIN` of float's time, and each doubling of the threads `MIN_GAIN` of the time
    before it. Then the most accurate network that takes `MAX_MILLISECONDS` or less is chosen, or else the fastest.

    Raises:
        ValueError: No shipped model was measured.
    """
    found = {network: choice for network in models.NETWORKS if (choice := _choose_file(network, milliseconds))}
    if not found:
        raise ValueError(f"no time was measured, expected one of {' or '.join(landmark_models())}")
    times = {network: milliseconds[name][threads] for network, (name, threads, _) in found.items()}
    fast = [network for network, time in times.items() if time <= MAX_MILLISECONDS]
    network = fast[0] if fast else min(times, key=times.__getitem__)
    name, threads, reason = found[network]
    if len(times) > 1:
        each = ", ".join(f"{other} takes {time:.2f} ms" for other, time in times.items())
        rule = "the most accurate within" if fast else "the fastest, as none is within"
        reason = f"{each} per face: {network} is {rule} {MAX_MILLISECONDS:.1f} ms; {reason}"
    return name, threads, reason


def _choose_file(network: str, milliseconds: Mapping[str, Mapping[int, float]]) -> tuple[str, int, str] | None:
    """Return the file of a network, the number of threads, and the reason; None if no file of it was measured."""
    int8, accurate = files = network_files(network)
    one = {name: milliseconds[name][1] for name in files if name in milliseconds}
    if not one:
        return None
    if len(one) == 1:
        (name,) = one
        reason = f"the only file of {network} that runs here"
    else:
        ratio = one[int8] / one[accurate]
        faster = ratio <= 1 - MIN_GAIN
        name = int8 if faster else accurate
        reason = f"int8 takes {ratio:.2f} of float's time" + ("" if faster else ", and float is more accurate")
    times, threads = milliseconds[name], 1
    for count in sorted(times)[1:]:
        ratio = times[count] / times[threads]
        worth = ratio <= 1 - MIN_GAIN
        reason += f"; {count} threads instead of {threads}: {ratio:.2f} of the time"
        if not worth:
            reason += ", not worth the load"
            break
        threads = count
    return name, threads, reason


def save(milliseconds: Mapping[str, Mapping[int, float]], engine: str = "auto") -> Path:
    """Remember the times of `Measurement` for this machine; return the file. OSError if it cannot be written."""
    engine = resolve_engine(engine)
    path = _cache_file(engine)
    content = {**_machine_key(engine), "models": _hashes(), "milliseconds": milliseconds}
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
    return path


def cache_folder(environment: Mapping[str, str] = os.environ, system: str = sys.platform) -> Path:
    """Return the folder of the user's cached files. OSError if the user has no home."""
    try:
        home = Path.home()
    except RuntimeError as error:
        raise OSError(f"no folder for cached files: {error}; set XDG_CACHE_HOME") from error
    folder = home / ".cache"
    if (chosen := environment.get("XDG_CACHE_HOME")) and Path(chosen).is_absolute():
        folder = Path(chosen)
    elif system == "darwin":
        folder = home / "Library" / "Caches"
    elif system == "win32":
        folder = Path(environment.get("LOCALAPPDATA") or home / "AppData" / "Local")
    return folder / "atpn"


def engine_version(engine: str) -> str:
    """Return the installed version of an engine; "" if it is unknown."""
    try:
        return importlib.metadata.version(_DISTRIBUTIONS[engine])
    except importlib.metadata.PackageNotFoundError:
        return ""


def _load(engine: str, network: str | None) -> Recommendation | None:
    """Return what the remembered times recommend, of all networks or of one.

    None without times of its files by this processor, this engine, and these model files.
    """
    try:
        content = read_json(_cache_file(engine), limit=MAX_CACHE_BYTES)
        if content["models"] != _hashes():
            return None
        names = landmark_models() if network is None else network_files(network)
        times = {name: _times(counts) for name, counts in content["milliseconds"].items() if name in names}
        name, threads, reason = choose(times)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # damaged, or not readable: as if there was none
    return Recommendation(model_path(name), threads, reason, measured=True)


def _times(found: Mapping[str, float]) -> dict[int, float]:
    """Read a file's times by the number of threads; ValueError for damaged ones."""
    times = {int(count): float(time) for count, time in found.items()}
    if 1 not in times or not times.keys() <= set(THREAD_COUNTS) or not all(0 < time < 1e6 for time in times.values()):
        raise ValueError(f"no times of a model: {found}")
    return times


def _cache_file(engine: str) -> Path:
    # A name per machine: several may share a home.
    digest = hashlib.sha256(json.dumps(_machine_key(engine)).encode()).hexdigest()
    return cache_folder() / f"recommendation-{digest[:16]}.json"


def _machine_key(engine: str) -> dict[str, Any]:
    found = processor()
    features = [name for name, present in found.features.items() if present]
    return {
        "processor": found.name,
        "cores": found.cores,
        "features": features,
        "engine": f"{engine} {engine_version(engine)}",
    }


def _hashes() -> dict[str, str]:
    return {name: hashlib.sha256(model_path(name).read_bytes()).hexdigest() for name in landmark_models()}
