"""What a machine computes: crops, network outputs and whole tracker updates, to lay beside another machine's.

Needs the plain install only, so that it runs on a device.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from benchmarks.machine import machine
from edge_runtime import ROI, Face, FaceTracker
from edge_runtime.backends import Backend, load_backend
from edge_runtime.detector import NetworkDetector
from edge_runtime.errors import ModelFileError
from edge_runtime.files import write_atomically
from edge_runtime.geometry import extract_crop
from edge_runtime.spec import ModelSpec

HELD_OUT = Path(__file__).resolve().parents[2] / "atpn" / "weights"
CUTS = 200
"""Crops cut out of noise and of a face, at any place, size and roll: what the crop rule alone computes."""
FRAME_SIZE = (320, 240)
FRAMES = 24
BLANK = range(12, 16)
"""Frames without the face, which is lost and found again."""
CUT = "crops by the crop rule"
PICTURES = "pictures, decoded"


@dataclass(frozen=True)
class DeviceOutputs:
    """Arrays by name, `GROUP/ARRAY`, and what they come from."""

    arrays: Mapping[str, np.ndarray]
    """uint8 pictures (n, S, S, 3), float32 network outputs (n, ...), float64 tracks; NaN where no face was held."""
    precisions: Mapping[str, str]
    """Group to the precision of its model file; groups of pictures have none."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Model file to the runtime's reason not to run it."""
    versions: Mapping[str, str | None] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write one .npz, atomically."""
        content = io.BytesIO()
        about = {"precisions": dict(self.precisions), "refused": dict(self.refused), "versions": dict(self.versions)}
        np.savez(content, about=np.array(json.dumps(about)), **self.arrays)
        write_atomically(path, content.getvalue())

    @staticmethod
    def read(path: Path) -> DeviceOutputs:
        """Read what `write` wrote; ValueError for anything else."""
        try:
            with np.load(path, allow_pickle=False) as content:
                arrays = {name: content[name] for name in content.files}
            return DeviceOutputs(arrays, **json.loads(str(arrays.pop("about"))))
        except (AttributeError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is not what `python -m benchmarks outputs` writes ({error})") from error


def device_outputs(models: Sequence[Path], count: int, past: DeviceOutputs | None = None) -> DeviceOutputs:
    """Run model files on `count` held-out pictures each, and the tracking ones on a short sequence, too.

    With the outputs of another machine as `past`, networks see its pictures, and each step of the tracker follows its
    last one. Left alone two trackers drift apart, because each crop follows from the last result: a difference of a
    ten-millionth moves the next crop's sampling grid by a whole step of it. What files the runtime refuses is told.
    """
    arrays: dict[str, np.ndarray] = {f"{CUT}/crops": cut_crops()}
    precisions, refused = {}, {}
    for path in models:
        try:
            backend = load_backend(path)
        except ModelFileError as error:
            refused[path.name] = str(error)
            continue
        name = "detector_heldout" if backend.spec.is_detector else "heldout"
        pictures = held_out_pictures(HELD_OUT / f"{name}.npz")[:count]
        arrays[f"{PICTURES}/{name}"] = pictures
        if past is not None:
            pictures = past.arrays[f"{PICTURES}/{name}"]
        results = [backend.run(picture) for picture in pictures]
        arrays |= {f"{path.name}/{output}": np.stack([r[output] for r in results]) for output in results[0]}
        precisions[path.name] = backend.spec.precision
        if "pose" in backend.spec.outputs:
            group = f"{path.name}, tracking"
            arrays |= {f"{group}/{key}": value for key, value in _track(backend, path, group, past).items()}
            precisions[group] = backend.spec.precision
    return DeviceOutputs(arrays, precisions, refused, machine()["versions"])


def held_out_pictures(path: Path) -> np.ndarray:
    """(n, S, S, 3) uint8 RGB pictures of a held-out set."""
    with np.load(path, allow_pickle=False) as content:
        encoded = np.split(content["jpeg"], content["ends"][:-1])
    return np.stack([cv2.cvtColor(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB) for jpeg in encoded])


def cut_crops() -> np.ndarray:
    """(CUTS, 112, 112, 3) uint8 crops of noise and of a face."""
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (480, 640, 3), np.uint8), next(frames())]
    # Integers: a generator gives the same ones everywhere, whatever a machine's exponential or logarithm rounds to.
    places = [(rng.integers(0, 480, 2), rng.integers(8, 900), rng.integers(-314, 314)) for _ in range(CUTS)]
    return np.stack(
        [
            extract_crop(pictures[number % 2], ROI(float(x), float(y), float(size), float(roll) / 100), 112)
            for number, ((x, y), size, roll) in enumerate(places)
        ]
    )


def frames() -> Iterator[np.ndarray]:
    """FRAMES of a face that slides across the picture and is hidden for a while, (240, 320, 3) uint8 BGR.

    It moves by whole pixels, so that the frames are the same wherever they are made.
    """
    face = held_out_pictures(HELD_OUT / "heldout.npz")[_first_face()][..., ::-1]
    side = len(face)
    for number in range(FRAMES):
        frame = np.full((*FRAME_SIZE[::-1], 3), 127, np.uint8)
        if number not in BLANK:
            x, y = 40 + 4 * number, 30 + 2 * number
            frame[y : y + side, x : x + side] = face
        yield frame


def _first_face() -> int:
    with np.load(HELD_OUT / "heldout.npz", allow_pickle=False) as content:
        return int(np.flatnonzero(np.isfinite(content["landmarks"]).all(axis=(1, 2)))[0])


class GuidedBackend:
    """A network whose answers are kept, and replaced by another machine's for the same step."""

    def __init__(self, backend: Backend, answers: Mapping[str, np.ndarray] | None) -> None:
        self._backend, self._answers = backend, answers
        self.crops: list[np.ndarray] = []
        self.results: list[dict[str, np.ndarray]] = []

    @property
    def spec(self) -> ModelSpec:
        """The network's."""
        return self._backend.spec

    def run(self, crop: np.ndarray) -> dict[str, np.ndarray]:
        """See `Backend.run`."""
        step = len(self.crops)
        self.crops.append(crop)
        self.results.append(self._backend.run(crop))
        if self._answers is None:
            return self.results[-1]
        # Past the end the tracker decides otherwise than the other machine's did; the comparison tells by the count.
        return {name: values[min(step, len(values) - 1)] for name, values in self._answers.items()}


def _track(backend: Backend, path: Path, group: str, past: DeviceOutputs | None) -> dict[str, np.ndarray]:
    """Track the sequence; every step's crop and network outputs, and every frame's face."""

    def guided(loaded: Backend, prefix: str) -> GuidedBackend:
        if past is None:
            return GuidedBackend(loaded, None)
        return GuidedBackend(loaded, {n: past.arrays[f"{group}/{prefix}{n}"] for n in loaded.spec.outputs})

    network = guided(backend, "")
    finder = guided(load_backend(path.with_name("detector_fp32.tflite")), "search ")
    tracker = FaceTracker(backend=network, detector=NetworkDetector(finder))
    faces = [next(iter(tracker.update(frame, number / 30)), None) for number, frame in enumerate(frames())]

    def per_frame(values: list[np.ndarray | None], shape: tuple[int, ...]) -> np.ndarray:
        return np.stack([np.full(shape, np.nan) if value is None else value for value in values])

    def region(face: Face) -> np.ndarray:
        return np.array([face.roi.cx, face.roi.cy, face.roi.size, face.roi.roll])

    points = backend.spec.mean_shape.shape
    return {
        "crops": np.stack(network.crops),
        "searched pictures": np.stack(finder.crops),
        **{name: np.stack([r[name] for r in network.results]) for name in backend.spec.outputs},
        **{f"search {name}": np.stack([r[name] for r in finder.results]) for name in finder.spec.outputs},
        "face landmarks": per_frame([f and f.landmarks for f in faces], points),
        "face rotation": per_frame([f and f.pose.matrix for f in faces], (3, 3)),
        "face region": per_frame([f and region(f) for f in faces], (4,)),
        "face id": per_frame([f and np.array(f.id) for f in faces], ()),
    }
