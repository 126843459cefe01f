"""`python -m benchmarks expressions`: flicker on rendered still faces; on videos, agreement with the landmarks."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.inputs import check_minimum, out_option, video_files
from benchmarks.results import Metric, Results, mean_metric
from benchmarks.tables import publish
from edge_runtime import EXPRESSIONS, Face, FaceTracker, Frame, TrackerOptions, draw_faces, open_source
from edge_runtime.backends import Backend, default_model_path, load_backend
from edge_runtime.files import write_atomically
from edge_runtime.flags import flag
from edge_runtime.gaze import gaze_angles, gaze_directions
from edge_runtime.landmarks import WFLW_98
from edge_runtime.output_paths import OutputFile
from edge_runtime.spec import ModelSpec

CHARTED = ("jawOpen", "eyeBlinkLeft", "eyeBlinkRight", "mouthSmileLeft", "mouthSmileRight", "browInnerUp")
"""Coefficients of the charts."""
CALIBRATION_SECONDS = 1.0
"""Time for which a still face is watched before what it reads is measured."""
STILLS = 6
"""Number of frames above a video's chart."""
OPEN = 0.4
"""Minimum opening of eyes whose irises are compared with the gaze."""
NOTES = (
    "Flicker: mean absolute change of a coefficient, or of an angle in degrees, from frame to frame, of a face that "
    "does not move in new noise.",
    "At rest: mean coefficient of these faces, and after one second of calibration.",
    "Videos have no labels. Correlations are over frames: of blinks with the lids' gap and of jawOpen with the lips' "
    "gap, by the landmarks; of the difference of both blinks with that of the gaps (negative: sides are swapped); of "
    "the gaze in the head's frame with the pupils' places between the eyes' corners.",
)
_EYES = {"left": ((68, 72), 97), "right": ((60, 64), 96)}
"""The subject's eyes: corners, those at the image's left first, and pupil, in `WFLW_98`."""


@dataclass(frozen=True)
class ExpressionsConfig:
    """Options of `expressions`."""

    model: Path | None = flag(None, "file with expressions (default: the shipped one)")
    assets: Path | None = flag(None, "folder of the 3D assets (docs/assets.md); default: procedural head")
    cache: Path = flag(Path("renders/cache"), "folder of the renderer's prepared files")
    people: int = flag(4, "number of rendered people; 0: none")
    frames: int = flag(120, "length of each still sequence, frames at 30 a second")
    seed: int = flag(2001, "seed of the rendered people")
    videos: Path | None = flag(None, "folder of videos, or one video")
    threads: int = flag(1, "threads of the inference engine")
    out: OutputFile = out_option("expressions")

    def __post_init__(self) -> None:
        check_minimum(self, people=0, frames=40, threads=1, seed=0)
        if self.people == 0 and self.videos is None:
            raise ValueError("nothing to track: give --people 1 or more, or --videos")


@dataclass(frozen=True)
class Series:
    """What a face read in T frames."""

    times: list[float]
    faces: list[Face]

    @property
    def expressions(self) -> np.ndarray:
        """(T, 52)."""
        return np.array([list((face.expressions or {}).values()) for face in self.faces])

    @property
    def gaze(self) -> np.ndarray:
        """(T, 2, 2) yaw and pitch of both eyes in the head's frame, degrees."""
        directions = [gaze_directions(np.asarray(face.gaze)) @ face.pose.matrix for face in self.faces]
        return np.asarray(np.degrees(gaze_angles(np.array(directions))))


def expressions(config: ExpressionsConfig) -> None:
    """Measure, write the results and a chart of each video beside them, and print them."""
    model = config.model or default_model_path()
    backend = load_backend(model, threads=config.threads)
    spec = ModelSpec.check_kind(backend.spec)
    if not spec.has_expressions or spec.scheme != WFLW_98.name:
        raise ValueError(f"{model} has no expressions with {WFLW_98.name} landmarks; export one with `--heads all`")
    clips = video_files(config.videos) if config.videos else []
    metrics = _still_metrics(config, backend) if config.people else []
    for clip in clips:
        with open_source(str(clip)) as source:
            raw, _, images = track(source, backend)
        if len(raw.faces) < 2:
            raise ValueError(f"{clip} shows no face in two frames, or none is found")
        metrics += _video_metrics(clip.name, raw)
        write_chart(config.out.with_name(f"{config.out.stem}_{clip.stem}.png"), raw, images)
        print(f"{clip.name}: done", file=sys.stderr)
    settings = {"model": model.name, "head": "assets" if config.assets else "procedural"}
    settings |= {key: getattr(config, key) for key in ("people", "frames", "seed", "threads")}
    settings |= {"videos": [clip.name for clip in clips]}
    publish(Results("expressions", metrics, notes=NOTES, settings=settings), config.out)


def track(
    frames: Iterable[Frame], backend: Backend, calibrate: float | None = None
) -> tuple[Series, Series, list[np.ndarray]]:
    """Track the first face of each frame: results unsmoothed and smoothed, and the frames with a face.

    `calibrate`: length of a calibration that the smoothed results begin with, seconds.
    """
    trackers = [FaceTracker(TrackerOptions(model=backend, smoothing=smoothing)) for smoothing in (0.0, 0.5)]
    if calibrate is not None:
        trackers[1].calibrate_neutral(calibrate)
    series, images = [Series([], []) for _ in trackers], []
    for frame in frames:
        found = [tracker.update(frame.image, frame.timestamp) for tracker in trackers]
        if all(found):
            images.append(frame.image)
            for each, faces in zip(series, found, strict=True):
                each.times.append(frame.timestamp)
                each.faces.append(faces[0])
    return series[0], series[1], images


def _still_metrics(config: ExpressionsConfig, backend: Backend) -> list[Metric]:
    # Rendering needs the training dependencies, which a device does not have.
    from benchmarks.stability.frames import FPS
    from benchmarks.stability.motion import open_renderer, still

    renderer = open_renderer(config.assets, config.cache, config.seed)
    pairs = []
    for person in range(config.people):
        labeled = enumerate(still(renderer, person, config.frames))
        frames = (Frame(each.image, number / FPS, number) for number, each in labeled)
        raw, smooth, _ = track(frames, backend, CALIBRATION_SECONDS)
        if len(raw.faces) < config.frames / 2:
            raise ValueError(f"rendered person {person} is not tracked; give another --seed, or a trained network")
        pairs.append((raw, smooth))
    after = round(CALIBRATION_SECONDS * FPS) + 1
    metrics = []
    for column, index in (("unsmoothed", 0), ("smoothed", 1)):
        changes = np.array([np.abs(np.diff(pair[index].expressions[after:], axis=0)).mean(axis=0) for pair in pairs])
        turns = [float(np.abs(np.diff(pair[index].gaze[after:], axis=0)).mean()) for pair in pairs]
        metrics.append(mean_metric("flicker of still faces", "all coefficients", column, changes.mean(axis=1), ""))
        metrics += [
            mean_metric("flicker of still faces", name, column, changes[:, i], "") for i, name in enumerate(EXPRESSIONS)
        ]
        metrics.append(mean_metric("flicker of still faces", "gaze", column, turns, "°"))
        rest = [float(pair[index].expressions[after:].mean()) for pair in pairs]
        metrics.append(mean_metric("at rest", "all coefficients", "calibrated" if index else "raw", rest, ""))
    return metrics


def _video_metrics(video: str, series: Series) -> list[Metric]:
    """Return the correlations of one video's unsmoothed results."""
    read = dict(zip(EXPRESSIONS, series.expressions.T, strict=True))
    gaps = {
        name: np.array([face.openings[name] for face in series.faces]) for name in ("left_eye", "right_eye", "mouth")
    }
    # The subject's left eye is at the image's right.
    pairs = {
        "left blink and lids": (read["eyeBlinkLeft"], 1.0 - gaps["right_eye"]),
        "right blink and lids": (read["eyeBlinkRight"], 1.0 - gaps["left_eye"]),
        "difference of blinks and lids": (
            read["eyeBlinkLeft"] - read["eyeBlinkRight"],
            gaps["left_eye"] - gaps["right_eye"],
        ),
        "jawOpen and lips": (read["jawOpen"], gaps["mouth"]),
    }
    seen = (gaps["left_eye"] > OPEN) & (gaps["right_eye"] > OPEN)
    landmarks = np.array([face.landmarks for face in series.faces])
    for i, (eye, (corners, pupil)) in enumerate(_EYES.items()):
        across, down = pupil_places(landmarks, corners, pupil)
        yaw, pitch = series.gaze[:, i].T
        pairs[f"{eye} gaze and pupil, across"] = yaw[seen], across[seen]
        pairs[f"{eye} gaze and pupil, up"] = pitch[seen], -down[seen]
    return [
        Metric(f"video {video}", name, "correlation", _correlation(*pair), "", lower_is_better=False)
        for name, pair in pairs.items()
    ]


def pupil_places(landmarks: np.ndarray, corners: tuple[int, int], pupil: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where the pupils of (T, N, 2) landmarks lie from the corners' middle, along and across, eye widths."""
    left, right = landmarks[:, corners[0]], landmarks[:, corners[1]]
    axis = right - left
    offset = (landmarks[:, pupil] - (left + right) / 2) / (axis**2).sum(axis=1, keepdims=True)
    return (offset * axis).sum(axis=1), axis[:, 0] * offset[:, 1] - axis[:, 1] * offset[:, 0]


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    varies = len(first) > 1 and first.std() > 0 and second.std() > 0
    return float(np.corrcoef(first, second)[0, 1]) if varies else float("nan")


def write_chart(path: Path, series: Series, images: Sequence[np.ndarray]) -> None:
    """Write a PNG: frames of a video with what was found in them, above the coefficients of `CHARTED` over time."""
    from matplotlib.figure import Figure  # only here: it takes a second

    figure = Figure(figsize=(16, 10), dpi=100, layout="constrained")
    grid = figure.add_gridspec(3, STILLS, height_ratios=(2, 2, 1.5))
    times = np.array(series.times) - series.times[0]
    picked = np.linspace(0, len(images) - 1, STILLS).round().astype(int)
    for column, index in enumerate(picked):
        axes = figure.add_subplot(grid[0, column])
        axes.imshow(_face_picture(images[index], series.faces[index]))
        axes.set(title=f"{times[index]:.1f} s", xticks=[], yticks=[])
    chart, angles = figure.add_subplot(grid[1, :]), figure.add_subplot(grid[2, :])
    for name in CHARTED:
        chart.plot(times, series.expressions[:, EXPRESSIONS.index(name)], label=name, linewidth=1)
    for i, eye in enumerate(("left", "right")):
        for j, angle in enumerate(("yaw", "pitch")):
            angles.plot(times, series.gaze[:, i, j], label=f"{eye} {angle}", linewidth=1)
    chart.set(ylabel="coefficient", ylim=(0, 1), xlim=(0, times[-1]))
    angles.set(xlabel="seconds", ylabel="gaze in the head, degrees", xlim=(0, times[-1]))
    for axes in (chart, angles):
        for index in picked:
            axes.axvline(times[index], color="0.8", zorder=0)
        axes.legend(fontsize="small", ncol=6, loc="upper right")
    content = io.BytesIO()
    figure.savefig(content, format="png")
    write_atomically(path, content.getvalue())


def _face_picture(image: np.ndarray, face: Face) -> np.ndarray:
    """Return the surroundings of a drawn face, RGB."""
    drawn = draw_faces(image, [face])
    height, width = drawn.shape[:2]
    left, top = (max(0, round(center - 0.7 * face.roi.size)) for center in (face.roi.cx, face.roi.cy))
    right, bottom = (round(center + 0.7 * face.roi.size) for center in (face.roi.cx, face.roi.cy))
    part = drawn[min(top, height - 1) : max(bottom, 1), min(left, width - 1) : max(right, 1)]
    return np.asarray(cv2.cvtColor(part, cv2.COLOR_BGR2RGB))
