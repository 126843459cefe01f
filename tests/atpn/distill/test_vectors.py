"""What a frozen network sees, with labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from atpn.data.store import SampleStore
from atpn.distill.vectors import RECIPE, DenseCrops, embed_faces
from atpn.model import load_checkpoint

ROWS = [54, 57, 60, 64, 68, 72, 76, 82, 79, 85, 35, 44]


def test_labels_of_crops_agree_and_the_teacher_sees_the_clean_ones(dense_shards, tiny_atpn, mean_shape):
    store, (model, _) = SampleStore.read(dense_shards), load_checkpoint(tiny_atpn)
    crops = DenseCrops(store, store.faces, None, mean_shape, replace(RECIPE, batch_size=8), 48, seed=3)
    seen = []

    def teacher(clean):
        seen.append(clean)
        return clean.float().mean((1, 2))[:, None, :2]

    faces = embed_faces(model, crops, 20, teacher, workers=0)
    assert len(faces) == 24  # whole batches
    assert faces.vectors.shape == (24, model.landmark_branch.residual.in_features)
    assert torch.equal(faces.teacher_points, torch.cat([clean.float().mean((1, 2))[:, None, :2] for clean in seen]))
    known = torch.isfinite(faces.dense).all(dim=2).all(dim=1)
    assert known.sum() == 12  # every other face has dense points
    # In these drawings a dense point is a landmark, of the mirrored face in mirrored crops.
    mirror = store.scheme.mirror
    for i in np.flatnonzero(known):
        rows = mirror[ROWS] if faces.flipped[i] else ROWS
        torch.testing.assert_close(faces.dense[i], faces.landmarks[i][rows], atol=2e-3, rtol=0)
    assert 0 < faces.flipped.sum() < 24


def test_the_same_seed_gives_the_same_faces(dense_shards, tiny_atpn, mean_shape):
    store, (model, _) = SampleStore.read(dense_shards), load_checkpoint(tiny_atpn)
    crops = DenseCrops(store, store.faces, None, mean_shape, replace(RECIPE, batch_size=8), 48, seed=3)
    first, second = (embed_faces(model, crops, 8, workers=workers) for workers in (0, 1))
    assert torch.equal(first.vectors, second.vectors)
    assert torch.equal(first.landmarks, second.landmarks)
