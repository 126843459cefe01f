"""`python -m atpn calibrate`: scale the predicted standard deviations to match the errors on rendered faces.

The training likelihood knows only errors on training faces. Two sets of renders are better: people held out from
training, or (`--unseen`) heads of a kind not in training, such as the procedural one. Real faces differ from the
training's renders as well, so the second is the better guide for the device. The bias of the log-sigma layer takes one
factor per part of the face; files and runtimes do not change.
"""

from __future__ import annotations

import copy
import logging
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from atpn.data.augment import AugmentConfig, augment
from atpn.data.crops import JitterConfig, random_crop
from atpn.data.store import SampleStore
from atpn.evaluate.inference import predict
from atpn.evaluate.metrics import landmark_parts
from atpn.evaluate.reliability import calibration
from atpn.model import ATPN, load_checkpoint, save_checkpoint
from atpn.model.checkpoint import weights_sha256
from edge_runtime.output_paths import OutputCheckpoint

log = logging.getLogger(__name__)

DRAWS = 4
"""Jittered and augmented crops per validation face."""


@dataclass(frozen=True)
class CalibrateConfig:
    """Calibrate a checkpoint's uncertainty. Repeating it changes next to nothing."""

    weights: Path
    """Checkpoint (.safetensors, with its .json beside it) of any stage."""
    data: Path
    """Folder of the training's shards, of which only the held-out people are used; with --unseen, of other shards."""
    unseen: bool = False
    """Use every face of --data: heads of a kind not in training (such as `python -m atpn render` without --assets)."""
    out: OutputCheckpoint | None = None
    """Calibrated checkpoint; default: replaces --weights."""
    seed: int = 0
    """Seed of all random choices."""
    threads: int = 1
    """Compute threads."""


def run(config: CalibrateConfig) -> None:
    """Calibrate and write a checkpoint; ValueError for weights without an uncertainty head or of another scheme."""
    torch.set_num_threads(config.threads)
    cv2.setNumThreads(config.threads)
    model, metadata = load_checkpoint(config.weights)
    store = SampleStore.read(config.data)
    faces = store.faces if config.unseen else store.split()[1]
    calibrated, record = calibrate(model, store, faces, seed=config.seed)
    record |= {"data": config.data.name, "unseen": config.unseen, "weights_sha256": weights_sha256(config.weights)}
    out = config.out or config.weights
    save_checkpoint(out, calibrated, {**metadata, "sigma_calibration": record})
    factors = "  ".join(f"{part} {factor:.3f}" for part, factor in record["factors"].items())
    print(f"{out}: sigma times  {factors}  (from {record['crops']} crops of {record['faces']} renders)")
    before, after = record["scale_before"], record["scale_after"]
    print(f"actual over predicted error, same crops: {before:.3f} before, {after:.3f} after")


def calibrate(model: ATPN, store: SampleStore, faces: np.ndarray, seed: int = 0) -> tuple[ATPN, dict[str, Any]]:
    """Return a copy of the network with calibrated sigmas, and a record of the calibration.

    `faces` are indices of people not seen in training; `DRAWS` crops of each are jittered and augmented as in training.
    ValueError without faces or without an uncertainty head.
    """
    if not model.config.uncertainty:
        raise ValueError("the network has no uncertainty head to calibrate")
    if model.config.scheme != store.scheme:
        raise ValueError(
            f"the weights predict {model.config.scheme.name}, but the data are labeled {store.scheme.name}"
        )
    if len(faces) == 0:
        raise ValueError("no held-out face to calibrate on: the data have a single person; render more people")
    jitter, augmentation = JitterConfig(), AugmentConfig()
    distance, sigma = _errors(model, store, np.tile(faces, DRAWS), jitter, augmentation, seed)
    calibrated, factors = copy.deepcopy(model), {}
    with torch.no_grad():
        for part, indices in landmark_parts(store.scheme).items():
            factors[part] = calibration(distance[:, indices], sigma[:, indices])["scale"]
            calibrated.landmark_branch.log_sigma.bias[indices] += math.log(factors[part])
            log.info("%s: sigma times %.3f", part, factors[part])
    scaled = sigma.copy()
    for part, indices in landmark_parts(store.scheme).items():
        scaled[:, indices] *= factors[part]
    return calibrated, {
        "factors": factors,
        "faces": len(faces),
        "crops": len(distance),
        "seed": seed,
        "scale_before": calibration(distance, sigma)["scale"],
        "scale_after": calibration(distance, scaled)["scale"],
        "jitter": asdict(jitter),
        "augment": asdict(augmentation),
    }


def _errors(
    model: ATPN,
    store: SampleStore,
    faces: np.ndarray,
    jitter: JitterConfig,
    augmentation: AugmentConfig,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, N) distances from the labels, and predicted sigmas, in crop widths."""
    rng, mean_shape, images, target = np.random.default_rng(seed), model.mean_shape.numpy(), [], []
    for index in faces:
        crop = random_crop(store[int(index)], mean_shape, model.config.input_size, jitter, rng)
        images.append(augment(crop.image, augmentation, rng))
        target.append(crop.landmarks)
    predicted = predict(model, np.stack(images))
    return np.linalg.norm(predicted.landmarks - np.stack(target), axis=-1), predicted.uncertainty
