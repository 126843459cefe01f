from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from atpn.data.augment import NO_AUGMENT
from atpn.data.crops import NO_JITTER, compute_mean_shape
from atpn.data.sample import Sample
from atpn.data.shards import write_scheme, write_shard
from atpn.data.store import SampleStore
from atpn.model import freeze
from atpn.train import loop
from atpn.train.config import Recipe
from atpn.train.dataset import prepare
from atpn.train.mixing import similarity
from atpn.tufa.anchors import DENSE, WFLW_WITHOUT_IBUG, converted
from atpn.tufa.batches import PlanePoints
from atpn.tufa.config import TUFAConfig
from atpn.tufa.network import new_tufa
from atpn.tufa.task import TUFATask
from atpn.tufa.train import initial_anchors
from atpn.tufa.training_set import epoch_order, several_sets, single_set
from edge_runtime.geometry import ROI
from edge_runtime.landmarks import COFW_29, IBUG_68, WFLW_98, LandmarkScheme, convert

OFFSET = np.zeros((98, 2), np.float32)
"""What the other convention adds to each landmark, in fractions of a face's crop: all lie to the right and below, the
brows further."""
OFFSET[:] = 0.03, 0.02
OFFSET[33:51] += 0.0, 0.03
MINE = LandmarkScheme("mine4", 4, {"all": (0, 1, 2, 3)}, ((0, 1), (2, 3)), (), (0, 1))
CORNERS = (60, 72, 76, 82)
"""Landmarks that are `MINE`."""


def relabeled(store, folder, scheme, label):
    """A store of the same images with labels that a function makes of the 98."""
    folder.mkdir(parents=True)
    write_scheme(folder, scheme)
    samples = [store[int(index)] for index in store.faces]
    write_shard(
        folder / "faces-000000.tar",
        [Sample(s.image, label(s.landmarks), scheme, key=s.key, attributes=s.attributes) for s in samples],
    )
    return SampleStore.read(folder)


def shifted(landmarks, mean_shape):
    """By the other convention: moved in the face's own frame."""
    cosine, sine = (float(v) for v in similarity(torch.tensor(mean_shape), torch.tensor(landmarks)[None]))
    return landmarks + OFFSET @ np.array([[cosine, sine], [-sine, cosine]], np.float32)


def nothing_found(image, points):
    raise AssertionError("a known scheme needs no network")


@pytest.fixture(scope="module")
def mean(store):
    return compute_mean_shape(store.landmarks[store.split()[0]], WFLW_98)


@pytest.fixture(scope="module")
def other(store, mean, tmp_path_factory):
    """The same faces by another convention."""
    folder = tmp_path_factory.mktemp("other") / "other"
    return relabeled(store, folder, WFLW_98, lambda points: shifted(points, mean))


@pytest.fixture(scope="module")
def coarse(store, tmp_path_factory):
    """The same faces with 29 landmarks, some of them unknown on every other face."""
    numbers = iter(range(100))

    def label(points):
        points = convert(points, WFLW_98, COFW_29)
        if next(numbers) % 2:
            points[20:] = np.nan
        return points

    return relabeled(store, tmp_path_factory.mktemp("coarse") / "coarse", COFW_29, label)


@pytest.fixture(scope="module")
def mine(store, tmp_path_factory):
    return relabeled(store, tmp_path_factory.mktemp("mine") / "mine", MINE, lambda points: points[list(CORNERS)])


def test_an_epoch_has_every_face_once():
    faces = [np.arange(5, 12), np.arange(3)]
    order = epoch_order(faces, [7, 3], np.random.default_rng(0))
    expected = [(0, face) for face in faces[0]] + [(1, face) for face in faces[1]]
    assert sorted(map(tuple, order)) == sorted(expected)
    assert len(set(order[:6, 0])) == 2


def test_weights_repeat_the_faces_of_a_small_set_evenly():
    order = epoch_order([np.arange(30), np.arange(4)], [1, 1], np.random.default_rng(0))
    assert np.bincount(order[:, 0]).tolist() == [17, 17]
    assert sorted(np.bincount(order[order[:, 0] == 1, 1])) == [4, 4, 4, 5]
    assert len(set(order[order[:, 0] == 0, 1])) == 17


def test_crops_of_all_schemes_show_the_whole_face(store, coarse, mean):
    sets = several_sets([store, coarse], ["all", "some"], mean, nothing_found)
    ratios, shifts, by_rectangle = [], [], []
    for index, landmarks in enumerate(coarse.landmarks):
        expected = sets[0].frame.roi(store.landmarks[store.faces[index]], NO_JITTER, np.random.default_rng(0))
        roi = sets[1].frame.roi(landmarks, NO_JITTER, np.random.default_rng(0))
        ratios.append(roi.size / expected.size)
        shifts.append(np.hypot(roi.cx - expected.cx, roi.cy - expected.cy) / expected.size)
        by_rectangle.append(ROI.from_landmarks(landmarks[~np.isnan(landmarks[:, 0])]).size / expected.size)
    assert np.median(by_rectangle) < 0.92
    assert 0.93 < np.median(ratios) < 1.12
    assert np.median(shifts) < 0.05


def test_landmarks_that_span_the_face_are_cropped_by_their_own_rectangle(store, mean, tmp_path):
    other = relabeled(store, tmp_path / "68", IBUG_68, lambda points: convert(points, WFLW_98, IBUG_68))
    source = several_sets([other], ["300w"], mean, nothing_found)[0]
    roi = source.frame.roi(other.landmarks[0], NO_JITTER, np.random.default_rng(0))
    crops, labels = source.labeled_crops(np.array([0]), 32)
    assert ROI.from_landmarks(other.landmarks[0], roi.roll) == roi
    assert crops.shape == (1, 32, 32, 3)
    np.testing.assert_allclose(labels[0], roi.to_crop(other.landmarks[0]), atol=1e-5)


def test_mean_shapes_lie_on_the_plane_of_the_first_98(store, other, coarse, mean):
    rough = mean * 0.8 + 0.1
    sets = several_sets([coarse, store, other], ["a", "b", "c"], rough, nothing_found)
    np.testing.assert_allclose(sets[1].frame.shape, mean, atol=1e-5)
    np.testing.assert_allclose(sets[0].frame.shape, converted(mean, "cofw29"), atol=0.01)
    # An affine map hides what all landmarks of a convention have in common.
    difference = sets[2].frame.shape - mean
    assert np.abs(difference.mean(axis=0)).max() < 1e-3
    assert difference[33:51, 1].mean() > 0.01
    alone = several_sets([coarse], ["a"], rough, nothing_found)[0]
    np.testing.assert_allclose(alone.frame.shape, converted(rough, "cofw29"), atol=0.01)


def test_a_scheme_of_ones_own_is_placed_by_the_landmarks_found(store, mine, mean):
    by_corner = {tuple(store.landmarks[i][60].round(3)): store.landmarks[i] for i in store.faces}
    sets = several_sets([mine], ["mine"], mean, lambda image, points: by_corner[tuple(points[0].round(3))])
    np.testing.assert_allclose(sets[0].frame.shape, mean[list(CORNERS)], atol=0.01)
    assert len(sets[0].frame.outline) == 98
    with pytest.raises(ValueError, match="cannot place mine4 on the plane: found no face"):
        several_sets([mine], ["mine"], mean, lambda image, points: None)


@pytest.fixture
def four(store, other, coarse, mine, mean):
    """A network and the sets that it knows."""
    names = ["renders", "other", "coarse", "mine"]
    found = {tuple(store.landmarks[i][60].round(3)): store.landmarks[i] for i in store.faces}
    sets = several_sets(
        [store, other, coarse, mine], names, mean, lambda image, points: found[tuple(points[0].round(3))]
    )
    labels = {name: source.store.scheme.name for name, source in zip(names, sets, strict=True)}
    config = TUFAConfig("patches", input_size=32, patch=16, dim=32, depth=1, heads=2, decoder_depth=1)
    shapes = {name: source.frame.shape for name, source in zip(names, sets, strict=True)}
    return new_tufa(config, shapes, 0, labels), sets


def test_one_batch_has_crops_of_all_sets_with_their_own_anchors(four):
    model, sets = four
    task = TUFATask(sets, Recipe(samples=None, batch_size=48, input_size=32), 0, 24, weights=[1, 1, 1, 1])
    task.begin(model)
    batch = next(iter(task.batches(32, 0)))
    known = ~batch["landmarks"].isnan().any(-1)
    own = batch["row"][:, 0]  # padding comes last
    limits = [model.rows(name) for name in ("renders", "other", "coarse", "mine")]
    of_set = [(own > rows.start) & (own <= rows.stop) for rows in limits]
    assert all(inside.sum() > 2 for inside in of_set)
    assert (own == 0).sum() > 1  # dense points of the renders
    assert set(known[of_set[0]].sum(-1).tolist()) == set(known[of_set[1]].sum(-1).tolist()) == {24}
    assert set(known[of_set[2]].sum(-1).tolist()) == {20, 24}
    assert set(known[of_set[3]].sum(-1).tolist()) == {4}
    for rows, inside in zip(limits, of_set, strict=True):
        row, labeled = batch["row"][inside], known[inside]
        assert ((row > rows.start) & (row <= rows.stop))[labeled].all()
        assert all(len(set(each.tolist())) == 24 for each in row)
    loss, _ = task.loss(model, prepare(batch))
    assert loss.isfinite()
    loss.backward()
    # What is unknown teaches nothing: of `mine` only its own four rows may learn from its crops.
    assert model.alignment.weight.grad[1:].abs().sum(-1).bool().any()


def test_more_points_than_all_sets_have_are_refused(four):
    with pytest.raises(ValueError, match="have 229 points together, got --points 300"):
        PlanePoints(four[0], ("mine",), 300, MINE, pad=True)


def test_a_mirrored_crop_is_asked_for_mirrored_points_and_offsets(four):
    model, sets = four
    with torch.no_grad():
        model.alignment.weight[1:] = torch.from_numpy(np.random.default_rng(0).normal(0, 0.02, (229, 2))).float()
    points = PlanePoints(model, ("other",), 24, WFLW_98, pad=True)
    crops = {
        flip: sets[1].crop(3, 32, replace(NO_JITTER, flip_prob=flip), np.random.default_rng(0)) for flip in (0.0, 1.0)
    }
    drawn = {flip: points.draw(crop, None, np.random.default_rng(1)) for flip, crop in crops.items()}
    np.testing.assert_array_equal(drawn[0.0][1], drawn[1.0][1])
    np.testing.assert_allclose(drawn[1.0][0][:, 0], 1 - drawn[0.0][0][:, 0], atol=1e-6)
    np.testing.assert_allclose(drawn[1.0][2][:, 0], 1 - drawn[0.0][2][:, 0], atol=1e-5)
    np.testing.assert_allclose(drawn[1.0][2][:, 1], drawn[0.0][2][:, 1], atol=1e-5)
    asked = {}
    for flip, (places, row, _) in drawn.items():
        model.mapped = lambda feature, plane, flip=flip: asked.setdefault(flip, plane)
        model(
            torch.zeros(1, 3, 32, 32),
            torch.from_numpy(places)[None].float(),
            torch.from_numpy(row)[None],
            torch.tensor([flip == 1.0]),
        )
    expected = asked[0.0].detach() * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0])
    torch.testing.assert_close(asked[1.0].detach(), expected)


def conventions_task(store, other, mean, align=True):
    """Both conventions of the same faces, framed at random, and a network that knows them."""
    sets = several_sets([store, other], ["ours", "theirs"], mean, nothing_found)
    sets = [replace(source, sources=source.sources[:1]) for source in sets]
    # Crops that follow the labels exactly would hide the convention: the labels' rectangle moves with it.
    jitter = replace(NO_JITTER, center_sigma=0.07, scale_sigma=0.1, scale_limit=0.25, flip_prob=0.5)
    recipe = Recipe(samples=None, batch_size=16, lr=3e-3, warmup_steps=10, input_size=32, jitter=jitter)
    task = TUFATask(sets, replace(recipe, augment=NO_AUGMENT), 0, 24, align=align)
    shapes = {"ours": sets[0].frame.shape, "theirs": sets[1].frame.shape}
    config = TUFAConfig("patches", input_size=32, dim=32, depth=1, heads=2, decoder_depth=2)
    model = new_tufa(config, shapes, 0, dict.fromkeys(shapes, "wflw98"))
    task.begin(model)
    freeze(model, set(model.PARTS) - set(task.trained))
    return task, model, sets[1].frame.shape - sets[0].frame.shape


def optimize(task, model, steps, prepared=lambda batch: batch):
    """Train; return the last losses' mean in percent of the crop."""
    recipe, losses, batches = task.recipe, [], iter(task.batches(32, 0))
    learns = any(parameter.requires_grad for parameter in model.parameters())
    optimizer = loop.make_optimizer(model, recipe) if learns else None
    for step in range(steps):
        loss, _ = task.loss(model, prepared(prepare(next(batches))))
        losses.append(float(loss.detach()))
        if learns:
            loop.apply_step(optimizer, model.parameters(), loss, loop.learning_rate(recipe, step / steps, step), 2.0)
    return np.mean(losses[-20:])


def right_by_ours(model, mean):
    """Make the network map the plane as our labels say, by the affine map of each crop; for `optimize`."""
    plane, ours = torch.from_numpy(mean), model.rows("ours")

    def prepared(batch):
        theirs = batch["row"][:, :1, None] > ours.stop
        offset = torch.from_numpy(OFFSET)[(batch["row"] - 1) % 98]
        offset = torch.where(batch["flipped"][:, None, None], offset * torch.tensor([-1.0, 1.0]), offset)
        here = plane[(batch["row"] - 1) % 98]
        here = torch.where(batch["flipped"][:, None, None], torch.stack([1 - here[..., 0], here[..., 1]], -1), here)
        ones = torch.ones(*here.shape[:2], 1)
        target = torch.cat([here + offset * theirs, ones], -1)
        transform = torch.linalg.lstsq(target, batch["landmarks"]).solution
        model.mapped = lambda feature, points: torch.cat([points, ones], -1) @ transform
        return batch

    model.image_feature = lambda image: None
    for part in ("features", "encoder", "decoder"):
        getattr(model, part).requires_grad_(False)
    return prepared


def test_embeddings_on_beat_off_and_are_the_true_offsets(store, other, mean):
    task, model, before = conventions_task(store, other, mean)
    loss = optimize(task, model, 150, right_by_ours(model, mean))
    learned = (model.anchors("theirs") - model.anchors("ours")).numpy()
    np.testing.assert_allclose(learned.mean(axis=0), OFFSET.mean(axis=0), atol=0.002)
    assert np.abs(before - OFFSET).mean() > 0.02
    assert np.abs(learned - OFFSET).mean() < 0.003
    task, model, _ = conventions_task(store, other, mean, align=False)
    loss_without = optimize(task, model, 40, right_by_ours(model, mean))
    assert not model.alignment.weight.any()
    assert loss < loss_without - 1


@pytest.mark.slow
def test_a_network_learns_the_offsets_as_it_learns_faces(store, other, mean):
    # The same images under both conventions, framed at random: only the offset tells them apart.
    task, model, before = conventions_task(store, other, mean)
    optimize(task, model, 300)
    learned = (model.anchors("theirs") - model.anchors("ours")).detach().numpy()
    assert np.abs(learned - OFFSET).mean() < 0.5 * np.abs(before - OFFSET).mean()


def test_a_single_set_teaches_schemes_that_its_labels_convert_to(store):
    source = single_set(store, ("cofw29", WFLW_WITHOUT_IBUG, DENSE))
    shapes, sets = initial_anchors(SimpleNamespace(names=(), sources=source.sources), [source])
    assert {name: len(shape) for name, shape in shapes.items()} == {"cofw29": 29, WFLW_WITHOUT_IBUG: 30}
    np.testing.assert_array_equal(shapes["cofw29"][8], source.frame.shape[60])
    assert not sets
    assert source.split()[0].tolist() == store.split()[0].tolist()
    assert (
        single_set(store, (DENSE,)).split()[0].tolist() == np.intersect1d(store.split()[0], store.with_dense).tolist()
    )
