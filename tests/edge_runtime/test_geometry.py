import math

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from edge_runtime.geometry import (
    ROI,
    FieldOfView,
    Intrinsics,
    angles_to_matrix,
    crop_to_camera,
    extract_crop,
    matrix_to_angles,
    upright_roll,
)

RNG = np.random.default_rng(0)


def turned(points: np.ndarray, angle: float) -> np.ndarray:
    """Complex multiplication: with y down, +angle turns clockwise as seen."""
    z = (points[:, 0] + 1j * points[:, 1]) * np.exp(1j * angle)
    return np.stack([z.real, z.imag], axis=1)


def test_roi_is_the_rectangle_plus_a_quarter_per_side_squared():
    points = np.array([[10.0, 20.0], [50.0, 30.0], [30.0, 100.0]])
    roi = ROI.from_landmarks(points)
    # 40 x 80 becomes 60 x 120, squared to 120 around (30, 60).
    assert (roi.cx, roi.cy, roi.size, roi.roll) == (30.0, 60.0, 120.0, 0.0)


@pytest.mark.parametrize("roll", [-2.0, -0.4, 0.0, 0.3, 1.5])
def test_roi_turns_with_the_face(roll):
    points = RNG.normal(size=(20, 2)) * (30, 50)
    upright = ROI.from_landmarks(points)
    roi = ROI.from_landmarks(turned(points, roll), roll=roll)
    center = turned(np.array([[upright.cx, upright.cy]]), roll)[0]
    assert (roi.cx, roi.cy) == pytest.approx(tuple(center))
    assert roi.size == pytest.approx(upright.size)
    assert np.allclose(roi.to_crop(turned(points, roll)), upright.to_crop(points))


def test_crop_coordinates_and_crop_matrix_are_one_rule():
    roi, size = ROI(61.3, 40.2, 77.0, 0.35), 112
    points = RNG.uniform(0, 100, (50, 2))
    pixels = points @ roi.crop_matrix(size)[:, :2].T + roi.crop_matrix(size)[:, 2]
    assert np.allclose(pixels, roi.to_crop(points) * size - 0.5)
    assert np.allclose(roi.to_frame(roi.to_crop(points)), points)


def test_roi_of_a_whole_square_image_is_the_identity():
    # A square image of n pixels spans -0.5 to n - 0.5.
    n = 64
    roi = ROI((n - 1) / 2, (n - 1) / 2, n)
    image = RNG.integers(0, 256, (n, n, 3), np.uint8)
    assert np.allclose(roi.crop_matrix(n), [[1, 0, 0], [0, 1, 0]])
    assert np.array_equal(extract_crop(image, roi, n), image)
    assert np.allclose(roi.corners(), np.array([[0, 0], [n, 0], [n, n], [0, n]]) - 0.5)


@pytest.mark.parametrize(("size", "roll"), [(40.0, 0.0), (90.0, 0.5), (600.0, -0.4)])
def test_a_point_lands_where_the_coordinates_say(size, roll):
    image = np.zeros((800, 800), np.uint8)
    roi = ROI(400.0, 380.0, size, roll)
    target = roi.to_frame(np.array([0.3, 0.7]))
    cv2.circle(image, tuple(np.rint(target * 16).astype(int)), int(size * 0.06 * 16), 255, cv2.FILLED, cv2.LINE_AA, 4)
    crop = extract_crop(image[..., None], roi, 112).reshape(112, 112).astype(float)
    ys, xs = np.mgrid[:112, :112]
    centroid = np.array([(crop * xs).sum(), (crop * ys).sum()]) / crop.sum()
    assert (centroid + 0.5) / 112 == pytest.approx([0.3, 0.7], abs=0.004)


def test_shrinking_does_not_alias():
    # A one-pixel checkerboard averages to gray.
    board = np.indices((640, 640)).sum(axis=0) % 2 * np.uint8(255)
    crop = extract_crop(np.repeat(board[..., None], 3, axis=2).astype(np.uint8), ROI(319.5, 319.5, 600.0, 0.2), 64)
    assert crop.std() < 25


def test_crop_beyond_the_image_repeats_its_edge():
    crop = extract_crop(np.full((1, 1, 3), 77, np.uint8), ROI(0.0, 0.0, 50.0), 16)
    assert crop.shape == (16, 16, 3)
    assert (crop == 77).all()


def inside(roi: ROI, points: np.ndarray) -> np.ndarray:
    delta = points - (roi.cx, roi.cy)
    local = turned(delta, -roi.roll)
    return (np.abs(local) <= roi.size / 2).all(axis=1)


@pytest.mark.parametrize(
    "other", [ROI(50, 50, 40), ROI(60, 45, 30, 0.6), ROI(50, 50, 40, math.pi / 4), ROI(80, 80, 50, -1.0)]
)
def test_iou_of_turned_squares_against_counting(other):
    roi = ROI(50, 50, 40)
    points = np.stack(np.meshgrid(np.arange(0, 130, 0.1), np.arange(0, 130, 0.1)), axis=-1).reshape(-1, 2)
    a, b = inside(roi, points), inside(other, points)
    assert roi.iou(other) == pytest.approx((a & b).sum() / (a | b).sum(), abs=0.005)
    assert roi.iou(other) == pytest.approx(other.iou(roi), abs=1e-5)


def test_iou_of_distant_squares_is_zero():
    assert ROI(0, 0, 10).iou(ROI(100, 0, 10, 0.3)) == 0


@pytest.mark.parametrize("bad", [(0, 0, 0), (0, 0, -1), (math.nan, 0, 5), (0, math.inf, 5)])
def test_roi_rejects_invalid_squares(bad):
    with pytest.raises(ValueError, match="positive size"):
        ROI(*bad)


@pytest.mark.parametrize("roll", [-3.0, -0.7, 0.0, 0.2, 1.6])
def test_upright_roll_is_the_turn_against_the_mean(roll):
    mean = RNG.normal(size=(98, 2))
    assert upright_roll(turned(mean, roll) * 37 + (5, 9), mean) == pytest.approx(roll)


ANGLES = RNG.uniform((-1.5, -3.1, -3.1), (1.5, 3.1, 3.1), (200, 3))


def test_angles_to_matrix_against_scipy():
    # Intrinsic rotations y, x, z by -yaw, -pitch, roll: the documented order and signs.
    expected = Rotation.from_euler("YXZ", ANGLES[:, [1, 0, 2]] * (-1, -1, 1)).as_matrix()
    assert np.allclose(angles_to_matrix(ANGLES), expected)


def test_matrix_to_angles_is_the_inverse_and_agrees_with_scipy():
    matrices = Rotation.random(200, random_state=1).as_matrix()
    expected = Rotation.from_matrix(matrices).as_euler("YXZ")[:, [1, 0, 2]] * (-1, -1, 1)
    assert np.allclose(matrix_to_angles(matrices), expected)
    assert np.allclose(matrix_to_angles(angles_to_matrix(ANGLES)), ANGLES)


@pytest.mark.parametrize("pitch", [math.pi / 2, -math.pi / 2])
def test_gimbal_lock_still_gives_the_same_rotation(pitch):
    matrix = angles_to_matrix(np.array([pitch, 0.4, 0.9]))
    angles = matrix_to_angles(matrix)
    assert angles[2] == 0
    assert np.allclose(angles_to_matrix(angles), matrix, atol=1e-6)


NOSE, CROWN, SUBJECTS_LEFT_EAR = np.array([0, 0, -1.0]), np.array([0, -1.0, 0]), np.array([1.0, 0, 0])
"""Directions in the head frame, which equals the camera's for a face that looks into the camera."""


def test_signs_of_the_angles():
    # Camera frame: x to the image's right, y down, z away from the camera.
    up = angles_to_matrix(np.array([0.5, 0, 0])) @ NOSE
    assert up[1] < 0, "pitch > 0 looks up"
    left = angles_to_matrix(np.array([0, 0.5, 0])) @ NOSE
    assert left[0] > 0, "yaw > 0 turns to the subject's left, the image's right"
    tilt = angles_to_matrix(np.array([0, 0, 0.5]))
    assert (tilt @ CROWN)[0] > 0, "roll > 0 tilts the crown clockwise in the image"
    assert (tilt @ SUBJECTS_LEFT_EAR)[1] > 0, "and the subject's left ear goes down to the shoulder"


def test_intrinsics_see_the_field_of_view_along_the_longer_side():
    camera = Intrinsics.from_fov(641, 481, 60)
    assert camera.ray(320, 240) == pytest.approx([0, 0, 1])
    left, right = camera.ray(-0.5, 240), camera.ray(640.5, 240)
    assert math.degrees(math.acos(left @ right)) == pytest.approx(60)
    with pytest.raises(ValueError, match="field of view"):
        Intrinsics.from_fov(640, 480, 180)
    with pytest.raises(ValueError, match=r"between 0\.1 and 179\.0 degrees, got 1e-300"):
        FieldOfView(1e-300)
    with pytest.raises(ValueError, match="positive focal"):
        Intrinsics(0, 1, 0, 0)


@pytest.mark.parametrize(("x", "y", "roll"), [(0, 0, 0), (639, 100, 0.4), (320, 479, -1.2), (319.5, 239.5, 0)])
def test_crop_to_camera_turns_the_axis_to_the_ray_by_the_smallest_rotation(x, y, roll):
    camera = Intrinsics.from_fov(640, 480)
    matrix = crop_to_camera(ROI(x, y, 50, roll), camera)
    ray = np.array([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, 1])
    ray /= np.linalg.norm(ray)
    assert np.allclose(matrix @ (0, 0, 1), ray)
    angle = math.acos(ray[2])
    axis = np.cross((0, 0, 1), ray)
    axis = axis / np.linalg.norm(axis) if angle else axis
    expected = Rotation.from_rotvec(axis * angle) * Rotation.from_euler("z", roll)
    assert np.allclose(matrix, expected.as_matrix())


def test_face_at_the_edge_looking_along_the_optical_axis_has_yaw_zero():
    camera = Intrinsics.from_fov(640, 480)
    roi = ROI(600, camera.cy, 60)
    # Seen along the ray to it, such a face is turned away from the viewer by the ray's angle, towards the image's edge.
    ray_angle = math.atan((600 - camera.cx) / camera.fx)
    in_crop = angles_to_matrix(np.array([0, ray_angle, 0]))
    assert matrix_to_angles(crop_to_camera(roi, camera) @ in_crop) == pytest.approx([0, 0, 0], abs=1e-9)


def test_crop_roll_adds_to_the_heads_roll():
    camera = Intrinsics.from_fov(640, 480)
    roi = ROI(camera.cx, camera.cy, 60, roll=0.3)
    angles = matrix_to_angles(crop_to_camera(roi, camera) @ angles_to_matrix(np.array([0, 0, 0.1])))
    assert angles == pytest.approx([0, 0, 0.4])


@pytest.mark.parametrize("pixel", [(80, 60), (900, 500), (60, 420), (500, 300)])
@pytest.mark.parametrize("angles", [(0, 0, 0), (0.2, -0.5, 0.3), (-0.3, 0.6, -0.5)])
def test_a_projected_heads_pose_comes_back_from_its_crop(pixel, angles):
    """A head of known pose before a camera whose principal point is not its image's middle.

    Perspective-n-point judges the head as the network does: from its crop alone, as if the crop's middle were the
    camera's axis. The turn by the viewing ray then gives the pose in the camera, but for what the affine crop does to
    perspective; without it the error is the ray's angle.
    """
    camera, truth = Intrinsics(900, 880, 500, 300), angles_to_matrix(np.array(angles))
    place = np.random.default_rng(0).uniform(-1, 1, (400, 2))
    place = place[(place**2).sum(axis=1) < 1][:98]
    head = np.column_stack([place * (70, 90), -80 * np.sqrt(1 - (place**2).sum(axis=1))])  # half an egg, millimeters
    ray = camera.ray(*pixel)
    seen = head @ truth.T + ray / ray[2] * 1500
    points = seen[:, :2] / seen[:, 2:] * (camera.fx, camera.fy) + (camera.cx, camera.cy)
    roi = ROI.from_landmarks(points, angles[2])
    focal = math.sqrt(camera.fx * camera.fy) / (roi.size * camera.ray(roi.cx, roi.cy)[2])
    _, turn, _ = cv2.solvePnP(head, roi.to_crop(points) - 0.5, np.diag([focal, focal, 1.0]), None)
    in_crop = Rotation.from_rotvec(turn.ravel())
    off_axis = math.degrees(math.acos(ray[2]))

    def error(to_camera: np.ndarray) -> float:
        return float(
            np.degrees((Rotation.from_matrix(truth).inv() * Rotation.from_matrix(to_camera) * in_crop).magnitude())
        )

    assert error(crop_to_camera(roi, camera)) < 1 + 0.2 * off_axis
    assert error(Rotation.from_euler("z", roi.roll).as_matrix()) > 0.85 * off_axis


def test_squares_that_nearly_coincide_overlap_wholly():
    rng = np.random.default_rng(0)
    for cx, cy, size, roll in rng.uniform([0, 0, 0.2, -3], [1, 1, 0.5, 3], (200, 4)).tolist():
        square = ROI(cx, cy, size, roll)
        for shift in (0.0, 1e-9, 1e-7, 1e-5):
            assert square.iou(ROI(cx + shift, cy - shift, size + shift, roll + shift)) == pytest.approx(1.0, abs=3e-4)
