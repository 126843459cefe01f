"""The rows of `--table branches`: tracking and pose branches on frozen landmarks (thesis, tables 3.8, 3.9, figure 3.9).

All rows start from the same trained landmarks, with new branches of the same seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from atpn.data.contact_sheet import write_contact_sheet
from atpn.data.sample import Sample
from atpn.data.scenes import background_roi
from atpn.data.store import SampleStore
from atpn.evaluate.backend import CheckpointBackend, CropPredictor, scheme_of
from atpn.evaluate.crops import validation_batch
from atpn.evaluate.rendered import evaluate_rendered
from atpn.model import ATPN
from atpn.train.config import Recipe, Stage
from atpn.train.pose import PoseTask
from atpn.train.tracking import TrackingTask
from edge_runtime.geometry import angles_to_matrix, extract_crop

STAGES: Mapping[Stage, type[TrackingTask] | type[PoseTask]] = MappingProxyType(
    {"tracking": TrackingTask, "pose": PoseTask}
)
"""Stages of a row, in turn."""
ANGLES = ("pitch", "yaw", "roll")
RIDGE = 1e-3
"""Weight of the pose readout's ridge, times the mean square of a coordinate: the 196 coordinates of 98 landmarks are
nearly dependent."""
CROPS_PER_BACKGROUND = 4
SHEET_CROPS = 20


def with_untrained_branches(trained: ATPN, recipe: Recipe, seed: int) -> ATPN:
    """Return a network with the trained landmarks, and untrained tracking and pose branches as the recipe has them."""
    config = replace(trained.with_head(None).config, expressions=(), **dict.fromkeys(recipe.without, False))
    torch.manual_seed(seed)
    model = ATPN(config, trained.mean_shape)
    for part in ("backbone", "landmark_branch"):
        getattr(model, part).load_state_dict(getattr(trained, part).state_dict())
    return model


def measure_branches(model: ATPN, held_out: SampleStore, limit: int, sheet: Path) -> dict[str, Any]:
    """Evaluate pose and tracking on held-out renders, and how far pose follows the landmarks where there is no face.

    `sheet` is the image file for landmarks and poses found there (figure 3.9).
    """
    network = CheckpointBackend(model)
    rendered = evaluate_rendered(network, held_out, limit)
    if "pose" not in rendered:
        raise ValueError("the held-out renders have no face of a known pose: give others by --held-out")
    pose = {key: value for key, value in rendered["pose"]["all"].items() if key != "ced"}
    tracking = {key: value for key, value in rendered["tracking"].items() if key != "precision_recall"}
    measured = {"pose": pose, "tracking": tracking}
    if len(held_out.backgrounds):
        measured["background"] = pose_agreement(network, held_out, limit)
        write_background_sheet(sheet, network, held_out)
    return measured


def pose_agreement(network: CropPredictor, store: SampleStore, limit: int, seed: int = 0) -> dict[str, float]:
    """Return how the pose of crops without a face agrees with what the landmarks found there would mean on a face.

    A linear readout of pose from landmarks is fitted to the network's own results on up to `limit` faces. Over crops of
    the store's backgrounds: the correlation of both poses per angle, and their mean absolute difference in degrees.
    """
    size, mean_shape = network.spec.input_size, network.spec.mean_shape
    faces = network.predict(validation_batch(store, store.faces[:limit], mean_shape, size)["image"].numpy())
    crops = background_crops(store, size, limit, seed)
    found = network.predict(crops)
    implied = PoseReadout(faces.landmarks, faces.pose).predict(found.landmarks)
    agreement = {name: float(np.corrcoef(implied[:, i], found.pose[:, i])[0, 1]) for i, name in enumerate(ANGLES)}
    return {"crops": len(crops), **agreement, "difference": float(np.degrees(np.abs(implied - found.pose)).mean())}


def background_crops(store: SampleStore, size: int, limit: int, seed: int = 0) -> np.ndarray:
    """Return (n, S, S, 3) crops of up to `limit` images without a face."""
    rng = np.random.default_rng(seed)
    images = [store.image(int(index)) for index in store.backgrounds[:limit]]
    return np.stack(
        [extract_crop(i, background_roi(i, rng), size) for i in images for _ in range(CROPS_PER_BACKGROUND)]
    )


def write_background_sheet(path: Path, network: CropPredictor, store: SampleStore) -> None:
    """Draw landmarks and head axes as the network sees them in some crops without a face."""
    size = network.spec.input_size
    crops = background_crops(store, size, SHEET_CROPS)[::CROPS_PER_BACKGROUND]
    found = network.predict(crops)
    samples = [
        Sample(crop, landmarks * size - 0.5, scheme_of(network), rotation=rotation)
        for crop, landmarks, rotation in zip(crops, found.landmarks, angles_to_matrix(found.pose), strict=True)
    ]
    write_contact_sheet(path, samples)


class PoseReadout:
    """Ridge regression from (n, N, 2) landmarks to (n, 3) angles."""

    def __init__(self, landmarks: np.ndarray, pose: np.ndarray) -> None:
        shapes = landmarks.reshape(len(landmarks), -1).astype(np.float64)
        self._mean, self._pose = shapes.mean(axis=0), pose.mean(axis=0)
        centered = shapes - self._mean
        gram = centered.T @ centered
        ridge = RIDGE * np.trace(gram) / len(gram)
        self._weights = np.linalg.solve(gram + ridge * np.eye(len(gram)), centered.T @ (pose - self._pose))

    def predict(self, landmarks: np.ndarray) -> np.ndarray:
        """Return the (n, 3) angles of (n, N, 2) landmarks."""
        return (landmarks.reshape(len(landmarks), -1) - self._mean) @ self._weights + self._pose


def branches_table(report: dict[str, Any]) -> str:
    """Format the report: degrees, rates in percent, and correlations on backgrounds."""
    setup = report["setup"]
    columns = ["yaw", "pitch", "roll", "MAE", "FR10°", "tracking AP", "backgrounds: yaw / pitch / roll corr"]
    lines = [
        f"Each row: {setup['samples']:,} crops per stage on the frozen landmarks of {setup['start']}, seed "
        f"{setup['seed']}, {setup['data']['faces']:,} training faces; {setup['held_out']['faces']:,} held-out renders.",
        "",
        "| branches | " + " | ".join(columns) + " |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for row in report["rows"].values():
        pose, background = row["pose"], row.get("background")
        cells = [f"{pose[key]:.2f}°" for key in ("yaw", "pitch", "roll", "mae")]
        cells += [f"{100 * pose['failure_rate_10']:.2f} %", f"{100 * row['tracking']['average_precision']:.2f} %"]
        cells.append(
            "-" if background is None else " / ".join(f"{background[a]:.2f}" for a in ("yaw", "pitch", "roll"))
        )
        lines.append(f"| {row['what']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
