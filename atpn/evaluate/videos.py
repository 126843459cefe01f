"""`python -m atpn videos`: head pose on real videos against the angles that the landmarks imply.

Real videos have no pose labels. Landmarks and pose come from separate branches, so where the angles of a mean head
fitted to the landmarks disagree with the pose in sign or size, one is wrong.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import torch
import tyro

from atpn.data.store import SampleStore
from atpn.evaluate.backend import CheckpointBackend
from atpn.evaluate.detectors import make_detector
from atpn.evaluate.head_shape import landmark_angle_error, mean_head_shape, pose_from_landmarks
from atpn.evaluate.metrics import gap_agreement
from atpn.evaluate.plots import Chart, Line, write_charts
from atpn.model import load_checkpoint
from atpn.model.checkpoint import weights_sha256
from edge_runtime.files import write_atomically
from edge_runtime.geometry import Intrinsics
from edge_runtime.options import TrackerOptions
from edge_runtime.output_paths import OutputFile, OutputFolder
from edge_runtime.sources import open_source
from edge_runtime.tracker import FaceTracker

log = logging.getLogger(__name__)

ANGLES = ("pitch", "yaw", "roll")
CLEAR_ANGLE = 10.0
"""Minimum angle (degrees, by the landmarks) for comparing signs: four times the angles' own error on renders."""


@dataclass(frozen=True)
class VideosConfig:
    """Compare head pose with the landmarks' angles on videos."""

    videos: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Video files, or folders of them."""
    weights: Path
    """Checkpoint (.safetensors, with its .json beside it)."""
    data: Path
    """Folder of held-out rendered shards, from whose labels the mean head is recovered."""
    detector: str = "cascade"
    """Detector of the first ROI: `cascade` or the path of a YuNet .onnx file."""
    out: OutputFile | None = None
    """JSON report to write."""
    plots: OutputFolder | None = None
    """Folder for `pose.png`: yaw over time, by both."""
    frames: int | None = None
    """Maximum number of frames of each video."""
    threads: int = 1
    """Compute threads."""

    def __post_init__(self) -> None:
        if self.detector == "none":
            raise ValueError("a video needs a detector for its first face: give ours, cascade, or yunet:FILE")
        if self.frames is not None and self.frames < 1:
            raise ValueError(f"--frames must be at least 1, got {self.frames}")


def run(config: VideosConfig) -> dict[str, Any]:
    """Evaluate the videos; return the report, print it and (with `out`) write it. OSError for unreadable files."""
    torch.set_num_threads(config.threads)
    cv2.setNumThreads(config.threads)
    paths = [p for path in config.videos for p in (sorted(path.iterdir()) if path.is_dir() else [path])]
    if not paths:
        raise ValueError(f"no videos in {', '.join(map(str, config.videos))}")
    model, _ = load_checkpoint(config.weights)
    store = SampleStore.read(config.data)
    shape = mean_head_shape(store)
    angle_error = landmark_angle_error(store, shape)
    print("angles from labeled landmarks of renders, MAE: " + _listed(angle_error))
    report: dict[str, Any] = {
        "weights": config.weights.name,
        "weights_sha256": weights_sha256(config.weights),
        "landmark_angles_mae_on_renders": angle_error,
        "videos": {},
    }
    charts, results = [], []
    for path in paths:
        tracker = FaceTracker(
            TrackerOptions(detector=make_detector(config.detector), smoothing=0.0, model=CheckpointBackend(model))
        )
        total, by_head, by_landmarks, times = follow(path, tracker, shape, config.frames)
        metrics = {"frames": total, "held": len(times), **compare(by_head, by_landmarks)}
        report["videos"][path.name] = metrics
        print(_table(path.name, metrics))
        charts.append(_chart(path.name, times, by_head, by_landmarks))
        results.append((total, by_head, by_landmarks))
    totals, *angles = zip(*results, strict=True)
    by_head, by_landmarks = map(np.concatenate, angles)
    report["all"] = {"frames": sum(totals), "held": len(by_head), **compare(by_head, by_landmarks)}
    print(_table("all videos", report["all"]))
    if config.out is not None:
        write_atomically(config.out, (json.dumps(report, indent=2) + "\n").encode())
    if config.plots is not None:
        write_charts(config.plots / "pose.png", charts)
    return report


def follow(
    path: Path, tracker: FaceTracker, shape: np.ndarray, frames: int | None = None
) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """Track a video's first face.

    Returns the number of frames read and, for the n frames with a face, (n, 3) degrees by the pose head, (n, 3) by the
    landmarks (pitch, yaw, roll; camera frame) and (n,) seconds.
    """
    total, by_head, by_landmarks, times = 0, [], [], []
    with open_source(str(path)) as source:
        for frame in source:
            if total == frames:
                break
            total += 1
            height, width = frame.image.shape[:2]
            for face in tracker.update(frame.image, frame.timestamp)[:1]:
                # The camera that the tracker assumes, so that both angles mean the same.
                solved = pose_from_landmarks(face.landmarks, shape, Intrinsics.from_fov(width, height))
                by_head.append(np.degrees(face.pose.angles))
                by_landmarks.append(np.degrees(solved))
                times.append(frame.timestamp)
    return total, np.reshape(by_head, (-1, 3)), np.reshape(by_landmarks, (-1, 3)), np.array(times)


def compare(by_head: np.ndarray, by_landmarks: np.ndarray) -> dict[str, dict[str, float]]:
    """Compare (n, 3) degrees by the pose head with those by the landmarks, per angle.

    Slope (1: same size), correlation, mean difference, and how often signs agree where the landmarks' angle is clear
    (None if it never is).
    """
    report = {}
    for i, name in enumerate(ANGLES):
        known = np.isfinite(by_landmarks[:, i])
        head, points = by_head[known, i], by_landmarks[known, i]
        if len(points) == 0:
            continue
        clear = np.abs(points) > CLEAR_ANGLE
        report[name] = {
            "clear_frames": int(clear.sum()),
            "sign_agreement": float((np.sign(head) == np.sign(points))[clear].mean()) if clear.any() else None,
            **gap_agreement(head, points),
            "mean_difference": float((head - points).mean()),
            "spread_of_landmarks": float(points.std()),
        }
    return report


def _chart(name: str, times: np.ndarray, by_head: np.ndarray, by_landmarks: np.ndarray) -> Chart:
    both = np.concatenate([by_head[:, 1], by_landmarks[:, 1], [-10.0, 10.0]])
    low, high = np.nanmin(both), np.nanmax(both)
    lines = [
        Line(legend, times.tolist(), np.nan_to_num(angles[:, 1]).tolist())
        for legend, angles in (("pose head", by_head), ("from landmarks", by_landmarks))
    ]
    return Chart(f"yaw in {name}", "seconds", "degrees", lines, y_min=low - 0.2 * (high - low), y_max=high + 3)


def _table(name: str, metrics: dict[str, Any]) -> str:
    lines = [f"{name}: a face held in {metrics['held']} of {metrics['frames']} frames"]
    for angle in ANGLES:
        if angle in metrics:
            f = metrics[angle]
            agreement = f["sign_agreement"]
            clear = f["clear_frames"]
            sign = f"agrees in {100 * agreement:.1f} % of {clear} clear frames" if clear else "never clear"
            lines.append(
                f"  {angle:6} sign {sign}, slope {f['slope']:.2f}, corr {f['correlation']:.2f}, "
                f"head minus landmarks {f['mean_difference']:+.1f}°, spread {f['spread_of_landmarks']:.1f}°"
            )
    return "\n".join(lines)


def _listed(metrics: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.1f}°" for name, value in metrics.items())
