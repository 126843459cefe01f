from dataclasses import replace

import numpy as np
import pytest
import torch

from atpn.data.scenes import THESIS_NEGATIVES
from atpn.data.store import SampleStore
from atpn.train.config import RECIPES
from atpn.train.dataset import prepare
from atpn.train.landmarks import new_model
from atpn.train.losses.tracking import tracking_loss
from atpn.train.tracking import READABLE_ERROR, UNREADABLE_ERROR, TrackingTask, read_frozen
from edge_runtime.landmarks import IBUG_68, convert


@pytest.fixture
def setting(face_shards):
    store = SampleStore.read(face_shards)
    recipe = replace(RECIPES["atpn", "tracking"], batch_size=22, input_size=48)
    model = new_model(store, store.faces, 0.25, 48, seed=0).eval()
    task = TrackingTask(store, recipe, 0)
    task.begin(model)
    return task, model, prepare(next(iter(task.batches(48, 0))))


def with_errors(model, batch, errors):
    """Return a copy whose first crops have labels at these distances from what the network reads there."""
    weighted, _, landmarks = read_frozen(model, batch["image"])
    target = torch.full_like(landmarks, torch.nan)
    for row, error in enumerate(errors):
        points = landmarks[row]
        side = (points.amax(dim=0) - points.amin(dim=0)).max()
        target[row] = points + torch.tensor([error, 0.0]) * side
    return {**batch, "landmarks": target, "is_face": torch.zeros(len(target), dtype=torch.bool)}, weighted


def test_a_displaced_crop_is_a_face_as_far_as_its_landmarks_are_read(setting):
    task, model, batch = setting
    batch, weighted = with_errors(
        model, batch, [0.0, READABLE_ERROR - 0.01, READABLE_ERROR + 0.01, UNREADABLE_ERROR + 0.01]
    )
    is_face = torch.zeros(22, dtype=torch.bool)
    is_face[:2] = True
    kept = torch.arange(22) != 2  # neither readable nor unreadable
    with torch.no_grad():
        loss, _ = task.loss(model, batch)
        expected = tracking_loss(
            model.tracking_branch(weighted[kept]), is_face[kept], face_weight=task.recipe.face_weight
        )
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_labels_of_another_scheme_judge_the_converted_landmarks(setting):
    task, model, batch = setting
    batch, _ = with_errors(model, batch, [0.0, 0.3])
    task.store.scheme = IBUG_68
    target = torch.from_numpy(convert(batch["landmarks"].numpy(), model.config.scheme, IBUG_68))
    *_, landmarks = read_frozen(model, batch["image"])
    errors = task._error(model, landmarks, target)
    np.testing.assert_allclose(errors[:2], [0.0, 0.3], atol=0.08)  # the 68 span about the same rectangle
    assert errors[0] < 1e-6
    assert errors[2:].isnan().all()


def test_framed_faces_are_faces_whatever_is_read(setting):
    _, _, batch = setting
    framed = batch["is_face"]
    assert framed.sum() == 2
    assert batch["landmarks"][framed].isnan().all()
    assert not batch["landmarks"].isnan().all()


def test_the_thesis_stage_has_its_own_negatives_alone():
    assert RECIPES["thesis", "tracking"].negative_kinds == THESIS_NEGATIVES
    assert THESIS_NEGATIVES.texture_prob == THESIS_NEGATIVES.displaced_prob == THESIS_NEGATIVES.cut_prob == 0
