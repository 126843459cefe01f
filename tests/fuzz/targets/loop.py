"""The tracking loop: any outputs of the networks, any frames, any times; and the sinks of its results.

An input is JSON: options and a list of steps, each a frame, a time, and what network and detector give for it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from edge_runtime import (
    ROI,
    CsvSink,
    DetectorSpec,
    Face,
    FaceTracker,
    Frame,
    FrameError,
    JsonLinesSink,
    ModelSpec,
    NetworkDetector,
    OscSink,
    Template,
    TrackerOptions,
    VmcSink,
)
from edge_runtime.spec import detector_outputs, standard_outputs
from tests.fuzz.outcome import check
from tests.fuzz.target import Target
from tests.fuzz.targets.models import tiny_spec
from tests.fuzz.targets.settings import TEMPLATE

GRID = 48
"""Cells per side of the detector."""
SIZE = (96, 128, 3)
EXTREMES = (math.nan, math.inf, -math.inf, 1e38, -1e38, 1e30, 1e-38, -1.0, 0.0, 1.0, 2.0, 100.0)
TIMES = (0.0, 1e-310, -1e-310, 1e-9, 1 / 30, 1.0, -5.0, 1e9, 1e18, 1e308, -1e308, math.nan, math.inf)
SHAPES = (
    SIZE,
    (1, 1, 3),
    (2, 32_766, 3),
    (96, 128),
    (96, 128, 1),
    (96, 128, 4),
    (0, 5, 3),
    (96, 128, 2),
    (33_000, 1, 3),
)
KINDS = ("uint8", "uint16", "float32", "float64", "int64", "bool")


class _Network:
    """Backend whose outputs are set before each step."""

    def __init__(self, spec: ModelSpec | DetectorSpec, good: Mapping[str, np.ndarray]) -> None:
        self.spec, self.good = spec, good
        self.changes: Mapping[str, Any] = {}

    def run(self, crop: np.ndarray, query_points: np.ndarray | None = None) -> dict[str, np.ndarray]:
        return {name: _changed(array, self.changes.get(name)) for name, array in self.good.items()}


def _changed(array: np.ndarray, change: Any) -> np.ndarray:
    """Return a float32 array with another constant value, or with some other elements."""
    array = array.astype(np.float32)
    if isinstance(change, int | float):
        array[...] = change
    for index, value in change if isinstance(change, list) else ():
        array.flat[index % array.size] = value
    return array


def _spec(with_points: bool) -> ModelSpec:
    template = Template.from_dict(TEMPLATE) if with_points else None
    outputs = standard_outputs(98, points=len(TEMPLATE["points"]) if with_points else 0)
    return dataclasses.replace(tiny_spec(), outputs=outputs, template=template)


def _good_outputs(spec: ModelSpec) -> dict[str, np.ndarray]:
    outputs = {name: np.full(shape, 0.01) for name, shape in spec.outputs.items()}
    return outputs | {"landmarks": np.array(spec.mean_shape), "confidence": np.array([0.95])}


def _detector() -> _Network:
    scores, rois, roll = (np.zeros(shape) for shape in detector_outputs(GRID).values())
    # Small ROIs that do not overlap, but for one: with scores of 1, all are detections.
    rois[..., 0], rois[..., 1] = np.meshgrid(*[(np.arange(GRID) + 0.5) / GRID] * 2)
    rois[..., 2], roll[..., 1] = 0.5 / GRID, 1.0
    scores[24, 24], rois[24, 24] = 0.9, (0.5, 0.5, 0.4)
    spec = DetectorSpec(name="wild", outputs=detector_outputs(GRID), input_size=8 * GRID)
    return _Network(spec, {"scores": scores, "rois": rois, "roll": roll})


class _RoiDetector:
    """Detector that returns any ROIs."""

    rois: Sequence[Sequence[float]] = ()

    def detect(self, frame: np.ndarray) -> list[ROI]:
        found = []
        for values in self.rois:
            with contextlib.suppress(ValueError):  # there is no invalid ROI
                found.append(ROI(*values))
        return found


def _image(values: Mapping[str, Any]) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.full(values["shape"], values["value"]).astype(values["dtype"])


class _Run:
    """A tracker, what was seen of it, and its sinks."""

    def __init__(self, scenario: Mapping[str, Any], folder: Path, stack: contextlib.ExitStack) -> None:
        spec = _spec(scenario["points"])
        self.network, self.detector, self.any_rois = _Network(spec, _good_outputs(spec)), _detector(), _RoiDetector()
        self.reid_seconds = scenario["reid_seconds"]
        self.tracker = FaceTracker(
            TrackerOptions(
                model=self.network,
                detector=NetworkDetector(self.detector) if scenario["network_detector"] else self.any_rois,
                max_faces=scenario["max_faces"],
                smoothing=scenario["smoothing"],
                detection_interval=scenario["interval"],
                reid_seconds=self.reid_seconds,
            )
        )
        points = len(self.tracker.template.points) if self.tracker.template else 0
        self.sinks = [
            stack.enter_context(sink)
            for sink in (
                JsonLinesSink(folder / "faces.jsonl"),
                CsvSink(folder / "faces.csv", 98, points),
                OscSink("127.0.0.1", 9),
                VmcSink("127.0.0.1", 9),
            )
        ]
        self.gone: set[int] = set()
        self.current: set[int] = set()

    def step(self, index: int, step: Mapping[str, Any]) -> list[Face]:
        """Run one step and check what it gives."""
        self.network.changes, self.detector.changes = step["network"], step["detector"]
        self.any_rois.rois = step["rois"]
        image, time = _image(step["frame"]), step["time"]
        if step["reset"]:
            self.tracker.reset()
            self.gone |= self.current
            self.current = set()
        try:
            faces = self.tracker.detect(image) if step["still"] else self.tracker.update(image, time)
        except FrameError:
            return []
        except ValueError:
            if math.isfinite(time) or step["still"]:
                raise
            return []
        for face in faces:
            _check_finite(face)
        if not step["still"]:
            self._check_ids([face.id for face in faces])
        frame = Frame(np.zeros(SIZE, np.uint8), time if math.isfinite(time) else 0.0, index)
        for sink in self.sinks:
            sink.write(frame, faces)
        return faces

    def _check_ids(self, ids: list[int]) -> None:
        check(len(set(ids)) == len(ids), f"two faces have one id: {ids}")
        now = set(ids)
        if self.reid_seconds == 0:
            check(not now & self.gone, f"the id of a lost face was given again: {sorted(now & self.gone)}")
        self.gone |= self.current - now
        self.current = now

    def check_recovery(self) -> None:
        """After a reset, a good face is found."""
        good = {"shape": SIZE, "dtype": "uint8", "value": 90}
        step = {"network": {}, "detector": {}, "rois": [[64.0, 48.0, 60.0, 0.0]], "frame": good, "still": False}
        for index in range(4):
            faces = self.step(1000 + index, step | {"time": 100 + index / 30, "reset": index == 0})
        check(len(faces) == 1, f"after a reset a good face is not found: {len(faces)} faces")


def _check_files(folder: Path) -> None:
    """Check what the sinks wrote."""
    for line in (folder / "faces.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=lambda name: check(False, f"{name} in the JSON lines"))
    check("nan" not in (folder / "faces.csv").read_text().lower(), "NaN in the CSV file")


def _check_finite(face: Face) -> None:
    roi = face.roi
    values = {
        "landmarks": face.landmarks,
        "uncertainty": face.uncertainty,
        "pose": face.pose.matrix,
        "direction": face.direction,
        "roi": np.array([roi.cx, roi.cy, roi.size, roi.roll]),
        "points": np.zeros(0) if face.points is None else face.points,
        "points_uncertainty": np.zeros(0) if face.points_uncertainty is None else face.points_uncertainty,
    }
    for name, array in values.items():
        check(np.isfinite(array).all(), f"{name} of a face is not finite")
    check((face.uncertainty >= 0).all(), "the uncertainty of a face is negative")
    check(0 <= face.confidence <= 1, f"the confidence of a face is {face.confidence}")
    check(roi.size > 0, f"the ROI of a face has size {roi.size}")


def _read(folder: Path, file: Path) -> None:
    scenario = json.loads(file.read_bytes())
    with contextlib.ExitStack() as stack:
        run = _Run(scenario, folder, stack)
        for index, step in enumerate(scenario["steps"]):
            run.step(index, step)
        run.check_recovery()
    _check_files(folder)


_values = st.one_of(st.sampled_from(EXTREMES), st.floats(-2, 2, width=32))
_change = st.one_of(
    st.none(), st.none(), _values, st.lists(st.tuples(st.integers(0, 7000), _values).map(list), min_size=1, max_size=6)
)


@st.composite
def _scenarios(draw: st.DrawFn) -> bytes:
    times = itertools.count()
    steps = []
    for _ in range(draw(st.integers(1, 10))):
        regular = draw(st.integers(0, 3)) > 0
        frame = {"shape": SIZE, "dtype": "uint8", "value": draw(st.integers(0, 255))}
        if draw(st.integers(0, 7)) == 0:
            values = st.sampled_from((0.0, 0.5, 1.0, -1.0, 1e9, math.nan))
            frame = {
                "shape": draw(st.sampled_from(SHAPES)),
                "dtype": draw(st.sampled_from(KINDS)),
                "value": draw(values),
            }
        step = {
            "frame": frame,
            "time": next(times) / 30 if regular else draw(st.sampled_from(TIMES)),
            "network": {name: draw(_change) for name in _OUTPUTS} if draw(st.booleans()) else {},
            "detector": {name: draw(_change) for name in detector_outputs(1)} if draw(st.booleans()) else {},
            "rois": draw(st.lists(st.lists(_numbers, min_size=4, max_size=4), max_size=4)) or [[64.0, 48.0, 60.0, 0.0]],
            "reset": draw(st.integers(0, 7)) == 0,
            "still": draw(st.integers(0, 7)) == 0,
        }
        steps.append(step)
    options = {
        "points": draw(st.booleans()),
        "network_detector": draw(st.booleans()),
        "max_faces": draw(st.sampled_from((1, 3))),
        "smoothing": draw(st.sampled_from((0.0, 0.5, 1.0))),
        "interval": draw(st.sampled_from((1, 5))),
        "reid_seconds": draw(st.sampled_from((0.0, 2.0))),
    }
    return json.dumps(options | {"steps": steps}).encode()


_OUTPUTS = tuple(standard_outputs(98, points=1))
_numbers = st.one_of(st.floats(-200, 200), st.sampled_from(EXTREMES))


def _make(folder: Path) -> None:
    steps = [
        {
            "frame": {"shape": SIZE, "dtype": "uint8", "value": 90},
            "time": index / 30,
            "network": {},
            "detector": {},
            "rois": [[64.0, 48.0, 60.0, 0.0]],
            "reset": False,
            "still": False,
        }
        for index in range(3)
    ]
    options = {"points": True, "network_detector": True, "max_faces": 1, "smoothing": 0.5, "interval": 1}
    (folder / "scenario.json").write_text(json.dumps(options | {"reid_seconds": 2.0, "steps": steps}))


TARGETS = (
    Target(
        "loop",
        _make,
        _read,
        (),
        lambda _: _scenarios(),
        files="scenario.json",
        names_input=False,
        special=False,
        weight=4.0,
    ),
)
