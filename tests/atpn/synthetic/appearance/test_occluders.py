import cv2
import numpy as np
import pytest

from atpn.synthetic.appearance import hands, occluders

SIZE = 192
SCALE = 11.0
EYES = np.array([[-3.1, -3.5, -8.5], [3.1, -3.5, -8.5]])
BRIDGE = np.array([0.0, -3.7, -10.7])
TEMPLES = np.array([[-7.4, -4.0, -2.0], [7.4, -4.0, -2.0]])


def turned(yaw: float):
    """A parallel projection of a head turned about the vertical axis: positive yaw shows its side at the right."""
    c, s = np.cos(yaw), np.sin(yaw)

    def project(points: np.ndarray) -> np.ndarray:
        x = c * points[:, 0] + s * points[:, 2]
        return np.stack([x, points[:, 1]], axis=1) * SCALE + SIZE / 2

    return project


def frontal_landmarks() -> np.ndarray:
    """98 plausible points of a frontal face in pixels."""
    points = np.zeros((98, 2))
    angle = np.linspace(np.pi, 0, 33)
    points[:33] = np.stack([7 * np.cos(angle), -3.5 + 11 * np.sin(angle)], axis=1)
    points[33:42] = np.stack([np.linspace(-5, -1.5, 9), np.full(9, -5.5)], axis=1)
    points[42:51] = points[33:42] * [-1, 1]
    points[51:55] = [[0, -3.7], [0, -2.4], [0, -1.1], [0, 0.2]]
    points[55:60] = np.stack([np.linspace(-1.6, 1.6, 5), np.full(5, 1.2)], axis=1)
    turn = np.linspace(np.pi, 3 * np.pi, 8, endpoint=False)
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    points[60:68] = [-3.1, -3.5] + ring * [1.5, 0.5]
    points[68:76] = [3.1, -3.5] + ring * [1.5, 0.5]
    turn = np.linspace(np.pi, 3 * np.pi, 12, endpoint=False)
    points[76:88] = np.stack([2.4 * np.cos(turn), 4 + 0.9 * np.sin(turn)], axis=1)
    points[88:96] = [0, 4] + ring * [2.0, 0.3]
    points[96:98] = [[-3.1, -3.5], [3.1, -3.5]]
    return points * SCALE + SIZE / 2


def face() -> np.ndarray:
    return np.full((SIZE, SIZE, 3), (200, 160, 140), np.float32)


def glasses(image, rng, yaw=0.0):
    return occluders.draw_glasses(image, turned(yaw), EYES, BRIDGE, TEMPLES, rng)


PAINTERS = {
    "glasses": glasses,
    "face mask": lambda image, rng: occluders.draw_face_mask(image, frontal_landmarks(), rng),
    "hand": lambda image, rng: hands.draw_hand(image, frontal_landmarks(), rng, np.array([120.0, 80, 60])),
    "object": lambda image, rng: occluders.draw_object(
        image, frontal_landmarks(), rng, rng.integers(0, 256, (32, 40, 3), np.uint8)
    ),
}


@pytest.mark.parametrize("painter", PAINTERS.values(), ids=PAINTERS.keys())
def test_paints_inside_its_mask_and_leaves_the_input(painter):
    image = face()
    for seed in range(12):
        out, covered = painter(image, np.random.default_rng(seed))
        assert out.shape == image.shape
        assert out.dtype == np.float32
        assert covered.shape == (SIZE, SIZE)
        assert covered.dtype == bool
        assert out.min() >= 0
        assert out.max() <= 255
        again, _ = painter(image, np.random.default_rng(seed))
        np.testing.assert_array_equal(out, again)
        changed = np.abs(out - image).max(axis=2)
        if covered.sum() > 50:
            assert changed[covered].mean() > 2 * changed[~covered].mean()
    np.testing.assert_array_equal(image, face())


def test_some_lenses_hide_the_eyes_and_some_do_not():
    x, y = np.round(turned(0)(EYES)[0]).astype(int)
    hidden = [glasses(face(), np.random.default_rng(seed))[1][y, x] for seed in range(40)]
    assert 0.1 < np.mean(hidden) < 0.5


def test_frontal_glasses_lie_around_both_eyes():
    out, _ = glasses(face(), np.random.default_rng(1))
    columns = np.flatnonzero(np.abs(out - face()).max(axis=(0, 2)) > 5)
    eyes = turned(0)(EYES)[:, 0]
    assert columns.min() < eyes[0] < eyes[1] < columns.max()
    assert abs((columns.min() + columns.max()) / 2 - SIZE / 2) < 3


@pytest.mark.parametrize("yaw", [0.7, -0.7])
def test_only_the_side_that_faces_the_camera_shows_its_temple_arm(yaw):
    near = 1 if yaw > 0 else 0
    for seed in range(6):
        usual, _ = glasses(face(), np.random.default_rng(seed), yaw)
        for side in (0, 1):
            moved = TEMPLES.copy()
            moved[side, 1] += 3
            other, _ = occluders.draw_glasses(face(), turned(yaw), EYES, BRIDGE, moved, np.random.default_rng(seed))
            assert np.array_equal(usual, other) == (side != near)


def test_face_mask_covers_mouth_and_chin_but_not_eyes():
    landmarks = frontal_landmarks()
    index = np.round(landmarks).astype(int)
    for seed in range(12):
        _, covered = occluders.draw_face_mask(face(), landmarks, np.random.default_rng(seed))
        visible = ~covered[index[:, 1], index[:, 0]]
        assert not visible[76:96].any()
        assert not visible[12:21].any()
        assert visible[60:76].all()
        assert visible[33:51].all()


def test_face_mask_takes_the_light_of_the_face():
    landmarks = frontal_landmarks()
    light, covered = occluders.draw_face_mask(face(), landmarks, np.random.default_rng(2))
    dark, _ = occluders.draw_face_mask(face() * 0.3, landmarks, np.random.default_rng(2))
    assert dark[covered].mean() < 0.6 * light[covered].mean()


def test_hands_touch_the_face_often_and_never_all_of_it():
    landmarks = frontal_landmarks()
    index = np.round(landmarks).astype(int)
    hidden = []
    for seed in range(40):
        _, covered = hands.draw_hand(face(), landmarks, np.random.default_rng(seed), np.array([90.0, 60, 50]))
        hidden.append(covered[index[:, 1], index[:, 0]].mean())
    assert np.mean(np.array(hidden) > 0) > 0.6
    assert max(hidden) < 0.9


def test_hands_rest_on_every_part_of_a_face():
    landmarks = frontal_landmarks()
    index = np.round(landmarks).astype(int)
    tone = np.array([200.0, 150, 130])
    covered = [hands.draw_hand(face(), landmarks, np.random.default_rng(seed), tone)[1] for seed in range(80)]
    hidden = np.mean([mask[index[:, 1], index[:, 0]] for mask in covered], axis=0)
    for part in (range(33, 51), range(76, 96), range(13, 20), range(4, 8)):  # brows, mouth, chin, a cheek
        assert 0.08 < hidden[list(part)].mean() < 0.7


def test_a_hand_is_skin_in_light_and_shade_one_piece_to_the_image_edge():
    tone = np.array([200.0, 150, 130])
    for seed in range(10):
        out, covered = hands.paint_hand(
            face(), np.array([96.0, 60.0]), -np.pi / 2, 9.0, tone, np.random.default_rng(seed)
        )
        _, _, sizes, _ = cv2.connectedComponentsWithStats(covered.astype(np.uint8))
        assert sizes[1:, cv2.CC_STAT_AREA].max() > 0.98 * covered.sum()
        assert covered[-1].any()  # the arm comes in from below
        skin = out[covered]
        assert (skin[:, 0] > skin[:, 2]).mean() > 0.95
        assert skin.mean(axis=1).std() > 12


def test_a_hand_beside_the_image_paints_nothing():
    tone = np.array([200.0, 150, 130])
    out, covered = hands.paint_hand(face(), np.array([900.0, 900.0]), 0.3, 9.0, tone, np.random.default_rng(0))
    assert not covered.any()
    np.testing.assert_array_equal(out, face())


def test_glasses_without_dark_lenses_never_hide_the_eyes():
    x, y = np.round(turned(0)(EYES)[0]).astype(int)
    for seed in range(30):
        drawn = occluders.draw_glasses(face(), turned(0), EYES, BRIDGE, TEMPLES, np.random.default_rng(seed), 0.0)
        assert not drawn[1][y, x]


def test_limb_is_a_rounded_bar():
    image, covered = np.zeros((40, 60, 3), np.float32), np.zeros((40, 60), bool)
    joints = np.array([[15.0, 20.0], [45.0, 20.0]])
    occluders.paint_limb(image, joints, (6.0, 6.0), np.full(3, 200.0), np.array([0, 0, 1.0]), covered)
    y, x = np.mgrid[:40, :60]
    distance = np.hypot(x - np.clip(x, 15, 45), y - 20)
    np.testing.assert_array_equal(covered, distance < 6)
    assert image[20, 30].min() > image[25, 30].max()  # the middle faces the light, the edge does not


def test_limb_outside_the_image_paints_nothing():
    image, covered = np.zeros((20, 20, 3), np.float32), np.zeros((20, 20), bool)
    occluders.paint_limb(image, np.full((2, 2), -50.0), (5.0, 5.0), np.full(3, 200.0), np.array([0, 0, 1.0]), covered)
    assert not covered.any()
    assert not image.any()


def test_polygon_area_is_right_to_a_pixel_of_its_edge():
    square = np.array([[10.25, 10.25], [30.25, 10.25], [30.25, 30.25], [10.25, 30.25]])
    alpha = occluders.polygon_alpha((40, 40), square)
    assert alpha.max() == 1
    assert alpha.sum() == pytest.approx(400, abs=80)


def test_broken_projections_do_not_crash():
    assert occluders.polygon_alpha((8, 8), np.array([[np.nan, 1], [1e9, -1e9], [3, 4]])).shape == (8, 8)


def test_face_scale_is_near_the_truth():
    assert occluders.face_scale(frontal_landmarks()) == pytest.approx(SCALE, rel=0.15)
