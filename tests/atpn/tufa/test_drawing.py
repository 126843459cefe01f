import cv2
import numpy as np
import pytest
import torch

from atpn.data.drawing import POINT, draw_points
from atpn.evaluate.plots import COLORS
from atpn.model import save_checkpoint
from atpn.tufa import attention, shapes
from atpn.tufa.attention import AttentionConfig, show_attention
from atpn.tufa.shapes import ShapesConfig, show_shapes


def test_points_and_edges_are_where_they_should():
    image = np.zeros((60, 60, 3), np.uint8)
    draw_points(image, np.array([[10.0, 20.0], [50.0, 20.0]]), ((0, 1),))
    assert tuple(image[20, 10]) == tuple(image[20, 50]) == POINT
    assert image[20, 30].min() > 200
    assert not image[30:].any()
    draw_points(image, np.array([[1e9, -1e9]]))  # far outside: nothing to see, nothing to break


def test_attention_has_a_row_per_face(tiny_tufa, dense_shards, tmp_path):
    config = AttentionConfig("cofw29", dense_shards, tmp_path / "maps.png", tiny_tufa, faces=2, points=3)
    image = show_attention(config)
    np.testing.assert_array_equal(cv2.imread(str(config.out)), image)
    assert image.shape == (2 * attention.SIDE, 5 * attention.SIDE, 3)


def test_a_map_is_bright_where_the_weights_are():
    heat = np.full((4, 4), 0.01)
    heat[2, 1] = 0.5
    tile = attention._tile(np.zeros((attention.SIDE, attention.SIDE, 3), np.uint8), heat, "")
    y, x = np.unravel_index(tile.sum(axis=2).argmax(), tile.shape[:2])
    assert (int(4 * y / attention.SIDE), int(4 * x / attention.SIDE)) == (2, 1)


def test_shapes_are_drawn_before_and_after_alignment(tiny, tmp_path):
    with torch.no_grad():
        tiny.alignment.weight[1:][tiny.rows("cofw29")] += torch.tensor([0.1, 0.0])
    save_checkpoint(tmp_path / "tufa.safetensors", tiny, {})
    config = ShapesConfig(tmp_path / "shapes.png", tmp_path / "tufa.safetensors", schemes=("cofw29",))
    image = show_shapes(config)
    np.testing.assert_array_equal(cv2.imread(str(config.out)), image)
    assert image.shape == (shapes.SIDE, 2 * shapes.SIDE, 3)
    before, after = ((panel[80:] == COLORS[0]).all(axis=2) for panel in np.hsplit(image, 2))
    assert before.sum() == pytest.approx(after.sum(), rel=0.2)
    moved = np.nonzero(after)[1].mean() - np.nonzero(before)[1].mean()
    extent = np.ptp(tiny.anchors("cofw29").numpy(), axis=0)[1] / np.ptp(np.nonzero(before)[0])
    assert moved * extent == pytest.approx(0.1, rel=0.15)


def test_unknown_schemes_and_counts_are_refused(tiny_tufa, dense_shards, tmp_path):
    with pytest.raises(ValueError, match="no anchors of 'lips'"):
        show_shapes(ShapesConfig(tmp_path / "shapes.png", tiny_tufa, schemes=("lips",)))
    with pytest.raises(ValueError, match="must be positive"):
        AttentionConfig("cofw29", dense_shards, tmp_path / "maps.png", faces=0)
