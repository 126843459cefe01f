"""`python -m atpn ablate`: what each ingredient of the landmark recipe is worth, in equally long short runs.

Every row is the default recipe with one thing changed, trained on the same crops of the same faces from the same
first weights, and measured alike. What AFW says stands in the table to be read; no row is chosen by it. `--table noise`
trains on labels that are wrong as people's are; what is measured on stays exact.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import torch

from atpn.ablation.linear_probe import LinearProbeTask, SeenCrops, see_crops
from atpn.ablation.rows import TABLES, TableName
from atpn.data.afw import Photo, read_afw
from atpn.data.field_names import with_new_field_names
from atpn.data.store import SampleStore
from atpn.evaluate.afw import evaluate_afw
from atpn.evaluate.backend import CheckpointBackend
from atpn.evaluate.command import library_versions
from atpn.evaluate.rendered import evaluate_rendered
from atpn.model import ATPN, load_checkpoint
from atpn.model.checkpoint import weights_sha256
from atpn.train.config import RECIPES, Bfloat16, Recipe
from atpn.train.landmarks import LandmarkTask, new_model, with_heads_of
from atpn.train.loop import Budget, RunOptions, Trainer
from atpn.train.state import plain
from edge_runtime.files import write_atomically

log = logging.getLogger(__name__)

EPOCHS = 12
"""A step schedule counts epochs; a short run is cut into as many as the thesis recipe has, to decay as often."""

PARTS = ("jaw", "brow", "nose", "eye", "mouth")
"""Whose errors have a column of their own."""


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
    table: TableName = "recipe"
    """`recipe`: what each ingredient is worth; `noise`: what is left of an accuracy when labels are wrong."""
    rows: tuple[str, ...] = ()
    """Which rows, in this order; none given: all of the table."""
    weights: Path | None = None
    """Checkpoint whose features every row begins with, its landmarks' readout made anew; None: new networks. For
    differences that a short run of a new network is too rough to show."""
    faces: int | None = None
    """Faces to train on, at most: the fewer, the less do their labels' errors average out."""
    views: int | None = None
    """With `weights`: train the landmarks' readout alone, on what the features see in so many crops of each face. A row
    then takes a minute. None: train everything."""
    batch_size: int | None = None
    """Instead of the recipe's; more steps of fewer crops for short runs."""
    lr: float | None = None
    """Peak learning rate instead of the recipe's; lower for trained features and for small batches."""
    input_size: int | None = None
    """Side of the crops in pixels, instead of the recipe's; smaller is faster."""
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
    bfloat16: Bfloat16 = "auto"
    niceness: int = 10
    """Added to the process' own: other work goes first."""

    def __post_init__(self) -> None:
        table = TABLES[self.table]
        if unknown := [name for name in self.rows if name not in table]:
            raise ValueError(f"unknown rows {', '.join(unknown)}; known: {', '.join(table)}")
        if self.views is not None and self.weights is None:
            raise ValueError("--views are crops as given features see them: give --weights, too")
        for name in ("faces", "views", "batch_size", "lr", "input_size"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"--{name.replace('_', '-')} must be positive, got {value}")
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
            **_start(config),
        }
    )
    report = _resumed(path, setup)
    table = TABLES[config.table]
    for name in config.rows or table:
        recipe = row_recipe(name, config)
        done = report["rows"].get(name)
        if done is not None and done["recipe"] == plain(asdict(recipe)):
            log.info("%s: already measured", name)
            continue
        log.info("%s: %s", name, table[name][0])
        model, minutes = _train(name, recipe, store, config)
        report["rows"][name] = {
            "what": table[name][0],
            "recipe": plain(asdict(recipe)),
            "minutes": minutes,
            **measure(model, held_out, photos, config.limit),
        }
        report["versions"] = library_versions()
        write_atomically(path, (json.dumps(report, indent=2) + "\n").encode())
        write_atomically(config.out / "ablation.md", markdown(report).encode())
    print(markdown(report))
    return report


def row_recipe(name: str, config: AblateConfig) -> Recipe:
    """The recipe of a row of the config's table."""
    given = {key: getattr(config, key) for key in ("batch_size", "lr", "input_size")}
    changes = {key: value for key, value in given.items() if value is not None}
    default = replace(RECIPES["atpn", "landmarks"], coarse_share=config.coarse_share, **changes)
    if config.views is not None:  # crops of one size, and activations that cannot change
        default = replace(default, coarse_share=0.0, range_weight=0.0)
    return TABLES[config.table][name][1](default)


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
        columns += [f"NME, {titles[key]}", f"of {' / '.join(PARTS)}", "FR10", "mouth slope / corr", "eyes slope / corr"]
    faces = setup.get("training_faces", setup["data"]["faces"])
    start = f", from the features of {setup['start']}" if "start" in setup else ""
    if "views" in setup:
        start += f" held fixed, seen in {setup['views']} crops of each face"
    lines = [
        f"Each row: {setup['samples']:,} crops{start}, seed {setup['seed']}, {faces:,} training faces, the "
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
        return ["-"] * 5
    nme = f"{100 * figures['nme']:.2f}"
    if default is not None and default is not figures:
        nme += f" ({100 * (figures['nme'] - default['nme']):+.2f})"
    gaps = [figures[f"{part}_opening"] for part in ("mouth", "eyes")]
    return [
        nme,
        " / ".join(f"{100 * figures['nme_by_part'][part]:.2f}" for part in PARTS),
        f"{100 * figures['failure_rate_10']:.1f}",
        *(f"{gap['slope']:.2f} / {gap['correlation']:.2f}" for gap in gaps),
    ]


def _resumed(path: Path, setup: dict[str, Any]) -> dict[str, Any]:
    if not path.exists():
        return {"setup": setup, "rows": {}}
    try:
        report = with_new_field_names(json.loads(path.read_text()))
        before = report["setup"]
    except (json.JSONDecodeError, KeyError) as error:
        raise ValueError(f"{path} is no ablation report ({error}); delete it or give another --out") from error
    if before != setup:
        changed = [
            f"{key}: {before.get(key)} before, {setup.get(key)} now"
            for key in before | setup
            if before.get(key) != setup.get(key)
        ]
        raise ValueError(
            f"{path} holds rows of other options ({'; '.join(changed)}), which would not compare; give another --out"
        )
    return report


def _start(config: AblateConfig) -> dict[str, Any]:
    """What of the setup is not in every report: a report from before these options goes on without them."""
    start: dict[str, Any] = {} if config.faces is None else {"training_faces": config.faces}
    if config.views is not None:
        start["views"] = config.views
    if config.weights is not None:
        start["start"] = f"{config.weights.name} {weights_sha256(config.weights)[:16]}"
    return start


def _initial(recipe: Recipe, store: SampleStore, config: AblateConfig) -> ATPN:
    """The network that each row begins with."""
    faces, _ = store.split()
    new = new_model(store, faces, config.width, recipe.input_size, config.seed, recipe.network == "thesis")
    if config.weights is None:
        return with_heads_of(new, recipe)
    model, _ = load_checkpoint(config.weights)
    if model.config.scheme != store.scheme.name:
        raise ValueError(f"{config.weights} predicts {model.config.scheme}, but the data are {store.scheme.name}")
    if model.config.width != new.config.width:
        raise ValueError(f"{config.weights} has width {model.config.width}; give --width {model.config.width}")
    # Over frozen vectors only first estimates can be learned.
    channels = new.config.refinement_channels if config.views is None else 0
    model = model.with_head(None).with_config(refinement_channels=0).with_config(refinement_channels=channels)
    model = model.resized(recipe.input_size)
    for head in ("residual", "log_sigma"):
        getattr(model.landmark_branch, head).load_state_dict(getattr(new.landmark_branch, head).state_dict())
    return with_heads_of(model, recipe)


def _seen(model: ATPN, recipe: Recipe, store: SampleStore, config: AblateConfig) -> SeenCrops:
    """The crops of all rows, made for the first one."""
    path = config.out / "seen_crops.npz"
    if not path.exists():
        faces, _ = store.split()
        crops = see_crops(model, store, faces[: config.faces], recipe, config.views or 1, config.seed, config.workers)
        crops.save(path)
    return SeenCrops.load(path)


def _train(name: str, recipe: Recipe, store: SampleStore, config: AblateConfig) -> tuple[ATPN, float]:
    """The row's averaged network, on the CPU, and its minutes of training."""
    model = _initial(recipe, store, config)
    if config.views is None:
        task = LandmarkTask(store, recipe, config.seed, faces=config.faces)
    else:
        task = LinearProbeTask(_seen(model, recipe, store, config), store, recipe, config.seed, config.faces)
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
