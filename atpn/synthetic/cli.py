"""`python -m atpn render`: labeled images of rendered faces, in shards."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from atpn.data.contact_sheet import image_grid
from atpn.data.drawing import write_image
from atpn.data.sample import Sample
from atpn.data.shards import DENSE_FILE, claim_folder, read_shard, write_shard
from atpn.synthetic.assets import assets_fingerprint
from atpn.synthetic.crowd import render_samples
from atpn.synthetic.definitions import write_definitions
from atpn.synthetic.drawing.renderer import FaceRenderer, RenderOptions, Split
from edge_runtime.files import write_atomically
from edge_runtime.output_paths import OutputFile, OutputFolder

BYTES_PER_IMAGE = 25_000
"""Size of a JPEG of 192 to 256 px with its labels, rounded up."""


@dataclass(frozen=True)
class RenderConfig:
    """Render faces with exact labels into WebDataset shards; the same command resumes after a stop."""

    out: OutputFolder
    """Folder for `faces-NNNNNN.tar`."""
    assets: Path | None = None
    """Folder with ict_facekit/, makehuman/ and hdri/ (see docs/assets.md), or a pack of it; fallback: procedural
    head."""
    count: int = 12_000
    """Number of images."""
    seed: int = 0
    """Seed of the people: use one for training, another for held-out images."""
    split: Split = "all"
    """Skins and panoramas to use: `train` excludes some that only `held-out` uses."""
    repertoire: float = RenderOptions.repertoire
    """Probability that a portrait shows single expression shapes and any mixture of them, to train expressions with;
    the others' faces are those of photographs."""
    shard_size: int = 600
    """Images per shard; a stop loses at most one unfinished shard per worker. Use a multiple of 3 (images per
    person)."""
    workers: int = 1
    """Processes; with software OpenGL each uses one core."""
    cache: Path = Path("renders/cache")
    """Folder for MakeHuman's assets fitted to the head, so that later runs start at once."""
    preview: OutputFile | None = None
    """Image file for the first 48 images with their labels; no shards are written."""
    definitions: OutputFile | None = None
    """JPEG file for a drawing of the landmarks on a face; no shards are written."""


def run(config: RenderConfig) -> None:
    """Render every missing shard, and print the number of images and the folder.

    Under torchrun, a process renders the shards whose index modulo WORLD_SIZE is its RANK. Shards do not depend on who
    renders them.
    """
    if config.count < 1 or config.shard_size < 1:
        raise ValueError(f"--count and --shard-size must be at least 1, got {config.count} and {config.shard_size}")
    if not 0 <= config.repertoire <= 1:
        raise ValueError(f"--repertoire must lie between 0 and 1, got {config.repertoire}")
    if config.definitions:
        write_definitions(config.definitions, config.assets, config.cache)
        return
    if config.preview:
        tiles = [_draw_landmarks(sample, 192) for sample in render_samples(_renderer(config), range(48))]
        write_image(config.preview, image_grid(tiles, 8))
        return
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    config.out.mkdir(parents=True, exist_ok=True)
    claim_folder(config.out / "render.json", _setup(config))
    shards = range(rank, math.ceil(config.count / config.shard_size), world)
    missing = [i for i in shards if not _is_complete(_shard_path(config, i), len(_numbers(config, i)))]
    free = shutil.disk_usage(config.out).free
    needed = sum(len(_numbers(config, i)) for i in missing) * BYTES_PER_IMAGE
    if free < needed:
        raise OSError(
            f"{config.out} has {free >> 20} MiB free, but the images need {needed >> 20} MiB; choose another --out"
        )
    if config.workers <= 1:
        renderer = _renderer(config) if missing else None
        for index in missing:
            assert renderer is not None
            _write(renderer, config, index, progress=True)
    else:
        jobs = [(config, index) for index in missing]
        with ProcessPoolExecutor(config.workers, multiprocessing.get_context("spawn")) as pool:
            for _ in tqdm(pool.map(_write_in_worker, jobs), total=len(jobs), unit="shard"):
                pass
    made, requested = (sum(len(_numbers(config, i)) for i in indices) for indices in (missing, shards))
    print(f"{requested} images in {config.out}, {made} of them rendered now")


def _draw_landmarks(sample: Sample, tile: int) -> np.ndarray:
    """Return a (tile, tile, 3) image with its landmarks: visible ones green, hidden ones red."""
    height, width = sample.image.shape[:2]
    image = cv2.resize(np.ascontiguousarray(sample.image[:, :, ::-1]), (tile, tile), interpolation=cv2.INTER_AREA)
    if sample.landmarks is None:
        return image
    scale = np.array([tile / width, tile / height])
    visible = sample.visibility if sample.visibility is not None else np.ones(len(sample.landmarks), bool)
    for point, seen in zip((sample.landmarks + 0.5) * scale - 0.5, visible, strict=True):
        cv2.circle(image, point.round().astype(int).tolist(), 1, (0, 255, 0) if seen else (0, 0, 255), -1)
    return image


def _shard_path(config: RenderConfig, index: int) -> Path:
    return config.out / f"faces-{index:06d}.tar"


def _renderer(config: RenderConfig) -> FaceRenderer:
    return FaceRenderer(config.assets, config.cache, _options(config), config.seed)


def _options(config: RenderConfig) -> RenderOptions:
    return RenderOptions(split=config.split, repertoire=config.repertoire)


def _numbers(config: RenderConfig, index: int) -> range:
    """Return the running numbers of a shard's images."""
    start = index * config.shard_size
    return range(start, min(start + config.shard_size, config.count))


def _is_complete(path: Path, count: int) -> bool:
    """Return whether a shard holds all its images; an earlier, shorter render leaves a short last one."""
    if not path.is_file():
        return False
    try:
        return sum(1 for _ in read_shard(path)) == count
    except ValueError:
        return False


def _setup(config: RenderConfig) -> dict[str, object]:
    """Return what decides the content of a folder's shards."""
    return {
        "seed": config.seed,
        "shard_size": config.shard_size,
        "assets": None if config.assets is None else assets_fingerprint(config.assets),
        "options": asdict(_options(config)),
    }


def _write(renderer: FaceRenderer, config: RenderConfig, index: int, progress: bool) -> None:
    numbers = _numbers(config, index)
    plane = {renderer.head.name: renderer.dense.plane.astype(float).round(5).tolist()}
    write_atomically(config.out / DENSE_FILE, (json.dumps(plane) + "\n").encode())
    samples = tqdm(
        render_samples(renderer, numbers), f"shard {index}", len(numbers), disable=not progress, unit="image"
    )
    write_shard(_shard_path(config, index), samples)


_worker_renderer: FaceRenderer | None = None


def _write_in_worker(job: tuple[RenderConfig, int]) -> None:
    global _worker_renderer  # a graphics context cannot be passed between processes, and is worth keeping
    config, index = job
    if _worker_renderer is None:
        _worker_renderer = _renderer(config)
    _write(_worker_renderer, config, index, progress=False)
