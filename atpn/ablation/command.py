"""`python -m atpn ablate`: measure each ingredient of the landmark recipe in equally long short runs.

Every row is the default recipe with one change, trained on the same crops from the same initial weights, and evaluated
alike. AFW is reported, but no row is selected by it. `--table noise` trains on labels with errors like those of
annotators; evaluation labels stay exact.
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

from atpn.ablation.branches import STAGES, branches_table, measure_branches, with_untrained_branches
from atpn.ablation.linear_probe import EmbeddedCrops, LinearProbeTask, embed_crops
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
from atpn.train.config import RECIPES, MachineOptions, Recipe, Stage, require_positive
from atpn.train.landmarks import LandmarkTask, new_model, with_loss_heads
from atpn.train.loop import Budget, RunOptions, StageTask, Trainer
from atpn.train.machine import select_device
from atpn.train.state import differences, plain
from edge_runtime.files import write_atomically
from edge_runtime.output_paths import OutputFolder
from edge_runtime.reading import MAX_MODEL_BYTES, quote, read_text

log = logging.getLogger(__name__)

EPOCHS = 12
"""Epochs of a short run for the step schedule, as many as the thesis recipe has, to decay as often."""

PARTS = ("jaw", "brow", "nose", "eye", "mouth")
"""Face parts with an error column."""


@dataclass(frozen=True)
class AblateConfig(MachineOptions):
    """Train and evaluate one row after another. The same command again resumes."""

    data: Path
    """Folder of training shards."""
    held_out: Path
    """Folder of shards to evaluate on."""
    out: OutputFolder
    """Folder of the runs, `ablation.json`, and `ablation.md`."""
    afw: Path | None = None
    """Folder with AFW's labels.json and images, to report on."""
    table: TableName = "recipe"
    """`recipe`: each ingredient of the recipe; `noise`: methods for labels with errors; `heatmaps`: two of them beside
    their published forms; `landmark-branch`: the thesis' table 3.7; `branches`: its tables 3.8 and 3.9 and figure 3.9,
    which need --weights with trained landmarks."""
    rows: tuple[str, ...] = ()
    """Rows to train, in this order; default: all of the table."""
    weights: Path | None = None
    """Checkpoint whose features every row starts from, with new landmark layers; default: new networks. It shows
    differences that a short run of a new network cannot."""
    faces: int | None = None
    """Maximum number of faces to train on: with fewer, errors of their labels average out less."""
    views: int | None = None
    """With `weights`: train a linear probe on the frozen face embeddings of this many crops per face, a minute per row.
    Default: train everything."""
    batch_size: int | None = None
    """Crops per step; default: the recipe's. Smaller gives more steps in short runs."""
    lr: float | None = None
    """Peak learning rate; default: the recipe's. Lower it for trained features and for small batches."""
    input_size: int | None = None
    """Side of the crops in pixels; default: the recipe's. Smaller is faster."""
    samples: int = 120_000
    """Crops per row: enough to tell recipes apart, a quarter of an hour on one CPU core."""
    coarse_fraction: float = 0.55
    """Fraction of the crops trained on at 64 px first, in every row but `full-size`."""
    limit: int = 1000
    """Maximum number of held-out renders to evaluate."""
    width: float = 1.0
    """Channel multiplier of the networks."""
    seed: int = 0
    """Seed of all random choices."""
    niceness: int = 10
    """Added to the process's own, so that other work has priority."""

    def __post_init__(self) -> None:
        table = TABLES[self.table]
        if unknown := [name for name in self.rows if name not in table]:
            raise ValueError(f"unknown rows {', '.join(unknown)}; known: {', '.join(table)}")
        if self.views is not None and self.weights is None:
            raise ValueError("--views needs frozen features: give --weights, too")
        if self.table == "branches" and (self.weights is None or self.views is not None):
            raise ValueError("--table branches trains on frozen landmarks: give --weights, and no --views")
        if self.table == "heatmaps" and self.views is not None:
            raise ValueError("--table heatmaps trains the features that heatmaps are made of: leave --views out")
        require_positive(self, "faces", "views", "batch_size", "lr", "input_size", "samples")
        if self.niceness < 0:
            raise ValueError(f"--niceness must not be negative, got {self.niceness}")
        if not 0 <= self.coarse_fraction <= 1:
            raise ValueError(f"--coarse-fraction must lie between 0 and 1, got {self.coarse_fraction}")


def run(config: AblateConfig) -> dict[str, Any]:
    """Train and evaluate the rows that `out` does not have yet, and return the report.

    Interrupted as in training; ValueError if `out` has rows of other options.
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
        stored = _stored_recipe(name, config)
        done = report["rows"].get(name)
        if done is not None and with_new_field_names(done["recipe"]) == stored:
            log.info("%s: already measured", name)
            continue
        log.info("%s: %s", name, table[name][0])
        if config.table == "branches":
            model, minutes = _train_branches(name, store, config)
            measured = measure_branches(model, held_out, config.limit, config.out / name / "backgrounds.jpg")
        else:
            model, minutes = _train(name, row_recipe(name, config), store, config)
            measured = measure(model, held_out, photos, config.limit)
        report["rows"][name] = {"what": table[name][0], "recipe": stored, "minutes": minutes, **measured}
        report["versions"] = library_versions()
        write_atomically(path, (json.dumps(report, indent=2) + "\n").encode())
        write_atomically(config.out / "ablation.md", markdown(report).encode())
    print(markdown(report))
    return report


def row_recipe(name: str, config: AblateConfig, stage: Stage = "landmarks") -> Recipe:
    """Return the recipe of a row of the config's table."""
    given = {key: getattr(config, key) for key in ("batch_size", "lr", "input_size")}
    changes = {key: value for key, value in given.items() if value is not None}
    if stage == "landmarks":
        changes["coarse_fraction"] = config.coarse_fraction
    default = replace(RECIPES["atpn", stage], **changes)
    if config.views is not None:  # crops have one size, and activations are fixed
        default = replace(default, coarse_fraction=0.0, activation_penalty_weight=0.0)
    return TABLES[config.table][name][1](default)


def measure(model: ATPN, held_out: SampleStore, photos: list[Photo], limit: int) -> dict[str, Any]:
    """Evaluate landmarks on held-out renders and AFW; the other branches are untrained."""
    network = CheckpointBackend(model)
    rendered = evaluate_rendered(network, held_out, limit, heads=False)
    if "landmarks_yaw_60" not in rendered:
        raise ValueError("the held-out renders have no face of a known yaw up to 60°: give others by --held-out")
    metrics = {"rendered": rendered["landmarks_yaw_60"]}
    if photos:
        metrics["afw"] = evaluate_afw(network, photos, heads=False)["first"]
    return metrics


def markdown(report: dict[str, Any]) -> str:
    """Format the report as a table: errors in percent, differences to the default recipe in brackets."""
    if any("pose" in row for row in report["rows"].values()):
        return branches_table(report)
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


def _cells(metrics: dict[str, Any] | None, default: dict[str, Any] | None) -> list[str]:
    if metrics is None:
        return ["-"] * 5
    nme = f"{100 * metrics['nme']:.2f}"
    if default is not None and default is not metrics:
        nme += f" ({100 * (metrics['nme'] - default['nme']):+.2f})"
    gaps = [metrics[f"{part}_opening"] for part in ("mouth", "eyes")]
    return [
        nme,
        " / ".join(f"{100 * metrics['nme_by_part'][part]:.2f}" for part in PARTS),
        f"{100 * metrics['failure_rate_10']:.1f}",
        *(f"{gap['slope']:.2f} / {gap['correlation']:.2f}" for gap in gaps),
    ]


def _resumed(path: Path, setup: dict[str, Any]) -> dict[str, Any]:
    if not path.exists():
        return {"setup": setup, "rows": {}}
    try:
        report = with_new_field_names(json.loads(read_text(path, MAX_MODEL_BYTES)))
        before = report["setup"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path} is not an ablation report ({quote(error)}); delete it or give another --out"
        ) from error
    if before != setup:
        raise ValueError(f"{path} has rows of other options: {differences('', before, setup)}; give another --out")
    return report


def _stored_recipe(name: str, config: AblateConfig) -> dict[str, Any]:
    """Return a row's recipe as the report has it; of the branches, one per stage."""
    if config.table == "branches":
        return plain({stage: asdict(row_recipe(name, config, stage)) for stage in STAGES})
    return plain(asdict(row_recipe(name, config)))


def _start(config: AblateConfig) -> dict[str, Any]:
    """Return the optional entries of the setup; earlier reports lack them."""
    start: dict[str, Any] = {} if config.faces is None else {"training_faces": config.faces}
    if config.views is not None:
        start["views"] = config.views
    if config.weights is not None:
        start["start"] = f"{config.weights.name} {weights_sha256(config.weights)[:16]}"
    return start


def _initial(recipe: Recipe, store: SampleStore, config: AblateConfig) -> ATPN:
    """Return the initial network of every row."""
    faces, _ = store.split()
    like = recipe.network, recipe.without
    new = new_model(store, faces, config.width, recipe.input_size, config.seed, *like)
    if config.weights is None:
        return with_loss_heads(new, recipe)
    model, _ = load_checkpoint(config.weights)
    if model.config.scheme != store.scheme:
        raise ValueError(f"{config.weights} predicts {model.config.scheme.name}, but the data have {store.scheme.name}")
    if model.config.width != new.config.width:
        raise ValueError(f"{config.weights} has width {model.config.width}; give --width {model.config.width}")
    # A linear probe has first estimates only.
    channels = new.config.refinement_channels if config.views is None else 0
    off = dict.fromkeys(recipe.without, False)
    model = model.with_head(None).with_config(refinement_channels=0, **off).with_config(refinement_channels=channels)
    model = model.resized(recipe.input_size)
    for head in ("residual", "log_sigma"):
        getattr(model.landmark_branch, head).load_state_dict(getattr(new.landmark_branch, head).state_dict())
    return with_loss_heads(model, recipe)


def _embedded(model: ATPN, recipe: Recipe, store: SampleStore, config: AblateConfig) -> EmbeddedCrops:
    """Return the embedded crops of all rows, made for the first one."""
    path = config.out / "seen_crops.npz"
    if not path.exists():
        faces, _ = store.split()
        crops = embed_crops(model, store, faces[: config.faces], recipe, config.views or 1, config.seed, config.workers)
        crops.save(path)
    return EmbeddedCrops.load(path)


def _train(name: str, recipe: Recipe, store: SampleStore, config: AblateConfig) -> tuple[ATPN, float]:
    """Train a row; return its averaged network, on the CPU, and its minutes of training."""
    model = _initial(recipe, store, config)
    if config.views is None:
        task = LandmarkTask(store, recipe, config.seed, faces=config.faces)
    else:
        task = LinearProbeTask(_embedded(model, recipe, store, config), store, recipe, config.seed, config.faces)
    return _run_stage(name, task, model, recipe, config)


def _train_branches(name: str, store: SampleStore, config: AblateConfig) -> tuple[ATPN, float]:
    """Train a row's tracking and pose branches in turn; return the network, on the CPU, and the minutes of both."""
    trained, _ = load_checkpoint(config.weights)
    recipes = {stage: row_recipe(name, config, stage) for stage in STAGES}
    model, minutes = with_untrained_branches(trained, recipes["pose"], config.seed), 0.0
    for stage, task in STAGES.items():
        recipe = recipes[stage]
        model = model.resized(recipe.input_size)
        model, own = _run_stage(name, task(store, recipe, config.seed), model, recipe, config)
        minutes += own
    return model, round(minutes, 2)


def _run_stage(
    name: str, task: StageTask[ATPN], model: ATPN, recipe: Recipe, config: AblateConfig
) -> tuple[ATPN, float]:
    setup = {"recipe": plain(asdict(recipe)), "width": config.width, "seed": config.seed, "samples": config.samples}
    options = RunOptions(
        out=config.out / name,
        budget=Budget(samples=config.samples),
        setup=setup,
        provenance={"ablation": name, "seed": config.seed},
        device=select_device(config.device),
        bfloat16=config.bfloat16,
        workers=config.workers,
        epoch_samples=max(1, config.samples // EPOCHS),
    )
    trainer = Trainer(task, model, recipe, options)
    return trainer.run().cpu(), round(trainer.progress.seconds / 60, 2)
