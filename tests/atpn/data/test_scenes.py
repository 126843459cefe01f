import numpy as np
import pytest

from atpn.data.sample import Sample
from atpn.data.scenes import SceneConfig, background_roi, cut, displaced_roi, embed, make_scene, negative_roi, trim
from edge_runtime.geometry import ROI


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def dotted(rng):
    """A gray image whose only landmarks-rectangle corner is a white square, and its landmarks."""
    image = np.full((120, 120, 3), 60, np.uint8)
    image[68:73, 48:53] = 255
    landmarks = rng.uniform(40, 80, (98, 2)).astype(np.float32)
    landmarks[0] = (50, 70)
    return image, landmarks


def center_of_white(image):
    y, x = np.nonzero(image[..., 0] > 200)
    return np.array([x.mean(), y.mean()])


def test_negatives_stay_below_the_iou_bound(rng):
    face = ROI(100, 90, 80, roll=0.3)
    rois = [negative_roi(face, rng) for _ in range(500)]
    assert max(roi.iou(face) for roi in rois) < 0.3
    sizes = np.array([roi.size for roi in rois]) / face.size
    # All three kinds occur: parts, wide views, neighbors.
    assert (sizes < 0.5).sum() > 50
    assert (sizes > 1.9).sum() > 50
    assert sum(roi.iou(face) > 0 for roi in rois) > 250


def test_embedding_moves_landmarks_with_the_image(rng):
    for _ in range(5):
        image, landmarks = dotted(rng)
        scene, moved = embed(image, landmarks, np.zeros((50, 50, 3), np.uint8), SceneConfig(), rng)
        assert scene.shape == (180, 180, 3)
        np.testing.assert_allclose(center_of_white(scene), moved[0], atol=0.6)


def test_trimming_moves_landmarks_and_cuts_into_the_roi(rng):
    cut = False
    for _ in range(20):
        image, landmarks = dotted(rng)
        rest, moved = trim(image, landmarks, 0.15, rng)
        np.testing.assert_allclose(center_of_white(rest), moved[0], atol=0.6)
        corners = ROI.from_landmarks(moved).corners()
        height, width = rest.shape[:2]
        cut |= bool((corners < -1).any() or (corners[:, 0] > width).any() or (corners[:, 1] > height).any())
    assert cut


def test_a_cut_leaves_less_than_half_of_the_face(rng):
    shares, sides = [], set()
    for _ in range(60):
        image, landmarks = dotted(rng)
        rest, moved = cut(image, landmarks, rng)
        assert max(image.shape[0] - rest.shape[0], image.shape[1] - rest.shape[1]) > 0
        offset = (landmarks - moved)[0]
        np.testing.assert_allclose(landmarks - moved, np.tile(offset, (98, 1)), atol=1e-4)
        np.testing.assert_array_equal(rest, image[int(offset[1]) :, int(offset[0]) :][: rest.shape[0], : rest.shape[1]])
        low, high = np.maximum(moved.min(0), 0), np.minimum(moved.max(0), np.array(rest.shape[1::-1]))
        shares.append(float(((high - low) / np.ptp(moved, axis=0)).prod()))
        sides.add((rest.shape[0] < 120, rest.shape[1] < 120, bool(offset.any())))
    assert min(shares) > 0.05
    assert max(shares) < 0.5
    assert len(sides) == 4


def test_displaced_rois_are_turned_by_any_roll_or_far_off(rng):
    landmarks = rng.uniform(40, 80, (98, 2))
    rois = [displaced_roi(landmarks, 0.2, rng) for _ in range(600)]
    turns = np.degrees(np.array([roi.roll for roi in rois]) - 0.2)
    turns = (turns + 180) % 360 - 180
    assert (np.histogram(turns, bins=6, range=(-180, 180))[0] > 30).all()
    level = [roi for roi, turn in zip(rois, turns, strict=True) if abs(turn) < 20]
    rule = ROI.from_landmarks(landmarks, 0.2)
    shifts = np.array([np.hypot(roi.cx - rule.cx, roi.cy - rule.cy) for roi in level]) / rule.size
    sizes = np.array([roi.size for roi in level]) / rule.size
    assert (shifts > 0.2).sum() > 30
    assert (sizes < 0.7).sum() > 1
    assert (sizes > 1.6).sum() > 10


def test_without_a_background_nothing_is_embedded(rng):
    image, landmarks = dotted(rng)
    for _ in range(20):
        scene, _ = make_scene(image, landmarks, None, SceneConfig(trim_prob=0.0), rng)
        assert scene is image


@pytest.mark.parametrize("shape", [(50, 90, 3), (90, 50, 3)])
def test_background_regions_lie_inside(rng, shape):
    image = Sample(np.zeros(shape, np.uint8)).image
    for _ in range(50):
        roi = background_roi(image, rng)
        assert roi.size <= 50
        assert roi.size / 2 <= roi.cx <= shape[1] - roi.size / 2
