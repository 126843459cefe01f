import numpy as np

from atpn.data.sample import Sample
from atpn.evaluate.protocols.masked import masked
from edge_runtime.landmarks import IBUG_68


def test_blocks_cover_over_half_of_the_faces_rectangle_on_average():
    landmarks = np.random.default_rng(0).uniform(50, 150, (68, 2)).astype(np.float32)
    landmarks[:2] = (50, 50), (150, 150)
    image = np.full((200, 200, 3), 77, np.uint8)
    samples = [Sample(image, landmarks, IBUG_68, key=f"300w_{i}") for i in range(200)]
    changed = np.stack([(masked(sample).image != image).any(axis=2) for sample in samples])
    assert 0.5 < changed[:, 50:150, 50:150].mean() < 0.65
    outside = np.ones((200, 200), bool)
    outside[50:151, 50:151] = False
    assert not changed[:, outside].any()
    assert (image == 77).all()


def test_a_face_always_gets_the_same_blocks():
    sample = Sample(np.zeros((64, 64, 3), np.uint8), np.float32([[5, 5], [50, 60]]), IBUG_68, key="300w_ibug_1")
    first, again = masked(sample), masked(sample)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.landmarks, sample.landmarks)
    other = masked(Sample(sample.image, sample.landmarks, IBUG_68, key="300w_ibug_2"))
    assert (other.image != first.image).any()


def test_a_face_at_the_images_edge_is_covered_where_it_shows():
    sample = Sample(np.zeros((64, 64, 3), np.uint8), np.float32([[-30, -30], [20, 90]]), IBUG_68, key="edge")
    assert masked(sample).image.shape == (64, 64, 3)
