"""Several training sets at once, each with its own way of placing landmarks (its convention).

Two markups that mean the same point seldom put it at the same place. The first set is the reference: its scheme and
convention are the network's. For each further set an offset per landmark is learned along with the network, in the
normalised frame of the mean shape, and added to what the network says before that is held against the set's labels;
of a coarser scheme, the network's landmarks are converted. So such sets teach what faces look like, not where a point
is called to be (after the semantic alignment embeddings of the thesis, section 6.2.2).

A constant error of the network on a set's pictures looks like a convention, and is taken for one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from atpn.data.store import SampleStore
from atpn.evaluate.crops import validation_batch
from atpn.evaluate.inference import predict
from atpn.model import ATPN
from atpn.train.dataset import Batch, FaceBatches, Steps
from edge_runtime.landmarks import LandmarkScheme, convert, scheme_by_name

MEASURED_FACES = 400
"""Of a set, to tell its offsets from those of a trained network."""
SAME_FRAME = 0.1
"""Two schemes' rectangles on the mean shape may differ by this share: farther apart, they ask for other crops."""


@dataclass(frozen=True)
class OtherSet:
    """A training set besides the reference."""

    store: SampleStore
    share: float
    """Of every batch, against the reference's 1."""


class MixedBatches(Steps):
    """Batches put together of several sets' batches; `source` tells each crop's set."""

    def __init__(self, parts: Sequence[FaceBatches], seed: int, first_step: int = 0) -> None:
        super().__init__(seed, first_step)
        self.parts = parts

    def batch(self, step: int, rng: np.random.Generator) -> Batch:
        """The parts' batches one after the other; landmarks of coarser schemes end in rows of NaN."""
        batches = [part.batch(step, rng) for part in self.parts]
        most = max(batch["landmarks"].shape[1] for batch in batches)
        landmarks = [
            torch.nn.functional.pad(b["landmarks"], (0, 0, 0, most - b["landmarks"].shape[1]), value=torch.nan)
            for b in batches
        ]
        sources = [torch.full((len(batch["image"]),), k) for k, batch in enumerate(batches)]
        joined = {key: torch.cat([batch[key] for batch in batches]) for key in ("image", "pose", "flipped")}
        return Batch(**joined, landmarks=torch.cat(landmarks), source=torch.cat(sources))


def shared_batch(size: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to the shares whose sum is `size`; ValueError when one would be 0."""
    wanted = np.array(shares, float) * size / sum(shares)
    counts = np.floor(wanted).astype(int)
    counts[np.argsort(counts - wanted)[: size - counts.sum()]] += 1
    if counts.min() == 0:
        raise ValueError(f"a batch of {size} leaves nothing for one of the shares {', '.join(map(str, shares))}")
    return counts.tolist()


@dataclass(frozen=True)
class Part:
    """A batch's crops of one set, with the network's landmarks turned into that set's scheme and convention."""

    share: float
    """Of the batch."""
    scheme: LandmarkScheme
    landmarks: Tensor
    """(b, M, 2)."""
    log_sigma: Tensor
    """(b, M)."""
    target: Tensor
    """(b, M, 2)."""


def measured_offsets(model: ATPN, stores: Sequence[SampleStore]) -> ATPN:
    """A copy of a trained network whose offsets are what it is off by on each further set: medians over faces.

    Learning them from zero would let the network bend towards every set at first.
    """
    own = scheme_by_name(model.config.scheme)
    if model.config.conventions != len(stores):
        model = model.with_config(conventions=len(stores))
    alignment = Alignment(own, [store.scheme for store in stores], model.mean_shape.cpu().numpy())
    for k, store in enumerate(stores, start=1):
        faces, shape = store.split()[0][:MEASURED_FACES], alignment.mean_shapes[k]
        if len(faces) == 0:
            continue
        batch = validation_batch(store, faces, shape, model.config.input_size)
        said = convert(predict(model, batch["image"].numpy()).landmarks, own, store.scheme)
        error = batch["landmarks"] - torch.from_numpy(said)
        cosine, sine = similarity(torch.from_numpy(shape), batch["landmarks"])
        x, y = error.unbind(-1)
        turned_back = torch.stack([cosine * x + sine * y, cosine * y - sine * x], dim=-1)
        offsets = (turned_back / (cosine**2 + sine**2)[..., None]).median(dim=0).values
        # Of a landmark that stands for two, both are moved; those that the set does not have stay.
        sources = (alignment.tables[k] > 0).float()
        spread = sources.T @ offsets / sources.sum(dim=0).clamp_min(1)[:, None]
        model.landmark_branch.offsets.data[k - 1] = spread
    return model


class Alignment:
    """Tells a mixed batch's parts apart and turns what the network says of each into what its labels mean."""

    def __init__(self, own: LandmarkScheme, others: Sequence[LandmarkScheme], mean_shape: np.ndarray) -> None:
        """ValueError for a scheme that the reference's does not convert to, or that asks for other crops."""
        self.own, self.schemes = own, (own, *others)
        self.mean_shapes = [convert(mean_shape, own, scheme) for scheme in self.schemes]
        """(M, 2) crop coordinates, for each set."""
        sides = [np.ptp(shape, axis=0).max() for shape in self.mean_shapes]
        for scheme, side in zip(self.schemes, sides, strict=True):
            if abs(side / sides[0] - 1) > SAME_FRAME:
                raise ValueError(
                    f"{scheme.name} spans {side / sides[0]:.2f} times as much of the face as {own.name}, so the two "
                    "ask for other crops and cannot be mixed; train a network on it alone (--data of that set)"
                )
        identity = np.eye(own.count, dtype=np.float32)
        self.tables = [torch.from_numpy(convert(identity, own, scheme)) for scheme in self.schemes]
        """(M, N), for each set: the network\'s landmarks to the set\'s scheme."""
        self._mirror = torch.from_numpy(own.mirror.copy())

    def parts(self, model: ATPN, landmarks: Tensor, log_sigma: Tensor, batch: Batch) -> Iterator[Part]:
        """The parts that a batch holds, of (B, N, 2) landmarks and (B, N) log standard deviations."""
        for k, scheme in enumerate(self.schemes):
            rows = batch["source"] == k
            if not rows.any():
                continue
            said, table = landmarks[rows], self.tables[k].to(landmarks)
            target = batch["landmarks"][rows, : scheme.count]
            if k:
                said = said + self._offsets(model, k, target, batch["flipped"][rows])
            yield Part(
                float(rows.float().mean()), scheme, table @ said, (table @ log_sigma[rows][..., None])[..., 0], target
            )

    def _offsets(self, model: ATPN, k: int, target: Tensor, flipped: Tensor) -> Tensor:
        """(b, N, 2) from the network's landmarks to a set's, in crop coordinates: turned and sized as its faces are."""
        offsets = model.landmark_branch.offsets[k - 1]
        mirrored = offsets[self._mirror.to(offsets.device)] * offsets.new_tensor([-1.0, 1.0])
        offsets = torch.where(flipped[:, None, None], mirrored, offsets)
        cosine, sine = similarity(torch.from_numpy(self.mean_shapes[k]).to(target), target)
        x, y = offsets.unbind(-1)
        return torch.stack([cosine * x - sine * y, sine * x + cosine * y], dim=-1)


def similarity(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Size times cosine and sine, (b, 1) each, of the turn that best lays (M, 2) onto each of (b, M, 2), where known.

    A mirrored mean shape is the mean shape again, so flipped faces need nothing else.
    """
    known = ~target.isnan().any(dim=-1, keepdim=True)
    count = known.sum(dim=1, keepdim=True).clamp_min(1)
    target, source = torch.where(known, target, 0), torch.where(known, source, 0)
    target = torch.where(known, target - target.sum(dim=1, keepdim=True) / count, 0)
    source = torch.where(known, source - source.sum(dim=1, keepdim=True) / count, 0)
    spread = source.square().sum(dim=(1, 2)).clamp_min(1e-9)
    cosine = (source * target).sum(dim=(1, 2)) / spread
    sine = (source[..., 0] * target[..., 1] - source[..., 1] * target[..., 0]).sum(dim=1) / spread
    return cosine[:, None], sine[:, None]
