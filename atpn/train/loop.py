"""The training loop of all stages and TUFA: budget, checkpoints, resuming, interruption."""

from __future__ import annotations

import copy
import logging
import math
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor
from torch.utils.data import IterableDataset
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from atpn.model import CheckpointError, Network, freeze, load_network, save_checkpoint
from atpn.train.config import Bfloat16, Recipe
from atpn.train.dataset import Batch, batch_size, load, prepare
from atpn.train.device_batches import DeviceLoader
from atpn.train.distributed import SINGLE_PROCESS, DistributedContext, convert_sync_batch_norm
from atpn.train.machine import faster_in_bfloat16
from atpn.train.optimizer import apply_step, freeze_batch_norm, learning_rate, make_optimizer, update_ema
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
)

log = logging.getLogger(__name__)

LOG_SECONDS = 30.0
PRECISION_CROPS = (4, 16)
"""Crops to time both precisions with. A CPU without bfloat16 instructions trains on four or five a second: the few show
whether the more are worth their time. One with AMX gains nothing on the few, and a third on the more."""
NOT_WORTH_MORE = 1.5
"""Time in bfloat16 over that in float32 above which more crops are not measured."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM; the state is saved, and the same command resumes from it."""


AnyNetwork = TypeVar("AnyNetwork", bound=Network)


class StageTask(Protocol[AnyNetwork]):
    """Data, loss, and validation of a stage."""

    name: str
    trained: tuple[str, ...]
    """Parts of the network that train; the others are frozen, batch-norm statistics included."""
    ema_model: AnyNetwork
    """The averaged network, set by the loop before the first loss and whenever it is replaced."""
    settling: Settling
    """Steps over which crops become milder, set by the loop before `batches`."""

    def begin(self, model: AnyNetwork) -> None:
        """Prepare for the network that training starts or resumes with."""

    def batches(self, crop_size: int, first_step: int) -> IterableDataset[Batch]:
        """Return endless batches from a step on."""

    def loss(self, model: AnyNetwork, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss of a batch (see `dataset.prepare`), and its parts for the log."""

    def validate(self, model: AnyNetwork) -> dict[str, float]:
        """Compute metrics on held-out samples."""


@dataclass(frozen=True)
class Budget:
    """Length of a stage: a number of samples, or minutes."""

    samples: int | None = None
    minutes: float | None = None

    def fraction(self, progress: Progress) -> float:
        """Return the part that is done, 0 to 1 and beyond."""
        if self.samples is not None:
            return progress.samples / self.samples
        return progress.seconds / (60.0 * (self.minutes or math.inf))

    def coarse_until(self, recipe: Recipe) -> float:
        """Return the fraction at which training moves from the coarse to the full input size."""
        fraction = recipe.coarse_fraction
        if self.samples is not None or fraction in (0.0, 1.0):
            return fraction
        # Compute grows with the area, so the coarse samples take less of the minutes than of the samples.
        coarse, full = fraction * recipe.coarse_size**2, (1 - fraction) * recipe.input_size**2
        return coarse / (coarse + full)


@dataclass(frozen=True)
class RunOptions:
    """Where and how a stage runs; the recipe says what it learns."""

    out: Path
    budget: Budget
    setup: dict[str, Any]
    """Options that must not change when the run resumes; stored with the state."""
    provenance: dict[str, Any]
    """Metadata stored with the weights."""
    device: str = "cpu"
    bfloat16: Bfloat16 = "auto"
    workers: int = 1
    device_loader: DeviceLoader | None = None
    """Maker of the batches instead of `workers` processes."""
    checkpoint_seconds: float = 180.0
    epoch_samples: int = 1
    """Faces per epoch, for the step schedule."""
    distributed: DistributedContext = SINGLE_PROCESS
    """Processes that train together. Each one's task makes its part of every batch."""


class Trainer(Generic[AnyNetwork]):
    """Training of one stage from its start or saved state to the end of its budget."""

    def __init__(self, task: StageTask[AnyNetwork], model: AnyNetwork, recipe: Recipe, options: RunOptions) -> None:
        """Take the initial network of a new stage; a saved state in `options.out` takes precedence.

        ValueError if the saved state is damaged or has another setup.
        """
        self.task, self.recipe, self.options = task, recipe, options
        self.state_path = options.out / f"{task.name}.state.safetensors"
        self.weights_path = options.out / f"{task.name}.safetensors"
        self.progress_path = options.out / f"{task.name}.progress.jsonl"
        moments = {}
        if self.state_path.exists():
            model, ema_model, moments, self.progress = load_state(self.state_path, type(model))
            self._check_setup(model)
            if not self.progress.finished:
                log.info("%s: resuming from step %d (%s)", task.name, self.progress.step, self.state_path)
        else:
            ema_model = copy.deepcopy(model)
            self.progress = Progress(setup=options.setup)
        self.progress.batch_norm_frozen &= self._freeze_due()  # not if the budget has grown
        options.distributed.check_same(
            self.progress.step,
            f"cannot resume: the processes read different states in {options.out}; use one folder for all machines",
        )
        for network in (model, ema_model):
            options.distributed.broadcast_weights(network)
        task.begin(model)
        self._adopt(model, ema_model, moments)

    def _adopt(self, model: AnyNetwork, ema_model: AnyNetwork, moments: dict[str, dict[str, Tensor]]) -> None:
        device = torch.device(self.options.device)
        self.model = model.to(device).to(memory_format=torch.channels_last)
        self.ema_model = ema_model.to(device).to(memory_format=torch.channels_last).requires_grad_(False).eval()
        freeze(self.model, set(self.model.PARTS) - set(self.task.trained))
        self.ema_model.frozen = self.model.frozen
        if self.options.distributed.size > 1:
            convert_sync_batch_norm(self.model)
        self.task.ema_model = self.ema_model
        self.optimizer = make_optimizer(self.model, self.recipe)
        restore_moments(self.model, self.optimizer, moments)
        self.model.train()
        if self.progress.batch_norm_frozen:
            freeze_batch_norm(self.model)

    def _check_setup(self, model: Network) -> None:
        # A state of an earlier version lacks options that came later; it was made with their defaults.
        defaults = {"recipe": plain(asdict(Recipe(samples=None))), "width": getattr(model.config, "width", 1.0)}
        old, new = with_defaults(self.progress.setup, defaults), self.options.setup
        changed = {key: differences(key, old.get(key), new[key]) for key in new if old.get(key) != new[key]}
        if "data" in changed:
            # More renders than before are allowed, but the run is then not repeatable from its seed.
            log.warning("%s: the training data changed (%s)", self.task.name, changed.pop("data"))
        if changed:
            raise ValueError(
                f"cannot resume from {self.state_path}: {'; '.join(changed.values())}; "
                "use the saved options, choose another --out, or delete the file to restart the stage"
            )
        self.progress.setup = new

    @property
    def fraction(self) -> float:
        """Part of the budget that is done, 0 to 1."""
        return min(1.0, self.options.budget.fraction(self.progress))

    def _freeze_due(self) -> bool:
        return self.recipe.settle_fraction > 0 and self.fraction >= 1.0 - self.recipe.settle_fraction

    def settling(self) -> Settling:
        """Return the steps over which crops become milder; with a budget in minutes they change all at once."""
        recipe, total = self.recipe, self.options.budget.samples
        if not (recipe.settle_fraction and (recipe.settled_jitter or recipe.settled_augment)):
            return UNSETTLED
        if total is None:
            return Settling(0, 0) if self._freeze_due() else UNSETTLED
        steps = total / recipe.batch_size
        return Settling((1 - recipe.settle_fraction) * steps, (1 - recipe.settle_fraction / 2) * steps)

    def crop_size(self) -> int:
        """Return the current input size of the schedule."""
        coarse = self.fraction < self.options.budget.coarse_until(self.recipe)
        return self.recipe.coarse_size if coarse else self.recipe.input_size

    def run(self) -> AnyNetwork:
        """Train to the end of the budget and return the averaged network.

        Raises:
            Interrupted: SIGINT or SIGTERM arrived; the state is saved.
            ValueError: A weight became infinite or NaN.
        """
        if self.progress.finished and self.fraction >= 1.0 and self._weights_written():
            log.info("%s: already finished (%s)", self.task.name, self.weights_path)
            return self.ema_model
        self.progress.finished = False
        self.bfloat16 = self._choose_precision()
        if self.progress.step == 0 and self.options.distributed.is_main_process:
            self.progress_path.unlink(missing_ok=True)  # of a run whose state was deleted
        with _stop_signals() as stopped, self._scalars() as scalars:
            try:
                while self.fraction < 1.0:
                    self._run_phase(scalars, stopped)
            except Interrupted:
                self._save(scalars, validate=False)
                raise
            if self.model.config.input_size != self.recipe.input_size:  # an all-coarse recipe
                self._resize(self.recipe.input_size)
            self.progress.finished = True
            self._save(scalars)
        self.options.distributed.barrier()  # the next stage reads the main process's files
        return self.ema_model

    def _scalars(self) -> AbstractContextManager[SummaryWriter | None]:
        if self.options.distributed.is_main_process:
            return SummaryWriter(self.options.out / "tensorboard" / self.task.name)
        return nullcontext()

    def _weights_written(self) -> bool:
        """Return whether the checkpoint is that of the finished state: a kill may have come between the two."""
        try:
            _, metadata = load_network(self.weights_path, type(self.model))
        except CheckpointError:
            return False
        return bool(metadata.get("finished")) and metadata.get("steps") == self.progress.step

    def _run_phase(self, scalars: SummaryWriter | None, stopped: Callable[[], bool]) -> None:
        """Train at one input size until the schedule changes it or the budget ends."""
        size = self.crop_size()
        if self.model.config.input_size != size:
            self._resize(size)
        progress, settling = self.progress, self.settling()
        self.task.settling = settling
        batches = self._load(self.task.batches(size, progress.step))
        distributed, report = self.options.distributed, _Report(self.task.name, size, self.options.budget, progress)
        clock = saved = time.monotonic()
        for batch in batches:
            losses = self._step(batch)
            progress.step += 1
            progress.samples += batch_size(batch) * distributed.size
            now = time.monotonic()
            stop, seconds = distributed.reduce_stop(stopped(), now - clock)
            progress.seconds += seconds
            clock = now
            if scalars is not None:
                report.step(losses, scalars)
            if stop:
                raise Interrupted(f"stopped at step {progress.step}; repeat the command to resume")
            if self.fraction >= 1.0 or self.crop_size() != size or self.settling() != settling:
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
        if self._freeze_due() and not progress.batch_norm_frozen:
            # Continue from the averaged weights, whose statistics are steadier than the last batches'.
            self.model.load_state_dict(self.ema_model.state_dict())
            freeze_batch_norm(self.model)
            progress.batch_norm_frozen = True
        rate = learning_rate(recipe, self.fraction, progress.step, progress.samples // self.options.epoch_samples)
        loss, parts = self._loss(self.model, batch, self.bfloat16)
        average = self.options.distributed.average_gradients
        apply_step(self.optimizer, self.model.parameters(), loss, rate, recipe.gradient_clip, average)
        update_ema(self.ema_model, self.model, recipe.ema_decay, progress.step)
        return {"loss": loss.detach(), **parts, "lr": torch.tensor(rate)}

    def _loss(self, model: AnyNetwork, batch: Batch, bfloat16: bool) -> tuple[Tensor, dict[str, Tensor]]:
        device = torch.device(self.options.device)
        batch = prepare(batch, device)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            return self.task.loss(model, batch)

    def _choose_precision(self) -> bool:
        """Return whether to compute in bfloat16. With `auto` the main process measures, on a copy of the network."""
        if self.options.bfloat16 != "auto":
            return self.options.bfloat16 == "on"
        chosen = False
        if self.options.distributed.is_main_process:
            batch = next(iter(self.task.batches(self.model.config.input_size, self.progress.step)))
            model = copy.deepcopy(self.model)
            freeze_batch_norm(model)  # the other processes do not take part
            for crops in PRECISION_CROPS:
                part = {key: value[:crops] for key, value in batch.items()}
                chosen, seconds = faster_in_bfloat16(partial(self._measured_step, model, part))
                if seconds[1] > NOT_WORTH_MORE * seconds[0]:
                    break
            log.info(
                "%s: computing in %s (%d crops: %.0f ms in float32, %.0f ms in bfloat16)",
                *(self.task.name, "bfloat16" if chosen else "float32", batch_size(part)),
                *(1000 * each for each in seconds),
            )
        return self.options.distributed.broadcast(chosen)

    def _measured_step(self, model: AnyNetwork, batch: Batch, bfloat16: bool) -> None:
        self._loss(model, batch, bfloat16)[0].backward()
        model.zero_grad(set_to_none=True)
        if torch.device(self.options.device).type == "cuda":
            torch.cuda.synchronize()

    def _resize(self, size: int) -> None:
        moments = moments_of(self.model, self.optimizer)
        self._adopt(self.model.resized(size), self.ema_model.resized(size), moments)

    def _save(self, scalars: SummaryWriter | None, validate: bool = True) -> None:
        """Save state and averaged weights and, with `validate`, their metrics; in the main process alone."""
        if scalars is None:
            return
        name, progress = self.task.name, self.progress
        if not all(p.isfinite().all() for p in self.model.parameters()):
            raise ValueError(
                f"{name}: weights are infinite or NaN before step {progress.step}; "
                "the last checkpoint is valid: restart in another --out with a lower --lr"
            )
        save_state(self.state_path, self.model, self.ema_model, self.optimizer, progress)
        metrics = self.task.validate(self.ema_model) if validate else {}
        for key, value in metrics.items():
            scalars.add_scalar(f"validation/{key}", value, progress.samples)
        log.info("%s: saved at step %d %s", name, progress.step, _listed(metrics))
        metadata = {**self.options.provenance, "stage": name, "samples": progress.samples, "steps": progress.step}
        metadata |= {"minutes": round(progress.seconds / 60, 2), "finished": progress.finished, "validation": metrics}
        metadata["bfloat16"] = self.bfloat16
        save_checkpoint(self.weights_path, self.ema_model, metadata)
        if metrics:
            done = {"step": progress.step, "samples": progress.samples, "minutes": round(progress.seconds / 60, 2)}
            add_progress(self.progress_path, done | {k: v for k, v in metrics.items() if math.isfinite(v)})


class _Report:
    """Progress: a bar on a terminal, else a log line every half minute; scalars for TensorBoard."""

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
        """Count one step; report when the period is over."""
        for key, value in losses.items():
            self.sums[key] = self.sums.get(key, 0.0) + value
        self.count += 1
        if time.monotonic() - self.started > self.period:
            self._emit(scalars)

    def _emit(self, scalars: SummaryWriter) -> None:
        seconds, progress = time.monotonic() - self.started, self.progress
        means = {key: float(value) / self.count for key, value in self.sums.items()}
        rate = (progress.samples - self.samples) / seconds
        for key, value in {**means, "samples_per_second": rate, "input_size": self.size}.items():
            scalars.add_scalar(f"training/{key}", value, progress.samples)
        self.bar.update(progress.samples - self.samples)
        self.bar.set_postfix_str(_listed(means))
        if self.bar.disable:
            done = 100 * self.budget.fraction(progress)
            log.info(
                "%s %d px: %.1f %% step %d, %d crops, %.0f/s %s",
                *(self.name, self.size, done, progress.step, progress.samples, rate, _listed(means)),
            )
        self.sums, self.count, self.samples, self.started = {}, 0, progress.samples, time.monotonic()

    def close(self, scalars: SummaryWriter) -> None:
        """Report the rest and release the terminal's line."""
        if self.count:
            self._emit(scalars)
        self.bar.close()


def _listed(values: dict[str, float]) -> str:
    return " ".join(f"{key} {value:.4g}" for key, value in values.items())


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """Make SIGINT and SIGTERM only set a flag inside the context, which the yielded function reads."""
    received: list[int] = []
    kinds = (signal.SIGINT, signal.SIGTERM)
    previous = [signal.signal(kind, lambda number, _: received.append(number)) for kind in kinds]
    try:
        yield lambda: bool(received)
    finally:
        for kind, handler in zip(kinds, previous, strict=True):
            signal.signal(kind, handler)
