from __future__ import annotations

import torch

from edge_runtime.spec import standard_outputs
from export.formats.wrapper import wrap

ALL = tuple(standard_outputs(98))


def _images(noise_crops, count=3):
    return torch.from_numpy(noise_crops(count, seed=21))


def test_wrapper_says_what_the_network_says(model, noise_crops):
    images = _images(noise_crops)
    expected = model(images.permute(0, 3, 1, 2).float())
    for form in ({}, {"channels_last": True}, {"channels_last": True, "without_hard_swish": True}):
        results = wrap(model, ALL, **form)(images)
        for name, result in zip(standard_outputs(98), results, strict=True):
            torch.testing.assert_close(
                result.reshape(getattr(expected, name).shape), getattr(expected, name), rtol=1e-3, atol=1e-5
            )


def test_a_lite_network_says_the_same(tiny_lite, noise_crops):
    images = _images(noise_crops)
    outputs = tuple(standard_outputs(98, with_expressions=True))
    with torch.no_grad():
        network = tiny_lite(images.permute(0, 3, 1, 2).float())
        expected = network._asdict() | tiny_lite.expressions(images.permute(0, 3, 1, 2).float())._asdict()
        for form in ({}, {"channels_last": True}, {"channels_last": True, "without_hard_swish": True}):
            results = wrap(tiny_lite, outputs, **form)(images)
            for name, result in zip(outputs, results, strict=True):
                want = expected[name]
                torch.testing.assert_close(result.reshape(want.shape), want, rtol=1e-3, atol=1e-4)


def test_wrapper_shapes(model, noise_crops):
    shapes = [tuple(result.shape) for result in wrap(model, ALL)(_images(noise_crops))]
    assert shapes == [(3, 98, 2), (3, 98), (3, 3), (3, 1)]


def test_wrapping_leaves_the_network_untouched(model, noise_crops):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    wrap(model, ALL, channels_last=True, without_hard_swish=True)
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(p.requires_grad for p in model.parameters())


def test_a_planar_image_says_the_same(model, noise_crops):
    images = _images(noise_crops)
    planar = wrap(model, ALL, planar=True)(images.permute(0, 3, 1, 2).float())
    for a, b in zip(wrap(model, ALL)(images), planar, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_without_heads_the_landmarks_stay(model, noise_crops):
    images = _images(noise_crops)
    bare = wrap(model, ("landmarks", "uncertainty"))
    for a, b in zip(bare(images), wrap(model, ALL)(images)[:2], strict=True):
        assert torch.equal(a, b)
    assert not any("branch" in name and "landmark" not in name for name, _ in bare.named_modules())
