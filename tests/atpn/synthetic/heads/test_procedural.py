import numpy as np
import pytest

from atpn.synthetic.heads.head import HeadModel, Part
from atpn.synthetic.heads.procedural import procedural_head
from edge_runtime.landmarks import WFLW_98


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return procedural_head()


def landmarks_with(head: HeadModel, **weights: float) -> np.ndarray:
    return head.landmarks.at(head.express(head.neutral, weights))


def opening(points: np.ndarray, upper: int, lower: int) -> float:
    return float(points[lower, 1] - points[upper, 1])


def test_arrays_fit_together(head):
    vertices, render = len(head.neutral), len(head.uv)
    assert 3000 < vertices < 6000
    assert head.part.shape == (vertices,)
    assert head.uv_source.shape == (render,)
    assert head.identity.shape[1:] == head.expression.shape[1:] == (vertices, 3)
    assert len(head.expression_names) == len(set(head.expression_names)) == len(head.expression)
    np.testing.assert_array_equal(np.unique(head.uv_source), np.arange(vertices))
    np.testing.assert_array_equal(head.uv_source[head.uv_triangles], head.triangles)
    for array in (head.neutral, head.identity, head.expression, head.uv):
        assert np.isfinite(array).all()
    assert head.uv.min() >= 0
    assert head.uv.max() <= 1
    assert head.landmarks.vertices.shape == (98, 3)
    assert head.contour.vertices.shape[0] == 33
    np.testing.assert_allclose(head.contour.weights.sum(axis=-1), 1, atol=1e-4)
    assert head.contour.weights.min() > -1e-4


def test_every_call_gives_the_same_head(head):
    np.testing.assert_array_equal(head.neutral, procedural_head().neutral)


def test_has_the_size_of_an_adult(head):
    points = head.landmarks.at(head.neutral)
    eyes = head.eye_centers(head.neutral)
    assert eyes[0, 0] < 0 < eyes[1, 0]
    assert 5.8 < eyes[1, 0] - eyes[0, 0] < 6.8
    assert 20 < points[16, 1] - head.neutral[:, 1].min() < 24  # chin to crown
    assert points[54, 2] == pytest.approx(points[:96, 2].min(), abs=0.3)  # the nose points furthest ahead


def test_landmarks_are_mirror_images(head):
    points = head.landmarks.at(head.neutral)[:96]
    mirrored = points[WFLW_98.mirror[:96]] * (-1, 1, 1)
    np.testing.assert_allclose(points, mirrored, atol=0.02)


def test_landmarks_run_as_the_scheme_says(head):
    points = head.landmarks.at(head.neutral)
    assert (np.diff(points[:33, 0]) > 0).all()
    assert points[:33, 1].argmax() == 16
    for first, last in ((33, 37), (42, 46), (55, 59), (76, 82), (88, 92), (60, 64), (68, 72)):
        assert (np.diff(points[first : last + 1, 0]) > 0).all()
    for upper, lower in ((61, 67), (62, 66), (63, 65), (69, 75), (70, 74), (71, 73), (79, 85), (90, 94), (35, 39)):
        assert points[upper, 1] < points[lower, 1]


def test_skin_is_closed_but_for_lids_lips_and_the_cut_at_the_shoulders(head):
    skin = head.triangles[(head.part[head.triangles] == Part.SKIN).all(axis=1)]
    edges = np.sort(np.concatenate([skin[:, [0, 1]], skin[:, [1, 2]], skin[:, [2, 0]]]), axis=1)
    unique, uses = np.unique(edges, axis=0, return_counts=True)
    assert uses.max() == 2
    border = head.neutral[np.unique(unique[uses == 1])]
    shoulders = border[:, 1] > 16.9
    lips = (np.abs(border[:, 0]) < 2.3) & (np.abs(border[:, 1] - 3.4) < 0.2)
    lids = np.hypot(np.abs(border[:, 0]) - 3.2, border[:, 1] + 3.5) < 1.4
    assert (shoulders | lips | lids).all()
    assert lips.sum() == 24
    assert lids.sum() == 48


def test_normals_point_outwards(head):
    normals = head.normals(head.neutral)
    skin = (head.part == Part.SKIN) & (np.abs(head.neutral[:, 1]) < 12)
    horizontal = head.neutral * (1, 0, 1)
    assert ((normals * horizontal).sum(axis=1)[skin] > 0).mean() > 0.97
    for indices, center in zip(head.eye_vertices, head.eye_centers(head.neutral), strict=True):
        away = (head.neutral[indices] - center) / head.eye_radius
        np.testing.assert_allclose(np.linalg.norm(away, axis=1), 1, atol=1e-3)
        assert ((normals[indices] * away).sum(axis=1) > 0.9).all()


def test_no_skin_lies_inside_an_eyeball_whatever_the_lids_do(head):
    for weights in ({}, {"eyeBlink_L": 1.0, "eyeBlink_R": 1.0}, {"eyeBlink_L": 0.5}, {"eyeWide_L": 1.0}):
        surface = head.express(head.neutral, weights)
        skin = surface[head.part == Part.SKIN]
        for center in head.eye_centers(surface):
            assert np.linalg.norm(skin - center, axis=1).min() > head.eye_radius


def test_a_blink_closes_its_own_eye_only(head):
    rest, shut = landmarks_with(head), landmarks_with(head, eyeBlink_L=1.0)
    assert opening(rest, 70, 74) > 0.8
    assert abs(opening(shut, 70, 74)) < 0.05
    assert opening(shut, 62, 66) == pytest.approx(opening(rest, 62, 66))
    np.testing.assert_allclose(shut[:33], rest[:33], atol=1e-6)
    np.testing.assert_allclose(shut[96:], rest[96:], atol=1e-6)  # the eyeball stays


def test_the_jaw_opens_the_mouth_and_takes_the_chin_along(head):
    rest, wide = landmarks_with(head), landmarks_with(head, jawOpen=1.0)
    assert opening(rest, 90, 94) < 0.15
    assert 2 < opening(wide, 90, 94) < 4
    assert wide[16, 1] - rest[16, 1] > 1.5
    np.testing.assert_allclose(wide[33:76], rest[33:76], atol=0.25)  # brows, nose and eyes stay


def test_the_lower_teeth_follow_the_jaw(head):
    teeth = head.part == Part.TEETH
    moved = (head.express(head.neutral, {"jawOpen": 1.0}) - head.neutral)[teeth, 1]
    upper, lower = np.split(moved, 2)
    assert np.abs(upper).max() < 0.1
    assert lower.min() > 1.5


def test_a_smile_pulls_the_corners_out_and_up(head):
    rest, smile = landmarks_with(head), landmarks_with(head, mouthSmile_L=1.0, mouthSmile_R=1.0)
    assert smile[82, 0] - rest[82, 0] > 0.5
    assert smile[76, 0] - rest[76, 0] < -0.5
    assert (rest - smile)[[76, 82], 1].min() > 0.5


@pytest.mark.parametrize(
    ("name", "index", "axis", "sign"),
    [
        pytest.param("browInnerUp_L", 42, 1, -1, id="left inner brow up"),
        pytest.param("browDown_R", 35, 1, 1, id="right brow down"),
        pytest.param("mouthPucker", 82, 0, -1, id="lips pursed"),
        pytest.param("mouthFunnel", 94, 1, 1, id="lips funnelled"),
        pytest.param("mouthFrown_L", 82, 1, 1, id="left corner down"),
        pytest.param("jawLeft", 16, 0, 1, id="chin to the subject's left"),
        pytest.param("mouthUpperUp_R", 78, 1, -1, id="upper lip up"),
    ],
)
def test_shapes_move_what_their_name_says(head, name, index, axis, sign):
    moved = landmarks_with(head, **{name: 1.0}) - landmarks_with(head)
    assert sign * moved[index, axis] > 0.2


def test_identities_differ_smoothly_and_keep_the_face_whole(head):
    rng = np.random.default_rng(0)
    edges = np.concatenate([head.triangles[:, [0, 1]], head.triangles[:, [1, 2]]])
    rest = np.linalg.norm(head.neutral[edges[:, 0]] - head.neutral[edges[:, 1]], axis=1)
    longest = rest > 0.2
    for _ in range(10):
        surface = head.identify(rng.normal(0, 1, len(head.identity)))
        assert np.abs(surface - head.neutral).max() > 0.3
        length = np.linalg.norm(surface[edges[:, 0]] - surface[edges[:, 1]], axis=1)
        assert (length[longest] / rest[longest]).max() < 3
        for indices, center in zip(head.eye_vertices, head.eye_centers(surface), strict=True):
            away = np.linalg.norm(surface[indices] - center, axis=1)
            np.testing.assert_allclose(away, head.eye_radius, atol=1e-3)
            assert np.linalg.norm(surface[head.part == Part.SKIN] - center, axis=1).min() > head.eye_radius - 0.25


@pytest.mark.parametrize("yaw", [-30, -50])
def test_the_contour_reaches_the_outline_of_the_cheek_turned_away(head, yaw):
    angle = np.radians(yaw)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    face = (head.part == Part.SKIN) & (head.neutral[:, 2] < -3)
    skin = (head.neutral @ turn.T)[face]
    candidates = head.contour.at(head.neutral) @ turn.T
    anchors = head.landmarks.at(head.neutral)[:33, :2] - (0, 1)
    for index in range(24, 32):
        outward = anchors[index] / np.linalg.norm(anchors[index])
        reached = candidates[index, np.argmax(candidates[index, :, :2] @ outward), :2]
        beyond = skin[:, :2] - reached
        beside = np.abs(beyond @ (-outward[1], outward[0])) < 0.3
        assert (beyond[beside] @ outward).max() < 0.6
