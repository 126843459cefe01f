"""What a machine computes: crops, network outputs, and tracker updates, to compare with another machine's.

Needs the plain install only, so that it runs on a device.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from edge_runtime import ROI, Face, FaceTracker, TrackerOptions
from edge_runtime.arrays import load_arrays
from edge_runtime.backends import Backend, load_backend
from edge_runtime.detector import NetworkDetector
from edge_runtime.errors import ModelFileError
from edge_runtime.files import write_atomically
from edge_runtime.geometry import extract_crop
from edge_runtime.reading import parse_json, quote
from edge_runtime.spec import DetectorSpec, ModelSpec

PACKAGES = ("numpy", "opencv-python-headless", "ai-edge-litert", "tflite-runtime", "onnxruntime", "torch")
HELD_OUT = Path(__file__).resolve().parents[1] / "atpn" / "weights"
CROP_COUNT = 200
"""Number of crops of noise and of a face at random place, size, and roll, which test the crop rule alone."""
FRAME_SIZE = (320, 240)
FRAMES = 24
EMPTY_FRAMES = range(12, 16)
"""Frames without the face, so that it is lost and found again."""
CROPS = "crops by the crop rule"
IMAGES = "images, decoded"


def package_versions() -> dict[str, str]:
    """Return the versions of the installed `PACKAGES`."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


@dataclass(frozen=True)
class DeviceOutputs:
    """Arrays by name, `GROUP/ARRAY`, and their origin."""

    arrays: Mapping[str, np.ndarray]
    """uint8 images (n, S, S, 3), float32 network outputs (n, ...), float64 tracks; NaN where no face was tracked."""
    precisions: Mapping[str, str]
    """Precision of the model file by group; groups of images have none."""
    unsupported: Mapping[str, str] = field(default_factory=dict)
    """The runtime's error message by model file."""
    versions: Mapping[str, str | None] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write one .npz atomically."""
        content = io.BytesIO()
        about = {name: dict(value) for name, value in vars(self).items() if name != "arrays"}
        np.savez(content, about=np.array(json.dumps(about)), **self.arrays)
        write_atomically(path, content.getvalue())

    @staticmethod
    def read(path: Path) -> DeviceOutputs:
        """Read what `write` wrote, earlier names included. Raise ValueError for another file."""
        try:
            arrays = {name.replace("pictures", "images"): array for name, array in load_arrays(path).items()}
            about = parse_json(str(arrays.pop("about")))
            if "refused" in about:
                about["unsupported"] = about.pop("refused")
            if not all(isinstance(value, dict) for value in about.values()):
                raise ValueError(f"about must hold objects, got {about}")
            return DeviceOutputs(arrays, **about)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} was not written by `python -m platform_checks outputs` ({quote(error)})"
            ) from error


def device_outputs(models: Sequence[Path], count: int, reference: DeviceOutputs | None = None) -> DeviceOutputs:
    """Run model files on `count` held-out images each, and those that track also on a short sequence.

    With another machine's outputs as `reference`, networks get its images, and each step of the tracker continues from
    its previous step. Otherwise two trackers drift apart, because each crop depends on the last result: a difference of
    1e-7 can move the next crop's sampling grid by a whole step.
    """
    arrays: dict[str, np.ndarray] = {f"{CROPS}/crops": random_crops()}
    precisions, unsupported = {}, {}
    for path in models:
        try:
            backend = load_backend(path)
        except ModelFileError as error:
            unsupported[path.name] = str(error)
            continue
        name = "detector_heldout" if isinstance(backend.spec, DetectorSpec) else "heldout"
        images = held_out_images(HELD_OUT / f"{name}.npz")[:count]
        arrays[f"{IMAGES}/{name}"] = images
        if reference is not None:
            images = reference.arrays[f"{IMAGES}/{name}"]
        results = [backend.run(image) for image in images]
        arrays |= {f"{path.name}/{output}": np.stack([r[output] for r in results]) for output in results[0]}
        precisions[path.name] = backend.spec.precision
        if "pose" in backend.spec.outputs:
            group = f"{path.name}, tracking"
            arrays |= {f"{group}/{key}": value for key, value in _track(backend, path, group, reference).items()}
            precisions[group] = backend.spec.precision
    return DeviceOutputs(arrays, precisions, unsupported, package_versions())


def held_out_images(path: Path) -> np.ndarray:
    """Return (n, S, S, 3) uint8 RGB images of a held-out set."""
    content = load_arrays(path, ["jpeg", "ends"])
    encoded = np.split(content["jpeg"], content["ends"][:-1])
    return np.stack([cv2.cvtColor(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB) for jpeg in encoded])


def random_crops() -> np.ndarray:
    """Return (CROP_COUNT, 112, 112, 3) uint8 crops of noise and of a face."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (480, 640, 3), np.uint8), next(frames())]
    # Integers are the same on every machine, whatever its exponential or logarithm rounds to.
    places = [(rng.integers(0, 480, 2), rng.integers(8, 900), rng.integers(-314, 314)) for _ in range(CROP_COUNT)]
    return np.stack(
        [
            extract_crop(images[number % 2], ROI(float(x), float(y), float(size), float(roll) / 100), 112)
            for number, ((x, y), size, roll) in enumerate(places)
        ]
    )


def frames() -> Iterator[np.ndarray]:
    """Yield FRAMES frames, (240, 320, 3) uint8 BGR, of a face that moves and is absent in EMPTY_FRAMES.

    It moves by whole pixels, so that the frames are the same on every machine.
    """
    path = HELD_OUT / "heldout.npz"
    landmarks = load_arrays(path, ["landmarks"])["landmarks"]
    first_face = int(np.flatnonzero(np.isfinite(landmarks).all(axis=(1, 2)))[0])
    face = held_out_images(path)[first_face][..., ::-1]
    side = len(face)
    for number in range(FRAMES):
        frame = np.full((*FRAME_SIZE[::-1], 3), 127, np.uint8)
        if number not in EMPTY_FRAMES:
            x, y = 40 + 4 * number, 30 + 2 * number
            frame[y : y + side, x : x + side] = face
        yield frame


class GuidedBackend:
    """A network whose outputs are recorded, and replaced by another machine's for the same step."""

    def __init__(self, backend: Backend, outputs: Mapping[str, np.ndarray] | None) -> None:
        self._backend, self._outputs = backend, outputs
        self.crops: list[np.ndarray] = []
        self.results: list[dict[str, np.ndarray]] = []

    @property
    def spec(self) -> ModelSpec | DetectorSpec:
        """The network's spec."""
        return self._backend.spec

    def run(self, crop: np.ndarray, query_points: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Run the network; see `Backend.run`."""
        step = len(self.crops)
        self.crops.append(crop)
        self.results.append(self._backend.run(crop))
        if self._outputs is None:
            return self.results[-1]
        # More steps than the other machine took: the comparison fails because the number of crops differs.
        return {name: values[min(step, len(values) - 1)] for name, values in self._outputs.items()}


def _track(backend: Backend, path: Path, group: str, reference: DeviceOutputs | None) -> dict[str, np.ndarray]:
    """Track the sequence. Return each step's crop and network outputs, and each frame's face."""

    def guided(loaded: Backend, prefix: str) -> GuidedBackend:
        if reference is None:
            return GuidedBackend(loaded, None)
        return GuidedBackend(loaded, {n: reference.arrays[f"{group}/{prefix}{n}"] for n in loaded.spec.known_outputs})

    network = guided(backend, "")
    detector = guided(load_backend(path.with_name("detector_fp32.tflite")), "search ")
    tracker = FaceTracker(TrackerOptions(model=network, detector=NetworkDetector(detector)))
    faces = [next(iter(tracker.update(frame, number / 30)), None) for number, frame in enumerate(frames())]

    def per_frame(values: list[np.ndarray | None], shape: tuple[int, ...]) -> np.ndarray:
        return np.stack([np.full(shape, np.nan) if value is None else value for value in values])

    def region(face: Face) -> np.ndarray:
        return np.array([face.roi.cx, face.roi.cy, face.roi.size, face.roi.roll])

    points = backend.spec.mean_shape.shape
    return {
        "crops": np.stack(network.crops),
        "searched images": np.stack(detector.crops),
        **{name: np.stack([r[name] for r in network.results]) for name in backend.spec.known_outputs},
        **{f"search {name}": np.stack([r[name] for r in detector.results]) for name in detector.spec.known_outputs},
        "face landmarks": per_frame([f and f.landmarks for f in faces], points),
        "face rotation": per_frame([f and f.pose.matrix for f in faces], (3, 3)),
        "face region": per_frame([f and region(f) for f in faces], (4,)),
        "face id": per_frame([f and np.array(f.id) for f in faces], ()),
    }
