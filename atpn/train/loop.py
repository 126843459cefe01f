"""The loop that all three stages share: budget, schedule, averaging, checkpoints, resuming, interruption."""

from __future__ import annotations

import copy
import logging
import math
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.data import IterableDataset
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from atpn.model import CheckpointError, Network, freeze, load_network, save_checkpoint
from atpn.train.config import Bfloat16, Recipe
from atpn.train.dataset import Batch, load
from atpn.train.device_batches import DeviceLoader
from atpn.train.distributed import ALONE, Team, share_norms
from atpn.train.machine import faster_in_bfloat16
from atpn.train.muon import Muon, is_matrix
from atpn.train.progress import add_progress
from atpn.train.settling import UNSETTLED, Settling
from atpn.train.state import (
    Progress,
    differences,
    load_state,
    moments_of,
    plain,
    restore_moments,
    save_state,
    with_defaults,
    with_new_names,
)

log = logging.getLogger(__name__)

LOG_SECONDS = 30.0
PRECISION_CROPS = 4
"""Crops to measure both precisions with: a processor without bfloat16 instructions makes four or five a second."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM arrived; the state is saved, and the same command goes on from there."""


Learner = TypeVar("Learner", bound=Network)


class StageTask(Protocol[Learner]):
    """What a stage adds to the loop."""

    name: str
    trained: tuple[str, ...]
    """Parts of the network that learn; the others are frozen, batch-norm statistics included."""
    average: Learner
    """The averaged network, set by the loop before the first loss and whenever it is another one."""
    settling: Settling
    """When crops become milder, set by the loop before batches are made."""

    def begin(self, model: Learner) -> None:
        """Training begins with this network, or goes on with it."""

    def batches(self, crop_size: int, first_step: int) -> IterableDataset[Batch]:
        """Endless batches from a step on."""

    def loss(self, model: Learner, image: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a batch whose image is (B, 3, S, S) float 0 to 255, and its parts for the log."""

    def validate(self, model: Learner) -> dict[str, float]:
        """Figures on held-out renders."""


@dataclass(frozen=True)
class Budget:
    """How long a stage trains: a number of samples, or minutes."""

    samples: int | None = None
    minutes: float | None = None

    def share(self, progress: Progress) -> float:
        """Done so far, 0 to 1 and beyond."""
        if self.samples is not None:
            return progress.samples / self.samples
        return progress.seconds / (60.0 * (self.minutes or math.inf))

    def coarse_until(self, recipe: Recipe) -> float:
        """The share of the budget at which training moves from the coarse to the full input size."""
        share = recipe.coarse_share
        if self.samples is not None or share in (0.0, 1.0):
            return share
        # Compute grows with the area, so the coarse samples' share of the minutes is smaller than of the samples.
        coarse, full = share * recipe.coarse_size**2, (1 - share) * recipe.input_size**2
        return coarse / (coarse + full)


@dataclass(frozen=True)
class RunOptions:
    """Where and how a stage runs, as against what it learns (the recipe)."""

    out: Path
    budget: Budget
    setup: dict[str, Any]
    """What must not change when the run goes on; stored with the state."""
    provenance: dict[str, Any]
    """Stored with the weights."""
    device: str = "cpu"
    bfloat16: Bfloat16 = "auto"
    workers: int = 1
    device_loader: DeviceLoader | None = None
    """Makes the batches instead of `workers` processes."""
    checkpoint_seconds: float = 180.0
    epoch_samples: int = 1
    """Faces per epoch, for the step schedule."""
    team: Team = ALONE
    """Processes that train together. Each one's task makes its share of every batch."""


def make_optimizer(model: Network, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over the parameters that train."""
    trained = [p for p in model.parameters() if p.requires_grad]
    if recipe.optimizer == "adam":
        return torch.optim.Adam(trained, recipe.lr, betas=(0.9, 0.999), weight_decay=recipe.weight_decay, fused=True)
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    kind = torch.optim.AdamW
    if recipe.optimizer == "muon":
        kind, matrices, others = Muon, *_parted(groups[0]["params"], is_matrix)
        groups[0]["params"] = others
        groups.append({"params": matrices, "weight_decay": recipe.weight_decay, "orthogonal": True})
    return kind([g for g in groups if g["params"]], recipe.lr, betas=(0.9, 0.999), fused=True)


def _parted(weights: Sequence[Tensor], belongs: Callable[[Tensor], bool]) -> tuple[list[Tensor], list[Tensor]]:
    """Those that belong, and the others."""
    return [w for w in weights if belongs(w)], [w for w in weights if not belongs(w)]


def learning_rate(recipe: Recipe, share: float, step: int, epoch: int) -> float:
    """The rate at a share of the budget, a step (for the warm-up) and an epoch (for the step schedule)."""
    if recipe.schedule == "step":
        rate = recipe.lr * recipe.decay_factor ** (epoch // recipe.decay_epochs)
    else:
        rate = recipe.lr * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
    return rate * min(1.0, (step + 1) / recipe.warmup_steps) if recipe.warmup_steps else rate


@torch.no_grad()
def update_average(average: Network, model: Network, decay: float, step: int) -> None:
    """Move the averaged weights and statistics towards the model's.

    The decay grows from a tenth, so that the average forgets the untrained network at once instead of dragging a
    share of it along for a thousand steps.
    """
    decay = min(decay, (1 + step) / (10 + step))
    targets, sources = [], []
    for part in set(model.PARTS) - model.frozen:
        for kept, new in zip(
            getattr(average, part).state_dict().values(), getattr(model, part).state_dict().values(), strict=True
        ):
            if kept.is_floating_point():
                targets.append(kept)
                sources.append(new)
            else:
                kept.copy_(new)
    torch._foreach_lerp_(targets, sources, 1 - decay)


def rest_norms(model: Network) -> None:
    """Batch norms use their running statistics from now on, and keep them."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


class Trainer(Generic[Learner]):
    """One stage from its beginning or its saved state to the end of its budget."""

    def __init__(self, task: StageTask[Learner], model: Learner, recipe: Recipe, options: RunOptions) -> None:
        """`model` is where a new stage begins; a saved state of the same setup in `options.out` takes precedence."""
        self.task, self.recipe, self.options = task, recipe, options
        self.state_path = options.out / f"{task.name}.state.safetensors"
        self.weights_path = options.out / f"{task.name}.safetensors"
        self.progress_path = options.out / f"{task.name}.progress.jsonl"
        moments = {}
        if self.state_path.exists():
            model, average, moments, self.progress = load_state(self.state_path, type(model))
            self._check_setup(model)
            if not self.progress.finished:
                log.info("%s: going on from step %d (%s)", task.name, self.progress.step, self.state_path)
        else:
            average = copy.deepcopy(model)
            self.progress = Progress(setup=options.setup)
        self.progress.norms_fixed &= self._norms_due()  # not any more, when the budget has grown
        options.team.check_same(
            self.progress.step,
            f"{options.out} must be one folder that every machine of the team sees, so that they resume alike",
        )
        for network in (model, average):
            options.team.take_weights(network)
        task.begin(model)
        self._adopt(model, average, moments)

    def _adopt(self, model: Learner, average: Learner, moments: dict[str, dict[str, Tensor]]) -> None:
        device = torch.device(self.options.device)
        self.model = model.to(device).to(memory_format=torch.channels_last)
        self.average = average.to(device).to(memory_format=torch.channels_last).requires_grad_(False).eval()
        freeze(self.model, set(self.model.PARTS) - set(self.task.trained))
        self.average.frozen = self.model.frozen
        if self.options.team.size > 1:
            share_norms(self.model)
        self.task.average = self.average
        self.optimizer = make_optimizer(self.model, self.recipe)
        restore_moments(self.model, self.optimizer, moments)
        self.model.train()
        if self.progress.norms_fixed:
            rest_norms(self.model)

    def _check_setup(self, model: Network) -> None:
        # A state of an earlier version lacks options that came later; it was made as their defaults say.
        defaults = {"recipe": plain(asdict(Recipe(samples=None))), "width": getattr(model.config, "width", 1.0)}
        old, new = with_defaults(with_new_names(self.progress.setup), defaults), self.options.setup
        changed = {key: differences(key, old.get(key), new[key]) for key in new if old.get(key) != new[key]}
        if "data" in changed:
            # More renders than before are welcome, but the run is then no longer the one that its seed names.
            log.warning("%s: the training data changed (%s)", self.task.name, changed.pop("data"))
        if changed:
            raise ValueError(
                f"{self.state_path} belongs to another setup ({'; '.join(changed.values())}); "
                "repeat the earlier options, give another --out, or delete the file to begin the stage anew"
            )
        self.progress.setup = new

    @property
    def share(self) -> float:
        """Done so far, 0 to 1."""
        return min(1.0, self.options.budget.share(self.progress))

    def _norms_due(self) -> bool:
        return self.recipe.settle_fraction > 0 and self.share >= 1.0 - self.recipe.settle_fraction

    def settling(self) -> Settling:
        """When crops become milder. Of a budget in minutes, whose steps nobody knows, only whether they are now."""
        recipe, total = self.recipe, self.options.budget.samples
        if not (recipe.settle_fraction and (recipe.settled_jitter or recipe.settled_augment)):
            return UNSETTLED
        if total is None:
            return Settling(0, 0) if self._norms_due() else UNSETTLED
        steps = total / recipe.batch_size
        return Settling((1 - recipe.settle_fraction) * steps, (1 - recipe.settle_fraction / 2) * steps)

    def crop_size(self) -> int:
        """The input size that the schedule wants now."""
        coarse = self.share < self.options.budget.coarse_until(self.recipe)
        return self.recipe.coarse_size if coarse else self.recipe.input_size

    def run(self) -> Learner:
        """Train to the end of the budget; the averaged network. Raises Interrupted after saving on a signal."""
        if self.progress.finished and self.share >= 1.0 and self._weights_written():
            log.info("%s: already finished (%s)", self.task.name, self.weights_path)
            return self.average
        self.progress.finished = False
        self.bfloat16 = self._choose_precision()
        if self.progress.step == 0 and self.options.team.leads:
            self.progress_path.unlink(missing_ok=True)  # another run's, whose state is gone
        with _stop_signals() as stopped, self._scalars() as scalars:
            try:
                while self.share < 1.0:
                    self._run_phase(scalars, stopped)
            except Interrupted:
                self._save(scalars, validate=False)
                raise
            if self.model.config.input_size != self.recipe.input_size:  # an all-coarse recipe
                self._resize(self.recipe.input_size)
            self.progress.finished = True
            self._save(scalars)
        self.options.team.wait()  # for the leader's files, which the next stage begins with
        return self.average

    def _scalars(self) -> AbstractContextManager[SummaryWriter | None]:
        if self.options.team.leads:
            return SummaryWriter(self.options.out / "tensorboard" / self.task.name)
        return nullcontext()

    def _weights_written(self) -> bool:
        """Whether the checkpoint is that of the finished state: a kill may have come between the two."""
        try:
            _, metadata = load_network(self.weights_path, type(self.model))
        except CheckpointError:
            return False
        return bool(metadata.get("finished")) and metadata.get("steps") == self.progress.step

    def _run_phase(self, scalars: SummaryWriter | None, stopped: Callable[[], bool]) -> None:
        """Train at one input size until the schedule wants another or the budget ends."""
        size = self.crop_size()
        if self.model.config.input_size != size:
            self._resize(size)
        progress, settling = self.progress, self.settling()
        self.task.settling = settling
        batches = self._load(self.task.batches(size, progress.step))
        team, report = self.options.team, _Report(self.task.name, size, self.options.budget, progress)
        clock = saved = time.monotonic()
        for batch in batches:
            losses = self._step(batch)
            progress.step += 1
            progress.samples += len(batch["image"]) * team.size
            now = time.monotonic()
            stop, seconds = team.agree(stopped(), now - clock)
            progress.seconds += seconds
            clock = now
            if scalars is not None:
                report.step(losses, scalars)
            if stop:
                raise Interrupted(f"stopped at step {progress.step}; the same command goes on from there")
            if self.share >= 1.0 or self.crop_size() != size or self.settling() != settling:
                break
            if now - saved > self.options.checkpoint_seconds:
                self._save(scalars)
                clock = saved = time.monotonic()  # validation and saving are not training time
        if scalars is not None:
            report.close(scalars)

    def _load(self, batches: IterableDataset[Batch]) -> Iterable[Batch]:
        loader = self.options.device_loader
        return load(batches, self.options.workers) if loader is None else loader.load(batches)

    def _step(self, batch: Batch) -> dict[str, Tensor]:
        recipe, progress = self.recipe, self.progress
        if self._norms_due() and not progress.norms_fixed:
            # From the average on, whose statistics are steadier than the last batches'.
            self.model.load_state_dict(self.average.state_dict())
            rest_norms(self.model)
            progress.norms_fixed = True
        rate = learning_rate(recipe, self.share, progress.step, progress.samples // self.options.epoch_samples)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss, parts = self._loss(self.model, batch, self.bfloat16)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.options.team.average_gradients(self.model.parameters())
        if recipe.gradient_clip:
            trained = [p for p in self.model.parameters() if p.grad is not None]
            nn.utils.clip_grad_norm_(trained, recipe.gradient_clip)
        self.optimizer.step()
        update_average(self.average, self.model, recipe.ema_decay, progress.step)
        return {"loss": loss.detach(), **parts, "lr": torch.tensor(rate)}

    def _loss(self, model: Learner, batch: Batch, bfloat16: bool) -> tuple[Tensor, dict[str, Tensor]]:
        device = self.options.device
        # Channels-last bytes become channels-last floats: no copy of the layout.
        image = batch["image"].to(device, non_blocking=True).permute(0, 3, 1, 2).float()
        batch = Batch(**{k: v.to(device, non_blocking=True) for k, v in batch.items() if k != "image"})
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=bfloat16):
            return self.task.loss(model, image, batch)

    def _choose_precision(self) -> bool:
        """Whether to compute in bfloat16. With `auto` the team's leader measures, on a copy of the network."""
        if self.options.bfloat16 != "auto":
            return self.options.bfloat16 == "on"
        chosen = False
        if self.options.team.leads:
            batch = next(iter(self.task.batches(self.model.config.input_size, self.progress.step)))
            batch = Batch(**{key: value[:PRECISION_CROPS] for key, value in batch.items()})
            model = copy.deepcopy(self.model)
            rest_norms(model)  # the other processes take no part

            def step(bfloat16: bool) -> None:
                self._loss(model, batch, bfloat16)[0].backward()
                model.zero_grad(set_to_none=True)
                if torch.device(self.options.device).type == "cuda":
                    torch.cuda.synchronize()

            chosen, seconds = faster_in_bfloat16(step)
            log.info(
                "%s: computing in %s (%d crops: %.0f ms in float32, %.0f ms in bfloat16)",
                *(self.task.name, "bfloat16" if chosen else "float32", len(batch["image"])),
                *(1000 * each for each in seconds),
            )
        return self.options.team.leaders(chosen)

    def _resize(self, size: int) -> None:
        moments = moments_of(self.model, self.optimizer)
        self._adopt(self.model.resized(size), self.average.resized(size), moments)

    def _save(self, scalars: SummaryWriter | None, validate: bool = True) -> None:
        """State, averaged weights and, unless time presses, figures on held-out renders; by the team's leader alone."""
        if scalars is None:
            return
        name, progress = self.task.name, self.progress
        if not all(p.isfinite().all() for p in self.model.parameters()):
            raise ValueError(
                f"{name}: weights became infinite before step {progress.step}; "
                "the last checkpoint is sound: start again in another --out with a lower --lr"
            )
        save_state(self.state_path, self.model, self.average, self.optimizer, progress)
        figures = self.task.validate(self.average) if validate else {}
        for key, value in figures.items():
            scalars.add_scalar(f"validation/{key}", value, progress.samples)
        log.info("%s: saved at step %d %s", name, progress.step, _listed(figures))
        metadata = {**self.options.provenance, "stage": name, "samples": progress.samples, "steps": progress.step}
        metadata |= {"minutes": round(progress.seconds / 60, 2), "finished": progress.finished, "validation": figures}
        metadata["bfloat16"] = self.bfloat16
        save_checkpoint(self.weights_path, self.average, metadata)
        if figures:
            done = {"step": progress.step, "samples": progress.samples, "minutes": round(progress.seconds / 60, 2)}
            add_progress(self.progress_path, done | {k: v for k, v in figures.items() if math.isfinite(v)})


class _Report:
    """Progress for people: a bar on a terminal, else a line every half minute; scalars for TensorBoard."""

    def __init__(self, name: str, size: int, budget: Budget, progress: Progress) -> None:
        self.name, self.size, self.budget, self.progress = name, size, budget, progress
        self.sums: dict[str, Tensor] = {}
        self.count, self.samples, self.started = 0, progress.samples, time.monotonic()
        terminal = sys.stderr.isatty()
        self.period = 2.0 if terminal else LOG_SECONDS
        self.bar = tqdm(
            total=budget.samples, initial=progress.samples, unit="crop", desc=f"{name} {size} px", disable=not terminal
        )

    def step(self, losses: dict[str, Tensor], scalars: SummaryWriter) -> None:
        """Account for one step; now and then tell."""
        for key, value in losses.items():
            self.sums[key] = self.sums.get(key, 0.0) + value
        self.count += 1
        if time.monotonic() - self.started > self.period:
            self._tell(scalars)

    def _tell(self, scalars: SummaryWriter) -> None:
        seconds, progress = time.monotonic() - self.started, self.progress
        means = {key: float(value) / self.count for key, value in self.sums.items()}
        rate = (progress.samples - self.samples) / seconds
        for key, value in {**means, "samples_per_second": rate, "input_size": self.size}.items():
            scalars.add_scalar(f"training/{key}", value, progress.samples)
        self.bar.update(progress.samples - self.samples)
        self.bar.set_postfix_str(_listed(means))
        if self.bar.disable:
            done = 100 * self.budget.share(progress)
            log.info(
                "%s %d px: %.1f %% step %d, %d crops, %.0f/s %s",
                *(self.name, self.size, done, progress.step, progress.samples, rate, _listed(means)),
            )
        self.sums, self.count, self.samples, self.started = {}, 0, progress.samples, time.monotonic()

    def close(self, scalars: SummaryWriter) -> None:
        """Tell the rest and release the terminal's line."""
        if self.count:
            self._tell(scalars)
        self.bar.close()


def _listed(figures: dict[str, float]) -> str:
    return " ".join(f"{key} {value:.4g}" for key, value in figures.items())


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """Within, SIGINT and SIGTERM only set a flag, which the yielded function reads."""
    received: list[int] = []
    kinds = (signal.SIGINT, signal.SIGTERM)
    previous = [signal.signal(kind, lambda number, _: received.append(number)) for kind in kinds]
    try:
        yield lambda: bool(received)
    finally:
        for kind, handler in zip(kinds, previous, strict=True):
            signal.signal(kind, handler)
