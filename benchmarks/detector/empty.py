"""Streams without a face, and the tracks that trackers start on them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from atpn.data.store import SampleStore
from atpn.synthetic.drawing.renderer import FaceRenderer
from benchmarks.detector.scenes import FRAME, wall
from benchmarks.inputs import VIDEO_SUFFIXES
from benchmarks.results import Metric
from benchmarks.stability.frames import FPS, Camera
from edge_runtime import FaceTracker
from edge_runtime.geometry import rotation_2d
from edge_runtime.sources import IMAGE_SUFFIXES, open_source

TABLE = "false tracks per 1,000 frames"
STREAM_FRAMES = 40
"""Frames of each stream."""
MIN_TRACK_FRAMES = 3
"""Frames that a false track lives at least."""
CANVAS = 960
"""Side of the picture over which a stream pans, pixels."""
PAN_SPEED = (10.0, 120.0)
"""Speed of a pan, pixels a second."""
ZOOM = (0.7, 1.4)
"""Size of the view at a pan's begin and end, relative to the frame."""
MAX_ROLL = math.radians(15.0)
"""Maximum roll of the camera."""
WORDS = "0123456789 ABCDEFGHIJKLMNOPQRSTUVWXYZ abcdefghijklmnopqrstuvwxyz .,:;!?()&%+-"
Stream = tuple[str, Iterator[np.ndarray]]
"""Kind, and (H, W, 3) uint8 BGR frames."""


def streams(store: SampleStore, renderer: FaceRenderer | None, frames: int) -> Iterator[Stream]:
    """Yield slow pans, in all `frames` frames, the same in every call; panoramas come from the renderer if given."""

    def backgrounds(rng: np.random.Generator) -> np.ndarray:
        return wall(store, (CANVAS, CANVAS), int(rng.choice([160, 320, CANVAS])), rng)

    kinds: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
        "backgrounds": backgrounds,
        "textures": draw_texture,
        "text": draw_text,
        "shelves": draw_shelves,
    }
    if renderer is not None:
        found = renderer
        kinds["panoramas"] = lambda rng: np.ascontiguousarray(
            found.background(rng, CANVAS)[:, :, ::-1].astype(np.uint8)
        )
    for number in range(math.ceil(frames / STREAM_FRAMES)):
        rng = np.random.default_rng((1, number))
        kind = list(kinds)[number % len(kinds)]
        yield kind, pan(kinds[kind](rng), min(STREAM_FRAMES, frames - number * STREAM_FRAMES), rng)


def given_files(folder: Path) -> list[Path]:
    """Return the videos and pictures in a folder and its folders. Raise FileNotFoundError for none."""
    suffixes = {*VIDEO_SUFFIXES, *IMAGE_SUFFIXES}
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes)
    if not paths:
        raise FileNotFoundError(f"no video or picture in {folder}: give a folder of those without faces with --empty")
    return paths


def given_streams(paths: Sequence[Path], frames: int) -> Iterator[Stream]:
    """Yield videos, and a slow pan over each picture, in all about `frames` frames; SourceError for a broken file."""
    share = max(1, math.ceil(frames / len(paths)))
    for number, path in enumerate(paths[:frames]):
        with open_source(str(path)) as source:
            images = (frame.image for _, frame in zip(range(share), source, strict=False))
            if source.stills:
                images = pan(next(images), min(share, STREAM_FRAMES), np.random.default_rng((2, number)))
            yield "given", images


def pan(picture: np.ndarray, frames: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield what a camera sees that moves and zooms slowly over an (H, W, 3) uint8 picture, with its noise."""
    camera = Camera(*FRAME, rng)
    zooms, roll, heading = rng.uniform(*ZOOM, 2), rng.uniform(-MAX_ROLL, MAX_ROLL), rng.uniform(0, 2 * math.pi)
    step = rng.uniform(*PAN_SPEED) / FPS * np.array([math.cos(heading), math.sin(heading)])
    middle, size = (np.array(picture.shape[1::-1]) - 1) / 2, np.array(FRAME)
    fit = max(1.0, *(size / picture.shape[1::-1]))
    for index in range(frames):
        scale = fit / (zooms[0] + (zooms[1] - zooms[0]) * index / max(frames - 1, 1))
        matrix = scale * rotation_2d(roll)
        seen = middle + step * (index - (frames - 1) / 2)
        view = cv2.warpAffine(
            picture,
            np.column_stack([matrix, (size - 1) / 2 - matrix @ seen]),
            FRAME,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )
        yield camera.take(view.astype(np.float32))


def draw_texture(rng: np.random.Generator) -> np.ndarray:
    """Draw noise of several scales in a few colors, with stripes, checks, or dots over it."""
    image = np.zeros((CANVAS, CANVAS, 3), np.float32)
    for cells in (4, 12, 40, 150, 480):
        coarse = rng.uniform(-1, 1, (cells, cells, 3 if cells < 40 else 1)).astype(np.float32)
        layer = cv2.resize(coarse, (CANVAS, CANVAS), interpolation=cv2.INTER_CUBIC).reshape(CANVAS, CANVAS, -1)
        image += rng.uniform(0.2, 1.0) * layer / math.sqrt(cells / 4)
    x, y = np.meshgrid(*[np.arange(CANVAS, dtype=np.float32) * (2 * math.pi / rng.uniform(12, 90))] * 2)
    pattern = [np.sin(x), np.sign(np.sin(x) * np.sin(y)), (np.sin(x) * np.sin(y) > 0.7) * 2.0][rng.integers(3)]
    image += rng.uniform(0.0, 0.8) * pattern[..., None].astype(np.float32)
    shown = (image - image.min()) / np.ptp(image)
    return np.asarray((40 + 180 * shown).astype(np.uint8))


def draw_text(rng: np.random.Generator) -> np.ndarray:
    """Draw lines of letters of several sizes on a plain page."""
    paper, ink = rng.uniform(150, 255, 3), rng.uniform(0, 120, 3)
    if rng.random() < 0.3:
        paper, ink = ink, paper
    image = np.full((CANVAS, CANVAS, 3), paper, np.uint8)
    y = 0.0
    while y < CANVAS:
        scale = float(np.exp(rng.uniform(np.log(0.4), np.log(4.0))))
        y += 32 * scale
        letters = "".join(rng.choice(list(WORDS), 80))
        start = int(rng.uniform(-40, 20)), int(y)
        font, thickness = int(rng.integers(0, 8)), max(1, round(2 * scale))
        cv2.putText(image, letters, start, font, scale, ink.tolist(), thickness, cv2.LINE_AA)
    return image


def draw_shelves(rng: np.random.Generator) -> np.ndarray:
    """Draw shelves of books, boxes, plates, and bottles."""
    image = np.full((CANVAS, CANVAS, 3), rng.uniform(40, 160, 3), np.uint8)
    top = 0
    while top < CANVAS:
        height, left = int(rng.integers(70, 240)), 0
        board = top + height
        while left < CANVAS:
            width, tall = int(rng.integers(10, 90)), int(height * rng.uniform(0.5, 0.95))
            color = rng.uniform(20, 240, 3).tolist()
            middle = left + width // 2, board - tall // 2
            if width < 45:
                cv2.rectangle(image, (left, board - tall), (left + width, board), color, -1)
                cv2.line(image, (middle[0], board - tall + 8), (middle[0], board - 8), (230, 230, 230), width // 5 + 1)
            elif rng.random() < 0.5:
                cv2.ellipse(image, middle, (width // 2, tall // 2), 0, 0, 360, color, -1, cv2.LINE_AA)
                # Some have two dots, as sockets and drawers do: what looks most like a face.
                for side in (-1, 1) if rng.random() < 0.5 else ():
                    knob = middle[0] + side * width // 5, middle[1] - tall // 10
                    cv2.circle(image, knob, max(2, width // 14), (30, 30, 30), -1, cv2.LINE_AA)
            else:
                cv2.rectangle(image, (left, board - tall), (left + width, board), color, -1)
                cv2.rectangle(image, (left, board - tall), (left + width, board), (30, 30, 30), 2)
            left += width + int(rng.integers(0, 20))
        cv2.rectangle(image, (0, board), (CANVAS, board + 12), (40, 60, 80), -1)
        top = board + 12
    return image


def track(trackers: Mapping[str, FaceTracker], found: Iterator[Stream], frames: int) -> Iterator[Metric]:
    """Run every tracker on every stream, frame by frame in turn; yield false tracks per 1,000 frames by kind."""
    streams: list[tuple[str, int, dict[str, int]]] = []
    occupied = dict.fromkeys(trackers, 0)
    with tqdm(total=frames, unit="frame", desc="streams without faces") as progress:
        for kind, images in found:
            length, tracks = 0, dict.fromkeys(trackers, 0)
            for tracker in trackers.values():
                tracker.reset()
            for image in images:
                for name, tracker in trackers.items():
                    faces = tracker.update(image, length / FPS)
                    tracks[name] += sum(face.age == MIN_TRACK_FRAMES - 1 for face in faces)
                    occupied[name] += bool(faces)
                length += 1
                progress.update()
            streams.append((kind, length, tracks))
    lengths = [length for _, length, _ in streams]
    for name in trackers:
        for kind in dict.fromkeys(kind for kind, *_ in streams):
            own = [(tracks[name], length) for other, length, tracks in streams if other == kind]
            yield _rate(name, kind, *zip(*own, strict=True))
        yield _rate(name, "all", [tracks[name] for *_, tracks in streams], lengths)
        yield Metric(TABLE, name, "frames with a false face", 100 * occupied[name] / sum(lengths), "%")


def _rate(name: str, kind: str, tracks: Sequence[int], lengths: Sequence[int]) -> Metric:
    """Return tracks per 1,000 frames, with the standard error of a ratio over streams."""
    counts, frames = np.array(tracks, float), np.array(lengths, float)
    rate, streams = counts.sum() / frames.sum(), len(frames)
    error = np.linalg.norm(counts - rate * frames) * math.sqrt(streams / max(streams - 1, 1)) / frames.sum()
    return Metric(TABLE, name, kind, 1000 * float(rate), "", 1000 * float(error))
