import numpy as np
import pytest
import torch

from atpn.model import ATPN, CheckpointError, load_checkpoint, load_network
from atpn.tufa.config import SIZES, TUFAConfig
from atpn.tufa.network import TUFA, new_tufa, take_features
from atpn.weights import SHIPPED


def images(model, count=2):
    return torch.randint(0, 256, (count, 3, model.config.input_size, model.config.input_size)).float()


@pytest.mark.parametrize(("size", "grid"), [("vit-s16", 16), ("vit-s8", 32)])
def test_published_sizes_have_the_published_parameters(size, grid):
    with torch.device("meta"):
        model = TUFA(SIZES[size], torch.zeros(0, 2))
    assert model.config.grid == grid
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(36.0e6, rel=0.01)  # thesis, table 6.1


def test_any_number_of_points_is_mapped(tiny):
    for count in (1, 7, 200):
        assert tiny(images(tiny), torch.rand(2, count, 2)).shape == (2, count, 2)


def test_an_untrained_network_begins_at_the_anchors(tiny):
    plane = torch.rand(2, 5, 2)
    torch.testing.assert_close(tiny(images(tiny), plane), plane, atol=0.05, rtol=0)


def test_other_picture_sizes_are_refused(tiny):
    with pytest.raises(ValueError, match=r"takes \(B, 3, 32, 32\)"):
        tiny(torch.zeros(1, 3, 48, 48), torch.zeros(1, 1, 2))


def test_rows_name_each_scheme_s_points_in_order(tiny):
    assert tiny.rows("wflw98") == slice(0, 98)
    assert tiny.rows("ibug68") == slice(98, 166)
    assert tiny.rows("cofw29") == slice(166, 195)
    with pytest.raises(ValueError, match="no anchors of 'lips'; it knows wflw98, ibug68, cofw29"):
        tiny.rows("lips")


def test_rows_shift_their_points_alone(tiny):
    with torch.no_grad():
        tiny.alignment.weight[1 + 98 + 4] = torch.tensor([0.1, -0.05])
    plane = torch.full((1, 2, 2), 0.5)
    image = images(tiny, 1)
    shifted = tiny(image, plane, torch.tensor([[0, 1 + 98 + 4]]))
    by_hand = tiny(image, torch.tensor([[[0.5, 0.5], [0.6, 0.45]]]))
    torch.testing.assert_close(shifted, by_hand)
    torch.testing.assert_close(tiny.anchors("ibug68")[4], tiny.mean_shapes[102] + torch.tensor([0.1, -0.05]))


def test_points_of_no_scheme_are_never_shifted(tiny):
    optimizer = torch.optim.Adam(tiny.alignment.parameters(), 0.1)
    row = torch.tensor([[0, 0, 1, 5]])
    for _ in range(3):
        optimizer.zero_grad()
        tiny(images(tiny, 1), torch.rand(1, 4, 2), row).sum().backward()
        optimizer.step()
    moved = tiny.alignment.weight.abs().sum(1) > 0
    assert moved.nonzero().flatten().tolist() == [1, 5]


def test_a_new_scheme_leaves_the_others_as_they_are(tiny):
    with torch.no_grad():
        tiny.alignment.weight[1:].normal_()
    shape = np.random.default_rng(0).random((5, 2)).astype(np.float32)
    other = tiny.with_scheme("lips", shape)
    assert other.config.schemes[-1] == ("lips", 5)
    for name in ("wflw98", "ibug68", "cofw29"):
        assert torch.equal(other.anchors(name), tiny.anchors(name))
    np.testing.assert_array_equal(other.anchors("lips").numpy(), shape)
    assert not other.alignment.weight[0].any()
    assert [name for name, _ in tiny.config.schemes] == ["wflw98", "ibug68", "cofw29"]
    image, plane = images(tiny), torch.rand(2, 3, 2)
    assert torch.equal(other(image, plane), tiny(image, plane))


def test_a_known_scheme_is_replaced(tiny):
    with torch.no_grad():
        tiny.alignment.weight[1:].normal_()
    shape = np.full((3, 2), 0.25, np.float32)
    other = tiny.with_scheme("ibug68", shape)
    assert other.config.schemes == (("wflw98", 98), ("cofw29", 29), ("ibug68", 3))
    assert torch.equal(other.anchors("cofw29"), tiny.anchors("cofw29"))
    np.testing.assert_array_equal(other.anchors("ibug68").numpy(), shape)


@pytest.mark.parametrize("embedding", ["patches", "features"])
def test_a_resized_network_keeps_what_it_knows(embedding):
    config = TUFAConfig(embedding, input_size=64, dim=32, depth=1, heads=2, decoder_depth=1)
    model = new_tufa(config, {"a": np.array([[0.5, 0.5]], np.float32)}, seed=0).eval()
    other = model.resized(96)
    assert other.config.input_size == 96
    assert other.encoder.position.shape[0] == 36 + (embedding == "features")
    torch.testing.assert_close(
        other.encoder.position[:36].mean(0), model.encoder.position[:16].mean(0), atol=0.01, rtol=0
    )
    if embedding == "features":
        assert torch.equal(other.encoder.position[-1], model.encoder.position[-1])
    assert other(images(other), torch.rand(2, 3, 2)).shape == (2, 3, 2)
    assert model(images(model), torch.rand(2, 3, 2)).shape == (2, 3, 2)
    torch.testing.assert_close(other.resized(64).mean_shapes, model.mean_shapes)


def test_attention_is_a_distribution_over_the_picture(tiny):
    attention = tiny.attention(tiny.image_feature(images(tiny)), torch.rand(2, 5, 2))
    assert attention.shape == (2, 5, 2, 2)
    torch.testing.assert_close(attention.sum((2, 3)), torch.ones(2, 5))


def test_features_are_those_of_the_trained_network():
    atpn = load_checkpoint(SHIPPED)[0]
    views = atpn.config.separable_views
    model = new_tufa(TUFAConfig(separable_views=views, dim=32, depth=1, heads=2, decoder_depth=1), {}, seed=0).eval()
    take_features(model, atpn)
    image = images(model)
    with torch.no_grad():
        view = model.features((image - model.image_mean) / model.image_std)
        torch.testing.assert_close(view.patches[:, -atpn.features(image).high.shape[1] :], atpn.features(image).high)
        torch.testing.assert_close(view.face, atpn.face_embedding(image))


def test_pieces_of_the_picture_take_no_features(tiny, atpn):
    with pytest.raises(ValueError, match="use --size small"):
        take_features(tiny, atpn)


def test_checkpoints_keep_network_and_anchors(tiny, tiny_tufa):
    model, metadata = load_network(tiny_tufa, TUFA)
    assert metadata["stage"] == "none"
    assert torch.equal(model.anchors("cofw29"), tiny.anchors("cofw29"))
    with pytest.raises(CheckpointError, match="expected ATPN"):
        load_network(tiny_tufa, ATPN)
