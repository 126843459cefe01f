"""Images agree with their labels, on the built-in head and on the real assets."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from atpn.synthetic.crowd import render_samples
from atpn.synthetic.drawing.gl import GraphicsError
from atpn.synthetic.drawing.renderer import FaceRenderer, RenderOptions
from atpn.synthetic.heads.expression import Expression
from edge_runtime.expressions import EXPRESSIONS
from edge_runtime.gaze import gaze_directions
from edge_runtime.geometry import ROI, angles_to_matrix, matrix_to_angles
from edge_runtime.landmarks import WFLW_98


@pytest.fixture(params=["procedural_renderer", pytest.param("asset_renderer", marks=pytest.mark.slow)])
def renderer(request: pytest.FixtureRequest) -> FaceRenderer:
    return request.getfixturevalue(request.param)


def _plain(renderer: FaceRenderer, **changes: object):
    """Samples without glasses or occluders, hard ones unless asked otherwise, options changed as asked."""
    before = renderer.options
    changes = {"glasses": 0.0, "face_mask": 0.0, "occluder": 0.0, "clear": 0.0, **changes}
    renderer.options = dataclasses.replace(before, **changes)
    try:
        return list(render_samples(renderer, range(24)))
    finally:
        renderer.options = before


def _bald(renderer: FaceRenderer, **changes: object):
    """Plain samples without hair meshes and headwear, which may hang before the face."""
    people = (renderer.identity(number) for number in range(12))
    bare = [dataclasses.replace(who, look=dataclasses.replace(who.look, hair=None)) for who in people]
    before = renderer.options
    renderer.options = dataclasses.replace(before, glasses=0.0, headwear=0.0, face_mask=0.0, occluder=0.0, **changes)
    try:
        return [renderer.render(who, image) for who in bare for image in range(2)]
    finally:
        renderer.options = before


def test_the_same_numbers_give_the_same_image(renderer):
    first, again = (renderer.render(renderer.identity(3), 1) for _ in range(2))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.landmarks, again.landmarks)


def test_labels_are_complete_and_inside_the_image(renderer):
    for sample in _plain(renderer):
        assert sample.image.shape == (192, 192, 3)
        assert sample.image.dtype == np.uint8
        assert sample.landmarks.shape == (98, 2)
        assert (sample.landmarks > -1).all()
        assert (sample.landmarks < 192).all()
        np.testing.assert_allclose(sample.rotation @ sample.rotation.T, np.eye(3), atol=1e-9)
        low, high = RenderOptions().roi_fraction
        assert low - 1e-6 <= ROI.from_landmarks(sample.landmarks).size / 192 <= high + 1e-6


def test_clear_portraits_are_large_frontal_and_uncovered(renderer):
    for sample in _plain(renderer, clear=1.0, face_mask=1.0, occluder=1.0, headwear=0.0):
        assert sample.attributes["kind"] == "clear"
        # Training crops of 112 pixels are then shrunk, never enlarged.
        assert sample.image.shape == (256, 256, 3)
        assert 0.6 - 1e-6 <= ROI.from_landmarks(sample.landmarks).size / 256 <= 0.85 + 1e-6
        assert np.abs(np.degrees(matrix_to_angles(sample.rotation))).max() < 40
        assert sample.visibility[76:88].mean() > 0.7  # a face mask or a hand would hide the mouth


def test_kinds_come_in_their_share_and_hard_portraits_do_not_depend_on_it(renderer):
    mixed, hard = _plain(renderer, clear=0.4), _plain(renderer, clear=0.0)
    kinds = [sample.attributes["kind"] for sample in mixed]
    assert 3 <= kinds.count("clear") <= 16
    for sample, partner in zip(mixed, hard, strict=True):
        assert partner.attributes["kind"] == "hard"
        if sample.attributes["kind"] == "hard":
            np.testing.assert_array_equal(sample.image, partner.image)


def test_a_face_covers_its_image_where_the_labels_say(renderer):
    """The image differs from an image of the background at the nose, and labels are left-right ordered."""
    for sample in _plain(renderer, frontal_prob=1.0):
        eyes = sample.landmarks[[60, 72]]
        roll = np.degrees(matrix_to_angles(sample.rotation)[2])
        across = eyes[1] - eyes[0]
        # Both are the head's tilt: seen from the side perspective bends one against the other.
        assert abs((np.degrees(np.arctan2(across[1], across[0])) - roll + 180) % 360 - 180) < 30
        down = sample.landmarks[16] - eyes.mean(axis=0)
        assert across[0] * down[1] - across[1] * down[0] > 0  # chin below the eyes, not a mirror image


def test_turning_left_hides_the_left_of_the_subject(renderer):
    """Yaw > 0 turns to the image's right: the outline at the image's right comes closer to the nose."""
    checked = 0
    for sample in _plain(renderer, frontal_prob=0.0):
        yaw = np.degrees(matrix_to_angles(sample.rotation)[1])
        if 30 < abs(yaw) < 70:
            nose = sample.landmarks[54]
            left, right = (np.linalg.norm(sample.landmarks[i] - nose) for i in (2, 30))
            assert (left > right) == (yaw > 0)
            checked += 1
    assert checked > 3


def test_looking_up_lifts_the_nose_between_eyes_and_chin(renderer):
    pitches, heights = [], []
    for sample in _plain(renderer, frontal_prob=1.0, images_per_identity=24):  # one person: noses differ
        eyes, chin, nose = sample.landmarks[[60, 72]].mean(axis=0), sample.landmarks[16], sample.landmarks[54]
        down = chin - eyes
        heights.append((nose - eyes) @ down / (down @ down))
        pitches.append(matrix_to_angles(sample.rotation)[0])
    assert np.corrcoef(pitches, heights)[0, 1] < -0.5


def test_far_side_landmarks_are_hidden_on_profiles(renderer):
    hidden = {True: [], False: []}
    for sample in _plain(renderer, frontal_prob=0.0):
        yaw = np.degrees(matrix_to_angles(sample.rotation)[1])
        if abs(yaw) > 55:
            far = WFLW_98.groups["right_eye" if yaw > 0 else "left_eye"]
            near = WFLW_98.groups["left_eye" if yaw > 0 else "right_eye"]
            hidden[True].append(1 - sample.visibility[list(far)].mean())
            hidden[False].append(1 - sample.visibility[list(near)].mean())
    assert np.mean(hidden[True]) > np.mean(hidden[False]) + 0.3


def test_occluders_hide_landmarks(renderer):
    before = renderer.options
    renderer.options = dataclasses.replace(before, face_mask=1.0, glasses=0.0, clear=0.0, repertoire=0.0)
    try:
        samples = [renderer.render(renderer.identity(0), index) for index in range(6)]
    finally:
        renderer.options = before
    # A lip may show above a mask that slipped.
    lips = [sample.visibility[76:96].mean() for sample in samples if sample.visibility is not None]
    assert np.mean(lips) < 0.1


def test_negatives_have_no_landmarks(renderer):
    before = renderer.options
    renderer.options = dataclasses.replace(before, negatives=1.0)
    try:
        sample = renderer.render(renderer.identity(0), 0)
    finally:
        renderer.options = before
    assert sample.landmarks is None
    assert sample.attributes["kind"] == "negative"
    assert sample.image.std() > 0


def test_contour_points_are_evenly_spaced_from_each_end_to_the_chin(renderer):
    for sample in _plain(renderer, frontal_prob=1.0):
        steps = np.linalg.norm(np.diff(sample.landmarks[:33], axis=0), axis=1)
        for half in (steps[:16], steps[16:]):
            assert half.max() < 1.5 * half.mean()


def test_eyes_of_uncovered_near_frontal_faces_are_seen(renderer):
    """Lashes and the rounding to pixels hide no lid and no corner of an eye."""
    seen = []
    for sample in _bald(renderer, frontal_prob=1.0):
        pitch, yaw, _ = np.degrees(matrix_to_angles(sample.rotation))
        if abs(yaw) < 20 and abs(pitch) < 15:
            seen.append(sample.visibility[60:76])
    assert len(seen) >= 5
    assert np.mean(seen) > 0.95


def test_the_chin_stays_near_its_tip_when_the_head_turns(renderer):
    """Across the eye line, chin less lips moves by less than a fifth of the eyes' distance per sine of yaw."""
    sines, offsets = [], []
    head = renderer.head
    points = head.landmarks.at(head.neutral)
    for degrees in np.linspace(-50, 50, 11):
        rotation = angles_to_matrix(np.radians([0, degrees, 0]))
        far = np.array([0.0, 0.0, 1000.0])
        outline = renderer._silhouette(head.neutral, rotation, far) * 1000
        lips = (points[[79, 85]].mean(axis=0) @ rotation.T)[0]
        sines.append(np.sin(np.radians(degrees)))
        offsets.append((outline[16, 0] - lips) / np.linalg.norm(points[60] - points[72]))
    assert -0.2 < np.polyfit(sines, offsets, 1)[0] < -0.05


def test_a_brow_that_does_not_show_is_uncertain(renderer, monkeypatch):
    """Drawn as pale as the skin, brows keep a place, and count as not seen."""
    monkeypatch.setattr("atpn.synthetic.appearance.look._BROW_SHOWS", 2.0)
    sample = renderer.render(renderer.identity(4), 0)
    assert not sample.visibility[33:51].any()
    assert np.isfinite(sample.landmarks[33:51]).all()


def _acted(renderer: FaceRenderer, expression: Expression):
    """A frontal, uncovered portrait of this expression."""
    options = dataclasses.replace(
        *(renderer.options,), glasses=0.0, headwear=0.0, face_mask=0.0, occluder=0.0, frontal_prob=0.0, max_yaw=1.0
    )
    options = dataclasses.replace(options, level_prob=0.0, max_tilt=1.0, off_axis=(0.0, 0.0), fringes=False)
    who = renderer.identity(1)
    who = dataclasses.replace(who, look=dataclasses.replace(who.look, hair=None))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(renderer, "_expression", lambda rng: expression)
        return renderer.figure(who, np.random.default_rng(3), options=options)


def test_gaze_to_the_subjects_left_and_up_moves_irises_to_the_images_right_and_up(renderer):
    ahead = _acted(renderer, Expression())
    assert np.abs(np.degrees(ahead.gaze)).max() < 3
    for yaw, pitch in ((25.0, 0.0), (-25.0, 0.0), (0.0, 20.0), (0.0, -20.0)):
        turned = _acted(renderer, Expression(gaze=gaze_directions(np.radians([[yaw, pitch]] * 2))))
        np.testing.assert_allclose(np.degrees(turned.gaze - ahead.gaze), [[yaw, pitch]] * 2, atol=1.5)
        moved = turned.landmarks[96:] - ahead.landmarks[96:]
        axis, sign = (0, np.sign(yaw)) if yaw else (1, -np.sign(pitch))
        assert (moved[:, axis] * sign > 1.5).all()
        # What is drawn moves as well: the dark iris, inside the eye's outline.
        changed = np.abs(turned.image - ahead.image).mean(axis=2)
        eyes = [changed[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3].mean() for x, y in ahead.landmarks[96:]]
        assert min(eyes) > 5


def test_each_eye_has_its_own_gaze_and_the_subjects_left_comes_first(renderer):
    ahead = _acted(renderer, Expression())
    directions = gaze_directions(np.radians([[0.0, 0.0], [25.0, 0.0]]))  # the image's right eye is the subject's left
    one = _acted(renderer, Expression(gaze=directions))
    np.testing.assert_allclose(np.degrees(one.gaze - ahead.gaze), [[25.0, 0.0], [0.0, 0.0]], atol=1.5)
    moved = one.landmarks[96:, 0] - ahead.landmarks[96:, 0]
    assert moved[1] > 1.5
    assert abs(moved[0]) < 0.1
    changed = np.abs(one.image - ahead.image).mean(axis=2)
    left, right = (changed[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3].mean() for x, y in ahead.landmarks[96:])
    assert right > 3 * left


def test_blinking_left_closes_the_eye_at_the_images_right(renderer):
    ahead, blink = _acted(renderer, Expression()), _acted(renderer, Expression({"eyeBlink_L": 1.0}))
    opening = [abs(f.landmarks[[62, 70], 1] - f.landmarks[[66, 74], 1]) for f in (ahead, blink)]
    assert opening[1][1] < 0.4 * opening[0][1]
    assert opening[1][0] == pytest.approx(opening[0][0], abs=0.2)
    assert blink.expressions[EXPRESSIONS.index("eyeBlinkLeft")] == 1.0
    assert blink.expressions.sum() == 1.0


def test_the_share_of_the_repertoire_changes_no_pose(renderer):
    usual, single = _plain(renderer, repertoire=0.0), _plain(renderer, repertoire=1.0)
    pairs = list(zip(usual, single, strict=True))
    for one, other in pairs:
        np.testing.assert_allclose(matrix_to_angles(one.rotation), matrix_to_angles(other.rotation))
        assert ((other.expressions >= 0) & (other.expressions <= 1)).all()
        assert np.isfinite(other.gaze).all()
    assert sum(np.abs(one.expressions - other.expressions).max() > 0.1 for one, other in pairs) > len(pairs) / 2


def test_a_missing_assets_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        FaceRenderer(tmp_path / "nowhere", tmp_path, RenderOptions(), 0)


def test_an_incomplete_assets_folder_says_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"face_model\.npz"):
        FaceRenderer(tmp_path, tmp_path, RenderOptions(), 0)


def test_a_damaged_model_file_is_named(tmp_path):
    (tmp_path / "ict_facekit").mkdir()
    (tmp_path / "ict_facekit" / "face_model.npz").write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(ValueError, match=r"face_model\.npz is not"):
        FaceRenderer(tmp_path, tmp_path, RenderOptions(), 0)


def test_no_graphics_is_an_error_that_says_what_to_install(tmp_path, monkeypatch):
    def fail(**_):
        raise Exception("requested device index 0, but found 0 devices")

    monkeypatch.setattr("moderngl.create_standalone_context", fail)
    with pytest.raises(GraphicsError, match="libegl1"):
        FaceRenderer(None, tmp_path, RenderOptions(), 0)


def test_an_assets_folder_without_hair_is_refused_at_once(assets, tmp_path):
    for name in ("ict_facekit", "hdri"):
        (tmp_path / name).symlink_to(assets / name)
    (tmp_path / "makehuman").mkdir()
    for name in ("base.obj", "skins", "eyebrows"):
        (tmp_path / "makehuman" / name).symlink_to(assets / "makehuman" / name)
    with pytest.raises(FileNotFoundError, match=r"hair/\*/\*\.obj"):
        FaceRenderer(tmp_path, tmp_path / "cache", RenderOptions(), 0)
