from __future__ import annotations

import pytest
import torch

from atpn.model import ATPN, ATPNConfig, load_checkpoint, save_checkpoint
from atpn.model.complexity import complexity
from atpn.model.expression_branch import (
    EYE_GRID,
    FINE_GRID,
    MOUTH_GRID,
    ExpressionBranch,
    FaceReading,
    ReadOut,
    sample_features,
    sample_pixels,
)
from edge_runtime.expressions import EXPRESSIONS
from edge_runtime.landmarks import LandmarkScheme

GIVEN = tuple(name for name in EXPRESSIONS if name != "tongueOut")


@pytest.fixture
def model(tiny_model):
    torch.manual_seed(0)
    return tiny_model.with_config(expressions=GIVEN).eval()


def test_outputs_are_bounded_and_what_is_not_given_is_zero(model, images):
    found = model.expressions(images)
    assert found.expressions.shape == (len(images), 52)
    assert found.gaze.shape == (len(images), 2, 2)
    assert ((found.expressions >= 0) & (found.expressions <= 1)).all()
    assert not found.expressions[:, EXPRESSIONS.index("tongueOut")].any()
    assert (found.expressions[:, EXPRESSIONS.index("jawOpen")] > 0).all()


def test_the_branch_leaves_the_network_as_it_was(tiny_model, model, images):
    for before, after in zip(tiny_model.eval()(images), model(images), strict=True):
        assert torch.equal(before, after)
    assert "expression_branch" in model.PARTS
    assert "expression_branch" not in tiny_model.PARTS


def _ramps(grid):
    """A (1, 2, grid, grid) map of x, then y, in [0, 1]."""
    axis = (torch.arange(grid) + 0.5) / grid
    return torch.stack([axis[None].expand(grid, grid), axis[:, None].expand(grid, grid)])[None]


@pytest.mark.parametrize("channels_last", [False, True])
def test_grids_are_sampled_bilinearly_at_their_places(channels_last):
    columns, rows = torch.tensor([0.31, 0.4, 0.7]), torch.tensor([0.62, 0.77])
    found = sample_features(_ramps(20), columns[None], rows[None], channels_last)[0]
    assert torch.allclose(found[0], columns[None].expand(2, 3), atol=1e-6)
    assert torch.allclose(found[1], rows[:, None].expand(2, 3), atol=1e-6)


def test_samples_between_cells_match_an_image_resampled_by_a_reference():
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    columns, rows = torch.tensor([0.2, 0.37, 0.81]), torch.tensor([0.15, 0.5, 0.66, 0.9])
    places = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)[None] * 2 - 1
    expected = torch.nn.functional.grid_sample(image, places, align_corners=False)
    for channels_last in (False, True):
        found = sample_features(image, columns[None], rows[None], channels_last)
        assert torch.allclose(found, expected, atol=1e-5)
    # Two grids, the other one mirrored.
    both = torch.stack([columns, columns.flip(0)])[None], rows[None, None].expand(1, 2, -1)
    found = sample_pixels(image[:, 0], *both)
    assert torch.allclose(found, torch.stack([expected[:, 0], expected[:, 0].flip(2)], dim=1), atol=1e-5)


def test_read_outs_do_not_depend_on_the_layout():
    torch.manual_seed(0)
    layer, features = ReadOut(3, 2, 4, 5), torch.randn(2, 3, 2, 4)
    expected = layer(features)
    layer.channels_last = True
    assert torch.allclose(layer(features), expected, atol=1e-6)


def _face(model, seed=1):
    """A random reading whose landmarks are the mean shape."""
    generator, config = torch.Generator().manual_seed(seed), model.config
    sizes = {"image": (3, 112, 112), "fine": (2 * config.channels(32), 28, 28)}
    maps = {name: torch.randn(1, *size, generator=generator) for name, size in sizes.items()}
    vector = torch.randn(1, config.channels(512), generator=generator)
    return FaceReading(**maps, vector=vector, landmarks=model.mean_shape[None], pose=torch.zeros(1, 3))


@pytest.mark.parametrize("axis", [0, 1])
def test_patches_lie_around_eyes_and_mouth(model, axis):
    face = _face(model)
    landmarks = torch.full((1, 98, 2), 0.5)
    landmarks[0, [*range(60, 68), 96]] = torch.tensor([0.4, 0.45])  # the eye at the image's left
    image, fine = _ramps(112)[:, [axis] * 3], face.fine.clone()
    fine[0, 0] = _ramps(28)[0, axis]
    patches = model.expression_branch.patches(face._replace(landmarks=landmarks, image=image, fine=fine))
    expected_shapes = [(1, 2, EYE_GRID.rows, EYE_GRID.columns), (1, MOUTH_GRID.rows, MOUTH_GRID.columns)]
    assert [patches.eyes.shape, patches.mouth.shape] == expected_shapes
    assert patches.fine.shape == (1, face.fine.shape[1], FINE_GRID.rows, FINE_GRID.columns)

    def places(grid, center, mirror=1.0):
        columns, rows = grid.offsets()
        if axis == 0:
            return (center + mirror * columns)[None].expand(grid.rows, -1)
        return (center + rows)[:, None].expand(-1, grid.columns)

    assert torch.allclose(patches.eyes[0, 0], places(EYE_GRID, (0.4, 0.45)[axis]), atol=1e-5)
    assert torch.allclose(patches.eyes[0, 1], places(EYE_GRID, 0.5, mirror=-1.0), atol=1e-5)
    assert torch.allclose(patches.mouth[0], places(MOUTH_GRID, 0.5), atol=1e-5)
    assert torch.allclose(patches.fine[0, 0], places(FINE_GRID, 0.5), atol=1e-5)


def test_eyes_of_a_mirrored_face_are_read_alike(model):
    face = _face(model)
    scheme = model.config.scheme
    mirrored = face.landmarks[:, list(scheme.mirror)] * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0])
    other = face._replace(image=face.image.flip(-1), landmarks=mirrored)
    eyes, mirrored_eyes = (model.expression_branch.patches(reading).eyes for reading in (face, other))
    assert torch.allclose(mirrored_eyes, eyes.flip(1), atol=1e-4)


@pytest.mark.parametrize("part", ["image", "fine", "vector", "landmarks", "pose"])
def test_every_part_of_a_reading_matters(model, part):
    face = _face(model)
    other = face._replace(**{part: getattr(face, part) + 0.3 * torch.randn_like(getattr(face, part))})
    before, after = (model.expression_branch.read(reading) for reading in (face, other))
    assert (before.logits - after.logits).abs().max() > 1e-4


def test_training_in_bfloat16_computes_what_inference_does(model):
    reading = _face(model)
    exact = model.expression_branch.read(reading)
    branch = model.expression_branch.to(memory_format=torch.channels_last)
    maps = {name: getattr(reading, name).to(memory_format=torch.channels_last) for name in ("fine", "image")}
    with torch.autocast("cpu", torch.bfloat16):
        rough = branch.read(reading._replace(**maps))
    assert (rough.logits - exact.logits).abs().max() < 0.1 * exact.logits.std()
    assert (rough.gaze - exact.gaze).abs().max() < 0.1 * exact.gaze.std()


def test_gaze_starts_from_the_heads_angles(model):
    face = _face(model)
    torch.nn.init.zeros_(model.expression_branch.gaze.weight)
    torch.nn.init.zeros_(model.expression_branch.gaze.bias)
    gaze = model.expression_branch(face._replace(pose=torch.tensor([[0.1, -0.4, 0.9]]))).gaze
    assert torch.allclose(gaze, torch.tensor([[[-0.4, 0.1]] * 2]))


def test_checkpoints_keep_the_branch_and_older_ones_load_without(tmp_path, tiny_model, model, images):
    save_checkpoint(tmp_path / "with.safetensors", model, {})
    again, _ = load_checkpoint(tmp_path / "with.safetensors")
    assert again.config.expressions == GIVEN
    assert torch.equal(again.expressions(images).gaze, model.expressions(images).gaze)
    old = {key: value for key, value in tiny_model.stored_config.items() if key != "expressions"}
    assert ATPN.from_config(old).expression_branch is None


def test_a_network_without_the_branch_says_what_to_do(tiny_model, images):
    with pytest.raises(ValueError, match="train expressions"):
        tiny_model.expressions(images)


def test_unknown_coefficients_and_schemes_without_eyes_are_refused():
    with pytest.raises(ValueError, match="'smile'"):
        ATPNConfig(expressions=("smile",))
    groups = {"eyes": (0, 1), "nose": (2,)}
    points = LandmarkScheme("dots", 3, groups, mirror_pairs=((0, 1),), edges=(), outer_eye_corners=(0, 1))
    config = ATPNConfig(scheme=points, expressions=("jawOpen",))
    with pytest.raises(ValueError, match="scheme dots has no group 'left_eye'"):
        ExpressionBranch(config, torch.zeros(3, 2))


def test_the_branch_keeps_its_budget():
    model = ATPN(ATPNConfig(expressions=GIVEN), torch.full((98, 2), 0.5)).eval()
    cost = complexity(model)["expression_branch"]
    assert 100_000 < cost.parameters <= 150_000
    assert 1_000_000 < cost.macs <= 5_000_000


def test_another_input_size_keeps_the_branch(model):
    assert model.resized(64).expressions(torch.zeros(1, 3, 64, 64)).gaze.shape == (1, 2, 2)
