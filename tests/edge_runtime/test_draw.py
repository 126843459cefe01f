import dataclasses
import math

import cv2
import numpy as np
import pytest

from edge_runtime import ROI, Face, Pose, TrackState
from edge_runtime.draw import bars, draw_faces, uncertainty_colors
from edge_runtime.expressions import EXPRESSIONS
from edge_runtime.landmarks import WFLW_98


def face(cx: float, cy: float, size: float, pose: Pose | None = None) -> Face:
    angle = np.linspace(0, 2 * np.pi, 98, endpoint=False)
    landmarks = np.stack([cx + size / 3 * np.cos(angle), cy + size / 3 * np.sin(angle)], axis=1)
    roi = ROI(cx, cy, size, 0.2)
    return Face(
        0,
        TrackState.TRACKED,
        landmarks,
        np.full(98, size * 0.02),
        pose or Pose(np.eye(3)),
        0.9,
        roi,
        np.array([0.0, 0.0, 1.0]),
        1,
    )


@pytest.mark.parametrize("size", [8.0, 60.0, 900.0])
@pytest.mark.parametrize("scheme", [None, WFLW_98])
def test_faces_of_any_size_are_drawn_on_a_copy(size, scheme):
    image = np.zeros((240, 320, 3), np.uint8)
    drawn = draw_faces(image, [dataclasses.replace(face(160, 120, size), scheme=scheme)])
    assert image.sum() == 0
    assert (drawn > 0).any(axis=2).sum() > 200


@pytest.mark.parametrize("place", [(0, 0), (319, 239), (-50, 120), (1e9, -1e9)])
def test_draw_faces_keeps_text_inside_when_faces_are_outside(place):
    drawn = draw_faces(np.zeros((240, 320, 3), np.uint8), [face(*place, 60)])
    assert (drawn > 180).all(axis=2).sum() > 100


def test_draw_faces_accepts_one_pixel():
    assert draw_faces(np.zeros((1, 1, 3), np.uint8), [face(0, 0, 20)]).shape == (1, 1, 3)


def test_uncertainty_colors_go_from_green_over_yellow_to_red():
    colors = uncertainty_colors(np.array([0.0, 0.5, 2.75, 5.0, 50.0]), 100.0)
    assert colors.tolist() == [[0, 255, 0], [0, 255, 0], [0, 255, 255], [0, 0, 255], [0, 0, 255]]


def test_blue_axis_points_in_the_direction_of_the_face():
    # Yaw to the subject's left: the face looks to the image's right.
    drawn = draw_faces(np.zeros((240, 320, 3), np.uint8), [face(160, 120, 120, Pose.from_angles(0, 1.2, 0))])
    blue = (drawn[..., 0] > 200) & (drawn[..., 2] < 100)
    assert np.nonzero(blue)[1].mean() > 165


def test_a_templates_points_and_edges_are_magenta(lips):
    seen = dataclasses.replace(face(160, 120, 120), points=160 + 60 * (lips.points - 0.5))
    assert not magenta(draw_faces(np.zeros((240, 320, 3), np.uint8), [face(160, 120, 120)])).any()
    dots = magenta(draw_faces(np.zeros((240, 320, 3), np.uint8), [seen]))
    seen = dataclasses.replace(seen, template=dataclasses.replace(lips, edges=((0, 2),)))
    joined = magenta(draw_faces(np.zeros((240, 320, 3), np.uint8), [seen]))
    for x, y in np.rint(seen.points).astype(int):
        assert dots[y, x]
    x, y = np.rint(seen.points[[0, 2]].mean(axis=0)).astype(int)
    assert joined[y, x]
    assert not dots[y, x]


def magenta(image):
    return (image[..., 0] > 200) & (image[..., 1] < 100) & (image[..., 2] > 200)


def test_mirror_flips_everything_but_the_text(monkeypatch):
    image = np.random.default_rng(0).integers(0, 100, (240, 320, 3), np.uint8)
    seen, written = face(90, 120, 80, Pose.from_angles(0.1, 0.4, 0.2)), []
    seen = dataclasses.replace(seen, scheme=WFLW_98)
    put_text = cv2.putText
    monkeypatch.setattr(cv2, "putText", lambda *given: written.append(given[1:3]) or put_text(*given))
    plain = draw_faces(image, [seen])
    straight, written[:] = list(written), []
    turned = draw_faces(image, [seen], mirror=True)
    assert [text for text, _ in written] == [text for text, _ in straight], "true angles, in a mirror too"
    monkeypatch.setattr(cv2, "putText", lambda *given: None)
    assert np.array_equal(draw_faces(image, [seen], mirror=True), draw_faces(image, [seen])[:, ::-1])
    # The text is where the face is, each read from left to right.
    left, right = ((p != q).any(axis=2).nonzero()[1] for p, q in ((plain, image), (turned, image[:, ::-1])))
    assert left.mean() < 130 < 190 < right.mean()


def test_gaze_rays_start_at_the_eyes_and_follow_the_gaze():
    plain = dataclasses.replace(face(160, 120, 100), scheme=WFLW_98)
    ahead, aside = (
        dataclasses.replace(plain, gaze=np.array([[yaw, 0.0], [0.0, 0.0]])) for yaw in (0.0, math.radians(60))
    )
    blank = np.zeros((240, 320, 3), np.uint8)
    drawn = [draw_faces(blank, [each]) for each in (ahead, aside)]
    changed = np.argwhere((drawn[0] != drawn[1]).any(axis=2))
    eye = plain.landmarks[list(WFLW_98.groups["right_eye"])].mean(axis=0)  # the subject's left
    assert changed[:, 1].max() == pytest.approx(eye[0] + 0.4 * 100 * math.sin(math.radians(60)), abs=4)
    assert np.abs(changed[:, 0] - eye[1]).max() <= 4


@pytest.mark.parametrize("height", [720, 90, 8])
def test_bars_are_as_long_as_their_values(height):
    strip = bars({f"name{i}": i % 2 for i in range(52)}, height)
    assert strip.shape[0] == height
    bright = (strip == (60, 220, 60)).all(axis=2)
    assert bright.any()
    if height > 200:  # a row of pixels per bar
        lengths = [bright[round((row + 1) * height / 53)].sum() for row in range(52)]
        assert len(set(lengths[1::2])) == 1
        assert lengths[1] > 30
        assert max(lengths[::2]) <= 1


def test_bars_stand_beside_the_picture_also_without_a_face():
    blank, values = np.zeros((240, 320, 3), np.uint8), dict.fromkeys(EXPRESSIONS, 1.0)
    plain = face(160, 120, 60)
    told = dataclasses.replace(plain, expressions=values)
    shown = [draw_faces(blank, faces, expressions=True) for faces in ([told], [plain], [])]
    assert len({each.shape for each in shown}) == 1
    assert np.array_equal(shown[0][:, :320], draw_faces(blank, [told]))
    assert not np.array_equal(shown[0][:, 320:], shown[1][:, 320:])
    assert np.array_equal(shown[1][:, 320:], shown[2][:, 320:])
