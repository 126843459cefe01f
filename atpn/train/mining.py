"""`python -m atpn mine`: hard negatives, crops without a face that the present networks take for one.

Renders without a face are a thousand pictures, of which the networks have learned almost all. So far more pictures
without a face are composed of them, of textures, and of panoramas; what passes is written as another shard of the
training data, where the tracking and detector stages find it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from atpn.data.augment import AugmentConfig, augment
from atpn.data.sample import Sample
from atpn.data.scenes import MINED, MINED_WINDOW
from atpn.data.shards import write_shard
from atpn.data.store import SampleStore
from atpn.data.textures import texture
from atpn.synthetic.drawing.renderer import FaceRenderer, RenderOptions
from edge_runtime.backends import load_backend
from edge_runtime.detector.network import NetworkDetector
from edge_runtime.geometry import ROI, FieldOfView, Intrinsics, extract_crop
from edge_runtime.models import DETECTOR_MODEL, model_path, network_files
from edge_runtime.observation import Observation, Observer
from edge_runtime.spec import ModelSpec

log = logging.getLogger(__name__)

FRAME = (640, 480)
"""Width and height of the pictures, pixels."""
TILES = (120, 160, 240, 320, 480, 960)
"""Sides of the backgrounds that a picture is tiled with, pixels: from small to one, enlarged and blurred."""
TURNS = (0.0, math.pi / 2, math.pi, -math.pi / 2)
"""Roll of the first crops beyond the detector's, radians: a tracker tries them, too."""
LOOKS = 3
"""Number of crops of each alarm, each made by the landmarks of the one before, as a tracker would."""
MIN_CONFIDENCE = 0.3
"""Confidence from which a crop is hard."""
PART = 1000
"""Number of pictures per shard: what a stop loses at most."""
IMAGE_SIZE = 192
"""Side of the written images, pixels, as of renders."""
_DEGRADED = AugmentConfig(cover=0.0, blur=0.4, motion_blur=0.15, noise=0.4, jpeg=0.3)


@dataclass(frozen=True)
class MineConfig:
    """Write hard negatives into shards beside the renders that they are made of; the same command resumes."""

    data: Path
    """Folder of renders; `mined-SEED-NUMBER.tar` are written into it."""
    pictures: int = 20_000
    """Number of pictures without a face to search."""
    seed: int = 0
    """Seed of the pictures."""
    assets: Path | None = None
    """3D assets, for panoramas at full sharpness; those that `render --split train` uses."""
    cache: Path = Path("renders/cache")
    """Folder for prepared assets, as of `render`."""
    model: Path | None = None
    """Network that judges: an exported file; default: the shipped one."""
    detector: Path | None = None
    """Detector that finds candidates: an exported file; default: the shipped one."""


def run(config: MineConfig) -> None:
    """Search the pictures, and write what passes for a face."""
    store = SampleStore.read(config.data)
    renderer = None
    if config.assets is not None:
        renderer = FaceRenderer(config.assets, config.cache, RenderOptions(split="train"), config.seed)
    network = load_backend(config.model or model_path(network_files().accurate))
    observer = Observer(network, ModelSpec.check_kind(network.spec))
    detector = NetworkDetector(config.detector or model_path(DETECTOR_MODEL))
    for first in range(0, config.pictures, PART):
        path = config.data / f"mined-{config.seed:06d}-{first // PART:03d}.tar"
        if path.exists():
            log.info("%s: already there", path)
            continue
        indices = range(first, min(first + PART, config.pictures))
        count = write_shard(path, mined(store, renderer, detector, observer, indices, config.seed))
        log.info("%s: %d hard negatives of %d pictures", path, count, len(indices))


def mined(
    store: SampleStore,
    renderer: FaceRenderer | None,
    detector: NetworkDetector,
    observer: Observer,
    indices: range,
    seed: int,
) -> Iterator[Sample]:
    """Yield the surroundings of each hard crop, which fills the middle 1 / `MINED_WINDOW` of the image."""
    # Without the mined ones, so that a resumed run finds the same.
    plain = np.array([i for i in store.backgrounds if store.kinds[i] != MINED], np.int64)
    backgrounds, _ = store.split(plain)
    kinds: list[Callable[[np.random.Generator], np.ndarray]] = [lambda rng: wall(store, backgrounds, rng), textured]
    if renderer is not None:
        found = renderer
        kinds.append(lambda rng: np.clip(found.background(rng, max(FRAME)), 0, 255).astype(np.uint8)[: FRAME[1]])
    for index in tqdm(indices, unit="picture", desc="mining"):
        rng = np.random.default_rng((seed, index))
        rgb = augment(kinds[int(rng.integers(len(kinds)))](rng), _DEGRADED, rng)
        for number, roi in enumerate(alarms(np.ascontiguousarray(rgb[:, :, ::-1]), detector, observer)):
            window = ROI(roi.cx, roi.cy, roi.size * MINED_WINDOW, roi.roll)
            key = f"mined_{seed}_{index:06d}_{number:02d}"
            yield Sample(extract_crop(rgb, window, IMAGE_SIZE), key=key, attributes={"identity": key, "kind": MINED})


def alarms(frame: np.ndarray, detector: NetworkDetector, observer: Observer) -> Iterator[ROI]:
    """Yield the hardest crop of each false alarm in an (H, W, 3) uint8 BGR frame without a face."""
    intrinsics = FieldOfView().at(frame.shape[1], frame.shape[0])
    for candidate in detector.detect(frame):
        turned = [replace(candidate, roll=candidate.roll + turn) for turn in TURNS]
        seen = [each for roi in turned for each in _looks(frame, roi, observer, intrinsics)]
        hardest = max(seen, key=lambda each: each.confidence, default=None)
        if hardest is not None and hardest.confidence >= MIN_CONFIDENCE:
            yield hardest.roi


def _looks(frame: np.ndarray, roi: ROI, observer: Observer, intrinsics: Intrinsics) -> Iterator[Observation]:
    for _ in range(LOOKS):
        seen = observer.observe(frame, roi, intrinsics)
        if seen is None:
            return
        yield seen
        roi = seen.next_roi


def wall(store: SampleStore, backgrounds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a picture tiled with backgrounds of one size."""
    image, side = np.empty((FRAME[1], FRAME[0], 3), np.uint8), int(rng.choice(TILES))
    for top in range(0, FRAME[1], side):
        for left in range(0, FRAME[0], side):
            tile = cv2.resize(store.image(int(rng.choice(backgrounds))), (side, side))
            part = image[top : top + side, left : left + side]
            shift = rng.integers(0, [side - part.shape[0] + 1, side - part.shape[1] + 1])
            tile = tile[shift[0] :, shift[1] :][: part.shape[0], : part.shape[1]]
            part[:] = tile[:, :: rng.choice([-1, 1])]
    return image


def textured(rng: np.random.Generator) -> np.ndarray:
    """Return a picture that shows a procedural texture."""
    drawn = texture(int(rng.choice([240, 480, 640])), rng)
    return np.ascontiguousarray(cv2.resize(drawn, (max(FRAME),) * 2)[: FRAME[1]])
