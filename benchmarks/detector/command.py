"""`python -m benchmarks detector`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from tqdm import tqdm

from atpn.data.afw import read_afw
from benchmarks.backends import open_backend
from benchmarks.detector.figures import FALSE_ALARMS, LOOSE_IOU, Detections, curve_of, figures_of
from benchmarks.detector.finders import Finder, Scored, distinct, finders, judged
from benchmarks.detector.pictures import SCENE_SIZE, SMALLEST, Picture, photographs, scenes
from benchmarks.inputs import tracking_files
from benchmarks.renders import rendered_store
from benchmarks.results import Curve, Figure, Results
from edge_runtime.backends import Backend

SCENES, AFW = "scenes", "AFW"
T = TypeVar("T")


@dataclass(frozen=True)
class DetectorConfig:
    """Options of `detector`."""

    models: Path = field(default=Path("dist"), metadata={"help": "folder of .tflite and .onnx files, or one file"})
    judge: Path | None = field(default=None, metadata={"help": "tracking network; none: the first of --models"})
    peers: Path = field(default=Path("peers"), metadata={"help": "folder of other people's detectors"})
    afw: Path | None = field(default=None, metadata={"help": "folder of AFW's labels.json and images"})
    data: Path | None = field(default=None, metadata={"help": "folder of held-out renders; none: render some"})
    scenes: int = field(default=60, metadata={"help": "scenes to put together from renders, 0 for none"})
    render: int = field(default=60, metadata={"help": "pictures to render for them without --data"})
    assets: Path | None = field(default=None, metadata={"help": "3D assets to render from; none: a procedural head"})
    photographs: int = field(default=200, metadata={"help": "photographs of --afw to look at, at most"})
    out: Path = field(default=Path("dist/bench/detector.json"), metadata={"help": "where the results are written"})

    def __post_init__(self) -> None:
        if min(self.scenes, self.render) < 0 or self.photographs < 1:
            raise ValueError(
                "--scenes and --render must not be negative and --photographs positive, got "
                f"{self.scenes}, {self.render} and {self.photographs}"
            )
        if self.afw is None and self.scenes == 0:
            raise ValueError("nothing to look at: give --afw FOLDER or --scenes NUMBER")
        if self.data is None and self.scenes and not self.render:
            raise ValueError("scenes need renders: give --data FOLDER or --render NUMBER")


def detector(config: DetectorConfig) -> None:
    """Show every detector the same pictures, print the main table, write `Results`."""
    cv2.setNumThreads(1)
    found, notes = finders(config.models, config.peers)
    judge_file = config.judge or tracking_files(config.models)[0]
    judge = open_backend(judge_file)
    figures: list[Figure] = []
    curves: list[Curve] = []
    settings: dict[str, object] = {"judge": judge_file.name, "threads": 1}
    for where, origin, pictures in picture_sets(config):
        faces = sum(sum(picture.wanted) for picture in pictures)
        empty = sum(not picture.faces for picture in pictures)
        settings[where] = origin
        notes.append(
            f"{where}: {len(pictures)} pictures ({origin}), {empty} without a face, {faces} faces to be found."
        )
        detections = detect(found, judge, pictures)
        for made in detections:
            figures += figures_of(where, pictures, made, detections[0])
            curves.append(curve_of(where, pictures, made))
    results = Results("detector", figures, curves, notes=[*notes, *EXPLANATIONS], settings=settings)
    results.write(config.out)
    print(main_table(results))


EXPLANATIONS = (
    "Recall, precision, overlap and false alarms are at the threshold that a detector comes with, a face found at IoU "
    f"0.5 of the landmarks' region (IoU {LOOSE_IOU} is enough for the tracking network). YuNet's and the cascades' "
    "boxes are carried over to that region by average proportions. Recall at "
    f"{' and '.join(map(str, FALSE_ALARMS))} false alarms is per picture, at whatever threshold gives so many.",
    "Judged: what a detector gives at its threshold, as the tracking network takes it on, at the network's own.",
    "Sizes: the face's region over the frame's longer side. Our detector sees whole frames here; in the loop it looks "
    f"at parts of large ones, too. AFW's faces below {SMALLEST:.0f} px need not be found, and its labels leave some "
    "faces out, which count as false alarms for every detector alike.",
    "Time: processor time of one thread per picture, all detectors in turn on each.",
)


def picture_sets(config: DetectorConfig) -> list[tuple[str, str, list[Picture]]]:
    """Name, origin and pictures of what was asked for."""
    sets = []
    if config.scenes:
        store, origin = rendered_store(config.data, config.render, config.assets)
        sets.append((SCENES, f"{SCENE_SIZE} px, from {origin}", scenes(store, config.scenes)))
    if config.afw is not None:
        photos = list(read_afw(config.afw))
        chosen = np.linspace(0, len(photos) - 1, min(config.photographs, len(photos))).round().astype(int)
        sets.append((AFW, f"of {len(photos)} photographs", photographs([photos[i] for i in chosen])))
    return sets


def detect(found: Sequence[Finder], judge: Backend, pictures: Sequence[Picture]) -> list[Detections]:
    """Every detector alone and judged, interleaved picture by picture in a rotating order."""
    alone: dict[str, tuple[list[Scored], list[float]]] = {finder.name: ([], []) for finder in found}
    after: dict[str, tuple[list[Scored], list[float]]] = {finder.name: ([], []) for finder in found}
    for turn, picture in enumerate(tqdm(pictures, unit="picture")):
        image = cv2.cvtColor(picture.frame, cv2.COLOR_BGR2RGB)
        start = turn % len(found)
        for finder in (*found[start:], *found[:start]):
            spent, regions = _milliseconds(partial(finder.scored, picture.frame))
            alone[finder.name][0].append(regions)
            alone[finder.name][1].append(spent)
            verdicts = []
            for roi in (roi for score, roi in regions if score >= finder.threshold):
                took, verdict = _milliseconds(partial(judged, judge, image, roi))
                verdicts.append(verdict)
                spent += took
            after[finder.name][0].append(distinct(verdicts))
            after[finder.name][1].append(spent)
    made = [Detections(f.name, *alone[f.name], f.threshold) for f in found]
    return made + [Detections(f.name, *after[f.name], judge.spec.track_threshold, judged=True) for f in found]


def _milliseconds(call: Callable[[], T]) -> tuple[float, T]:
    began = time.thread_time()
    result = call()
    return (time.thread_time() - began) * 1e3, result


def main_table(results: Results) -> str:
    """One line per set and detector."""
    columns = ("recall", "precision", "AP", "mean IoU", "false alarms per picture", "time")
    lines = [f"{'':28} " + " ".join(f"{column:>12.12}" for column in columns)]
    rows = dict.fromkeys((f.table, f.row) for f in results.figures if not f.table.endswith("by size"))
    values = {(f.table, f.row, f.column): f.value for f in results.figures}
    table = ""
    for name, row in rows:
        if name != table:
            table = name
            lines.append(table)
        cells = (values[name, row, column] for column in columns)
        lines.append(f"  {row:26} " + " ".join(f"{cell:12.3g}" if cell is not None else f"{'':12}" for cell in cells))
    return "\n".join(lines)
