"""Several training sets at once, each with its own convention of placing landmarks.

Two annotation schemes that mean the same point seldom place it alike. The first set is the reference: its scheme and
convention are the network's. For each further set an offset per landmark is learned along with the network, in the
normalized frame of the mean shape, and added to the predictions before they are compared with the set's labels; for a
coarser scheme, the predictions are converted. So such sets teach the appearance of faces, not the placement of points
(after the semantic alignment embeddings of the thesis, section 6.2.2).

A constant error of the network on a set's images cannot be told from a convention.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from atpn.data.store import SampleStore
from atpn.evaluate.crops import validation_batch
from atpn.evaluate.inference import predict
from atpn.model import ATPN
from atpn.train.dataset import FaceBatch, FaceBatches, Steps
from edge_runtime.landmarks import LandmarkScheme, convert

OFFSET_FACES = 400
"""Maximum faces per set to measure its offsets on."""
MAX_SIZE_DIFFERENCE = 0.1
"""Maximum relative difference between two schemes' rectangles on the mean shape: beyond it, their crops differ."""


@dataclass(frozen=True)
class OtherSet:
    """A training set besides the reference."""

    store: SampleStore
    weight: float
    """Sampling weight, relative to the reference's 1."""


class MixedBatches(Steps):
    """Concatenated batches of several sets; `source` is each crop's set."""

    def __init__(self, parts: Sequence[FaceBatches], seed: int, first_step: int = 0) -> None:
        super().__init__(seed, first_step)
        self.parts = parts

    def batch(self, step: int, rng: np.random.Generator) -> FaceBatch:
        """Concatenate the parts' batches; landmarks of coarser schemes are padded with NaN."""
        batches = [part.batch(step, rng) for part in self.parts]
        landmarks = [batch["landmarks"] for batch in batches]
        count = max(points.shape[1] for points in landmarks)
        landmarks = [F.pad(points, (0, 0, 0, count - points.shape[1]), value=torch.nan) for points in landmarks]
        sources = [torch.full((len(batch["image"]),), k) for k, batch in enumerate(batches)]
        joined = {key: torch.cat([batch[key] for batch in batches]) for key in ("image", "pose", "flipped")}
        return FaceBatch(**joined, landmarks=torch.cat(landmarks), source=torch.cat(sources))


def split_batch(size: int, weights: Sequence[float]) -> list[int]:
    """Split `size` into integers in proportion to the weights; ValueError when one would be 0."""
    exact = np.array(weights, float) * size / sum(weights)
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact)[: size - counts.sum()]] += 1
    if counts.min() == 0:
        raise ValueError(
            f"a batch of {size} has no crop for one of the weights {', '.join(map(str, weights))}; "
            "raise --batch-size or change --sampling-weights"
        )
    return counts.tolist()


@dataclass(frozen=True)
class Part:
    """A batch's crops of one set, with predictions in that set's scheme and convention."""

    fraction: float
    """Part of the batch, 0 to 1."""
    scheme: LandmarkScheme
    landmarks: Tensor
    """(b, M, 2)."""
    log_sigma: Tensor
    """(b, M)."""
    target: Tensor
    """(b, M, 2)."""


def measure_offsets(model: ATPN, stores: Sequence[SampleStore]) -> ATPN:
    """Copy a trained network and set its offsets to its median errors on each further set.

    With offsets that start at zero, the network would first drift towards every set.
    """
    own = model.config.scheme
    if model.config.conventions != len(stores):
        model = model.with_config(conventions=len(stores))
    alignment = Alignment(own, [store.scheme for store in stores], model.mean_shape.cpu().numpy())
    for k, store in enumerate(stores, start=1):
        faces, shape = store.split()[0][:OFFSET_FACES], alignment.mean_shapes[k]
        if len(faces) == 0:
            continue
        batch = validation_batch(store, faces, shape, model.config.input_size)
        predicted = convert(predict(model, batch["image"].numpy()).landmarks, own, store.scheme)
        error = batch["landmarks"] - torch.from_numpy(predicted)
        cosine, sine = similarity(torch.from_numpy(shape), batch["landmarks"])
        x, y = error.unbind(-1)
        turned_back = torch.stack([cosine * x + sine * y, cosine * y - sine * x], dim=-1)
        offsets = (turned_back / (cosine**2 + sine**2)[..., None]).median(dim=0).values
        # A landmark converted from two moves both; those that the set lacks stay.
        sources = (alignment.tables[k] > 0).float()
        spread = sources.T @ offsets / sources.sum(dim=0).clamp_min(1)[:, None]
        model.landmark_branch.offsets.data[k - 1] = spread
    return model


class Alignment:
    """Splitter of mixed batches that converts predictions to each set's scheme and convention."""

    def __init__(self, own: LandmarkScheme, others: Sequence[LandmarkScheme], mean_shape: np.ndarray) -> None:
        """Raise ValueError for a scheme that the reference's does not convert to, or that needs other crops."""
        self.own, self.schemes = own, (own, *others)
        self.mean_shapes = [convert(mean_shape, own, scheme) for scheme in self.schemes]
        """(M, 2) crop coordinates, for each set."""
        sides = [np.ptp(shape, axis=0).max() for shape in self.mean_shapes]
        for scheme, side in zip(self.schemes, sides, strict=True):
            if abs(side / sides[0] - 1) > MAX_SIZE_DIFFERENCE:
                raise ValueError(
                    f"cannot mix {scheme.name} with {own.name}: its crops are {side / sides[0]:.2f} times as large; "
                    "train a network on it alone (--data of that set)"
                )
        identity = np.eye(own.count, dtype=np.float32)
        self.tables = [torch.from_numpy(convert(identity, own, scheme)) for scheme in self.schemes]
        """(M, N), for each set: the network's landmarks to the set's scheme."""
        self._mirror = torch.from_numpy(own.mirror.copy())

    def parts(self, model: ATPN, landmarks: Tensor, log_sigma: Tensor, batch: FaceBatch) -> Iterator[Part]:
        """Yield a batch's parts, given (B, N, 2) predictions and (B, N) log standard deviations."""
        for k, scheme in enumerate(self.schemes):
            rows = batch["source"] == k
            if not rows.any():
                continue
            predicted, table = landmarks[rows], self.tables[k].to(landmarks)
            target = batch["landmarks"][rows, : scheme.count]
            if k:
                predicted = predicted + self._offsets(model, k, target, batch["flipped"][rows])
            sigma = (table @ log_sigma[rows][..., None])[..., 0]
            yield Part(float(rows.float().mean()), scheme, table @ predicted, sigma, target)

    def _offsets(self, model: ATPN, k: int, target: Tensor, flipped: Tensor) -> Tensor:
        """Return (b, N, 2) offsets to a set's convention in crop coordinates, rotated and scaled with the faces."""
        offsets = model.landmark_branch.offsets[k - 1]
        mirrored = offsets[self._mirror.to(offsets.device)] * offsets.new_tensor([-1.0, 1.0])
        offsets = torch.where(flipped[:, None, None], mirrored, offsets)
        cosine, sine = similarity(torch.from_numpy(self.mean_shapes[k]).to(target), target)
        x, y = offsets.unbind(-1)
        return torch.stack([cosine * x - sine * y, sine * x + cosine * y], dim=-1)


def similarity(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Fit the similarity that maps (M, 2) points best onto each of (b, M, 2), NaN ignored.

    Return scale times cosine and scale times sine, (b, 1) each. The mean shape is symmetric, so flipped faces are no
    special case.
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
