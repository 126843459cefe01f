"""A trained network's first guess at the landmarks of another scheme.

Where its own landmarks do not convert to them, or crops differ, each new landmark starts as a combination of the
network's. The combination is fitted to labeled faces, close to a mean of the nearest landmarks. Training goes on from
there.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from atpn.data.crops import JitterConfig, compute_mean_shape, random_crop
from atpn.data.store import SampleStore
from atpn.evaluate.inference import predict
from atpn.evaluate.metrics import point_errors, rectangle_size
from atpn.model import ATPN
from atpn.model.scheme_conversion import SchemeConversion
from edge_runtime.landmarks import SCHEMES

log = logging.getLogger(__name__)

MAX_ZOOM = 1.1
"""Maximum size of a face in the new scheme's crops over that in the old ones', up to which displacements just scale."""
MAX_CROPS = 800
"""Crops that the combination is fitted to; few faces are cropped several times."""
MAX_CROPS_PER_FACE = 8
NEAREST = 3
"""Known landmarks whose mean is each new one's starting point."""
PRIOR_WEIGHT = 0.1
"""Weight of the starting point, in mean squares of a known landmark's displacement."""


def in_scheme_of(model: ATPN, store: SampleStore) -> ATPN:
    """Return a copy of the network that predicts the landmarks of the store's scheme.

    Known schemes that span as much of the face are converted; the conversion to others is fitted.
    """
    own, target = model.config.scheme, store.scheme
    if all(SCHEMES.get(scheme.name) == scheme for scheme in (own, target)):
        conversion = SchemeConversion.between(own, target, model.mean_shape)
        if conversion.zoom <= MAX_ZOOM:
            return model.converted(conversion)
    return model.converted(fit_conversion(model, store))


@torch.no_grad()
def fit_conversion(model: ATPN, store: SampleStore) -> SchemeConversion:
    """Fit the combination to the store's training faces, cropped as in training."""
    faces, rng = store.split()[0], np.random.default_rng(0)
    mean_shape = compute_mean_shape(store.landmarks[faces[:4000]], store.scheme)
    indices = rng.permutation(np.resize(faces, min(MAX_CROPS_PER_FACE * len(faces), max(MAX_CROPS, len(faces)))))
    jitter, size = JitterConfig(), model.config.input_size
    crops = [random_crop(store[int(i)], mean_shape, size, jitter, rng) for i in indices[:MAX_CROPS]]
    images, labels = np.stack([crop.image for crop in crops]), np.stack([crop.landmarks for crop in crops])
    known = _first_estimates(model, images) - model.mean_shape.numpy()
    near = nearest_means(labels.mean(axis=0), (known + model.mean_shape.numpy()).mean(axis=0))
    combination = fit_combination(known, labels, near)
    offset = labels.mean(axis=0) - mean_shape - combination @ known.mean(axis=0)
    conversion = SchemeConversion(
        store.scheme,
        mean_shape=_tensor(mean_shape),
        places=_tensor(combination),
        offset=_tensor(offset),
        refinement=torch.zeros(near.shape),
        log_sigma=_tensor(near),
        log_sigma_offset=torch.zeros(store.scheme.count),
    )
    predicted = predict(model.converted(conversion).eval(), images)
    distance = np.linalg.norm(predicted.landmarks - labels, axis=-1)
    error = point_errors(predicted.landmarks, labels, rectangle_size(labels)).mean()
    log.info("%s starts %.1f %% of the face off, fitted to %d crops", store.scheme.name, 100 * error, len(crops))
    if not model.config.uncertainty:
        return conversion
    # Distances in the plane are sqrt(2) times those along an axis.
    ratio = np.sqrt((distance**2).mean(axis=0) / 2) / predicted.uncertainty.mean(axis=0)
    return replace(conversion, log_sigma_offset=_tensor(np.log(np.maximum(ratio, 1e-3))))


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(array, np.float32))


def _first_estimates(model: ATPN, images: np.ndarray) -> np.ndarray:
    """Return (n, N, 2) landmarks of (n, S, S, 3) crops before their refinement."""
    batches = np.array_split(images, -(-len(images) // 128))
    tensors = (torch.from_numpy(batch).permute(0, 3, 1, 2).float() for batch in batches)
    branch = model.eval().landmark_branch
    return torch.cat([branch.read_vector(model.face_embedding(tensor))[0] for tensor in tensors]).numpy()


def nearest_means(places: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return (M, N) weights of the nearest of (N, 2) known points for each of (M, 2) places, by inverse distance."""
    distance = np.linalg.norm(places[:, None] - known[None], axis=-1)
    nearest = np.argsort(distance, axis=1)[:, :NEAREST]
    weights = np.zeros_like(distance)
    np.put_along_axis(weights, nearest, 1 / (np.take_along_axis(distance, nearest, axis=1) + 1e-3), axis=1)
    return weights / weights.sum(axis=1, keepdims=True)


def fit_combination(known: np.ndarray, labeled: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Return (M, N) weights that give (n, M, 2) labels from (n, N, 2) known landmarks, each around its mean.

    Ridge regression towards the (M, N) `prior`.
    """
    x, y = (
        np.moveaxis(each - each.mean(axis=0), 2, 1).reshape(-1, each.shape[1]).astype(np.float64)
        for each in (known, labeled)
    )
    squares = x.T @ x
    ridge = PRIOR_WEIGHT * max(float(np.diag(squares).mean()), 1e-9) * np.eye(len(squares))
    return prior + np.linalg.solve(squares + ridge, x.T @ (y - x @ prior.T)).T
