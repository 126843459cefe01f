"""`python -m atpn ablate`: what each ingredient of the landmark recipe is worth, in equally long short runs.

Every row is the default recipe with one thing changed, trained on the same crops of the same faces from the same
first weights, and measured alike. What AFW says stands in the table to be read; no row is chosen by it.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import torch

from atpn.data.afw import Photo, read_afw
from atpn.data.augment import NO_AUGMENT
from atpn.data.store import SampleStore
from atpn.model import ATPN
from atpn.train.afw import evaluate_afw
from atpn.train.backend import CheckpointBackend
from atpn.train.config import RECIPES, Recipe
from atpn.train.evaluate import library_versions
from atpn.train.landmarks import LandmarkTask, new_model
from atpn.train.loop import Budget, RunOptions, Trainer
from atpn.train.rendered import evaluate_rendered
from atpn.train.state import plain
from edge_runtime.files import write_atomically

log = logging.getLogger(__name__)

EPOCHS = 12
"""A step schedule counts epochs; a short run is cut into as many as the thesis recipe has, to decay as often."""

Change = Callable[[Recipe], Recipe]


def _thesis(recipe: Recipe) -> Recipe:
    """The published recipe, seen as many crops of each size as the others."""
    return replace(RECIPES["thesis", "landmarks"], coarse_share=recipe.coarse_share, coarse_size=recipe.coarse_size)


def _with(**fields: Any) -> Change:
    return lambda recipe: replace(recipe, **fields)


def _with_jitter(**fields: Any) -> Change:
    return lambda recipe: replace(recipe, jitter=replace(recipe.jitter, **fields))


def _with_augment(**fields: Any) -> Change:
    return lambda recipe: replace(recipe, augment=replace(recipe.augment, **fields))


ROWS: Mapping[str, tuple[str, Change]] = MappingProxyType(
    {
        "default": ("the default recipe", lambda recipe: recipe),
        "thesis": ("the thesis' recipe", _thesis),
        "thesis-loss": ("point distance over eye distance instead of the wing loss", _with(landmark_loss="thesis")),
        "no-gap": ("no gap loss", _with(gap_weight=0.0)),
        "half-gap": ("gap loss at half its weight", lambda r: replace(r, gap_weight=r.gap_weight / 2)),
        "no-range": ("activations without a limit", _with(range_weight=0.0)),
        "no-uncertainty": ("no uncertainty head trained", _with(uncertainty_weight=0.0)),
        "full-uncertainty": ("uncertainty's likelihood at full weight", _with(uncertainty_weight=1.0)),
        "no-average": ("last weights instead of averaged ones", _with(ema_decay=0.0)),
        "step": ("step schedule instead of cosine", _with(schedule="step")),
        "adam": ("Adam and L2 at 1e-3", _with(optimizer="adam", lr=1e-3, weight_decay=1e-5)),
        "batch-32": ("batches of 32, rate halved", lambda r: replace(r, batch_size=32, lr=r.lr / 2)),
        "batch-256": ("batches of 256", _with(batch_size=256)),
        "full-size": ("112 px from the first crop on", _with(coarse_share=0.0)),
        "no-augment": ("no photometric augmentation", _with(augment=NO_AUGMENT)),
        "no-cover": ("no rectangles over faces", _with_augment(cover=0.0)),
        "mixed": ("faces blended with backgrounds, as the thesis does", _with(background_mix=0.2)),
        "unrolled": ("crops along the image's axes only, the thesis' rule", _with_jitter(unrolled_share=1.0)),
        "steady": ("crops without errors of place and size", _with_jitter(centre_sigma=0.0, scale_sigma=0.0)),
        "no-flip": ("no mirrored crops", _with_jitter(flip_share=0.0)),
    }
)
"""Row names: what they are, and how they change the default recipe."""


@dataclass(frozen=True)
class AblateConfig:
    """Train and measure one row after another. The same command again continues where it stopped."""

    data: Path
    """Folder of training shards."""
    held_out: Path
    """Folder of shards that training does not see."""
    out: Path
    """Folder of the runs, `ablation.json` and `ablation.md`."""
    afw: Path | None = None
    """Folder with AFW's labels.json and images, to report on."""
    rows: tuple[str, ...] = tuple(ROWS)
    """Which rows, in this order."""
    samples: int = 120_000
    """Crops per row: long enough for the recipes to part, a quarter of an hour on one CPU core."""
    coarse_share: float = 0.55
    """Of the crops are seen at 64 px first, in every row but `full-size`."""
    limit: int = 1000
    """Held-out renders to measure, at most."""
    width: float = 1.0
    """Channel multiplier of the networks."""
    seed: int = 0
    threads: int = 1
    workers: int = 1
    device: str = "auto"
    """`auto` takes a GPU when there is one."""
    bfloat16: bool = True
    niceness: int = 10
    """Added to the process' own: other work goes first."""

    def __post_init__(self) -> None:
        if unknown := [name for name in self.rows if name not in ROWS]:
            raise ValueError(f"unknown rows {', '.join(unknown)}; known: {', '.join(ROWS)}")
        if not self.rows:
            raise ValueError(f"no rows to train; known: {', '.join(ROWS)}")
        if self.samples < 1 or self.niceness < 0:
            raise ValueError(
                f"--samples must be positive and --niceness not negative, got {self.samples} and {self.niceness}"
            )
        if not 0 <= self.coarse_share <= 1:
            raise ValueError(f"--coarse-share must lie between 0 and 1, got {self.coarse_share}")


def run(config: AblateConfig) -> dict[str, Any]:
    """The report; rows already in `out` with the same options are not trained again.

    ValueError when `out` holds rows of other options. Interrupted (a KeyboardInterrupt) as in training.
    """
    os.nice(config.niceness)
    torch.set_num_threads(config.threads)
    cv2.setNumThreads(config.threads)
    path = config.out / "ablation.json"
    store, held_out = SampleStore.read(config.data), SampleStore.read(config.held_out)
    photos = list(read_afw(config.afw)) if config.afw is not None else []
    setup = plain(
        {
            "samples": config.samples,
            "seed": config.seed,
            "width": config.width,
            "data": {"path": config.data.name, "faces": len(store.faces)},
            "held_out": {"path": config.held_out.name, "faces": len(held_out.faces[: config.limit])},
            "afw_faces": sum(len(photo.faces) for photo in photos),
        }
    )
    report = _resumed(path, setup)
    for name in config.rows:
        recipe = row_recipe(name, config.coarse_share)
        done = report["rows"].get(name)
        if done is not None and done["recipe"] == plain(asdict(recipe)):
            log.info("%s: already measured", name)
            continue
        log.info("%s: %s", name, ROWS[name][0])
        model, minutes = _train(name, recipe, store, config)
        report["rows"][name] = {
            "what": ROWS[name][0],
            "recipe": plain(asdict(recipe)),
            "minutes": minutes,
            **measure(model, held_out, photos, config.limit),
        }
        report["versions"] = library_versions()
        write_atomically(path, (json.dumps(report, indent=2) + "\n").encode())
        write_atomically(config.out / "ablation.md", markdown(report).encode())
    print(markdown(report))
    return report


def row_recipe(name: str, coarse_share: float) -> Recipe:
    """The recipe of a row of `ROWS`."""
    return ROWS[name][1](replace(RECIPES["atpn", "landmarks"], coarse_share=coarse_share))


def measure(model: ATPN, held_out: SampleStore, photos: list[Photo], limit: int) -> dict[str, Any]:
    """Landmark figures on held-out renders and AFW; the other branches are untrained here."""
    network = CheckpointBackend(model)
    rendered = evaluate_rendered(network, held_out, limit, heads=False)
    figures = {"rendered": rendered.get("landmarks_yaw_60", rendered["landmarks"])}
    if photos:
        figures["afw"] = evaluate_afw(network, photos, heads=False)["first"]
    return figures


def markdown(report: dict[str, Any]) -> str:
    """The report as a table: errors in percent, differences to the default recipe in brackets."""
    setup, rows = report["setup"], report["rows"]
    sets = [key for key in ("rendered", "afw") if any(key in row for row in rows.values())]
    titles = {"rendered": "renders, yaw ≤ 60°", "afw": "AFW, true box"}
    columns = ["recipe"]
    for key in sets:
        columns += [f"NME, {titles[key]}", "FR10", "mouth slope / corr", "eyes slope / corr"]
    lines = [
        f"Each row: {setup['samples']:,} crops, seed {setup['seed']}, {setup['data']['faces']:,} training faces, the "
        f"default recipe with one change; {setup['held_out']['faces']:,} held-out renders"
        + (f" and {setup['afw_faces']} faces of AFW, which chose nothing here." if "afw" in sets else "."),
        "",
        "| " + " | ".join(columns) + " |",
        "| " + " | ".join(["---"] + ["---:"] * (len(columns) - 1)) + " |",
    ]
    for row in rows.values():
        cells = [row["what"]]
        for key in sets:
            cells += _cells(row.get(key), rows.get("default", {}).get(key))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cells(figures: dict[str, Any] | None, default: dict[str, Any] | None) -> list[str]:
    if figures is None:
        return ["-"] * 4
    nme = f"{100 * figures['nme']:.2f}"
    if default is not None and default is not figures:
        nme += f" ({100 * (figures['nme'] - default['nme']):+.2f})"
    gaps = [figures[f"{part}_opening"] for part in ("mouth", "eyes")]
    return [
        nme,
        f"{100 * figures['failure_rate_10']:.1f}",
        *(f"{gap['slope']:.2f} / {gap['correlation']:.2f}" for gap in gaps),
    ]


def _resumed(path: Path, setup: dict[str, Any]) -> dict[str, Any]:
    if not path.exists():
        return {"setup": setup, "rows": {}}
    try:
        report = json.loads(path.read_text())
        before = report["setup"]
    except (json.JSONDecodeError, KeyError) as error:
        raise ValueError(f"{path} is no ablation report ({error}); delete it or give another --out") from error
    if before != setup:
        changed = [
            f"{key}: {before.get(key)} before, {setup[key]} now" for key in setup if before.get(key) != setup[key]
        ]
        raise ValueError(
            f"{path} holds rows of other options ({'; '.join(changed)}), which would not compare; give another --out"
        )
    return report


def _train(name: str, recipe: Recipe, store: SampleStore, config: AblateConfig) -> tuple[ATPN, float]:
    """The row's averaged network, on the CPU, and its minutes of training."""
    faces, _ = store.split()
    model = new_model(store, faces, config.width, recipe.input_size, config.seed)
    task = LandmarkTask(store, recipe, config.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    setup = {"recipe": plain(asdict(recipe)), "width": config.width, "seed": config.seed, "samples": config.samples}
    options = RunOptions(
        out=config.out / name,
        budget=Budget(samples=config.samples),
        setup=setup,
        provenance={"ablation": name, "seed": config.seed},
        device=device if config.device == "auto" else config.device,
        bfloat16=config.bfloat16,
        workers=config.workers,
        epoch_samples=max(1, config.samples // EPOCHS),
    )
    trainer = Trainer(task, model, recipe, options)
    return trainer.run().cpu(), round(trainer.progress.seconds / 60, 2)
