import codecs
import copy
import json

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from atpn.__main__ import main
from atpn.data.readers import own
from atpn.data.readers.images import ImageFile
from atpn.data.readers.issues import Severity
from atpn.data.readers.label_file import split_of
from atpn.data.readers.label_samples import LabelOptions
from atpn.data.store import SampleStore
from edge_runtime.geometry import matrix_to_angles
from edge_runtime.landmarks import LandmarkScheme

FACE = np.array([[20.0, 10.0], [40.0, 10.0], [30.0, 18.0], [22.0, 28.0], [38.0, 28.0]])
"""Five landmarks in a 60 x 40 image."""
SEVEN = {
    "name": "mine7",
    "count": 7,
    "names": ["a", "b", "c", "d", "nose", "e", "f"],
    "mirror_pairs": [[0, 3], [1, 2], [5, 6]],
    "outer_eye_corners": [0, 3],
}


@pytest.fixture
def folder(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 60, 3), np.uint8))
    return tmp_path


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def issues_of(folder, options=None):
    issues = []
    samples = list(own.read(folder, issues.append, options))
    return samples, issues


def complaints(folder, options=None):
    """The issues of a folder without a usable face."""
    samples, issues = issues_of(folder, options)
    assert samples == []
    return " | ".join(issue.message for issue in issues)


# labels.json


def test_json_with_everything(folder):
    face = {
        "landmarks": [[1, 2], [13, 2], None, [1, 15], [13, 15]],
        "visibility": [1, 1, 0, 1, 1],
        "box": [1, 1, 9, 9],
        "pose": [10, -20, 30],
        "identity": "ann",
        "mood": "good",
    }
    other = (FACE + 1).tolist()
    entries = [
        {"image": "a.png", "split": "test", "faces": [face, {"landmarks": other}]},
        {"image": "a.png", "faces": []},
    ]
    write_json(folder / "labels.json", {"first_pixel": 1, "images": entries})
    first, second, empty = (s.labels for s in own.read(folder))
    np.testing.assert_array_equal(first.landmarks[[0, 4]], [[0, 1], [12, 14]])
    assert np.isnan(first.landmarks[2]).all()
    assert (first.scheme.name, first.visibility.tolist()) == ("celeba5", [True, True, False, True, True])
    assert first.boxes["detector"] == (0, 0, 8, 8)
    np.testing.assert_allclose(np.degrees(matrix_to_angles(first.rotation)), [10, -20, 30], atol=1e-9)
    assert first.attributes == {"split": "test", "identity": "ann"}
    np.testing.assert_array_equal(first.neighbors, [FACE])
    assert second.attributes["identity"] == "a.png"
    assert (empty.outline, empty.attributes["split"]) == (None, "all")


def entry(landmarks=None, image="a.png", **face):
    return {"image": image, "faces": [face | ({} if landmarks is None else {"landmarks": landmarks})]}


LIST = FACE.tolist()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "labels.json is not JSON"),
        ("[" * 300_000, "labels.json is nested too deeply"),
        ({"annos": []}, r"has the keys annos, expected a list of images, or an object with `images`"),
        ("3", "has int, expected a list of images"),
        ({"scheme": "mine", "images": []}, "unknown landmark scheme 'mine'.*--scheme FILE"),
        ({"first_pixel": "1", "images": []}, "first_pixel is '1', expected 1 number"),
        ([entry([[1, 2]])], r"1 landmarks, expected 98 \(wflw98\), 68 .*; define your own scheme in a JSON file"),
        ({"scheme": "ibug68", "images": [entry(LIST)]}, r"5 landmarks, expected 68 \(ibug68\); correct the face"),
        ([entry()], r"image 1 \(a.png\) face 1: a face with neither landmarks nor a box"),
        (["a.png"], "image 1: got 'a.png', expected an object with 'image'"),
        ([{"file": "a.png", "faces": []}], "image 1: got image None, expected a string; keys here: file, faces"),
        ([{"image": "a.png"}], "image 1: got faces None, expected a list"),
        ([entry([[*p, 2] for p in LIST])], r"a landmark is \[20.0, 10.0, 2\], expected two numbers.*`visibility`"),
        ([entry([*LIST[:4], ["1", 2]])], r"landmark 4 is \['1', 2\], expected 2 numbers within"),
        ([entry([*LIST[:4], [float("nan"), 2]])], "landmark 4 is"),
        ([entry((FACE / (60, 40)).tolist())], r"between 0.25 and 0.7, expected pixels; .* pass --normalized"),
        ([entry(box=[0.1, 0.2, 0.5, 0.9])], "pass --normalized"),
        ([entry((FACE / 8).tolist())], r"a face of 2.5 x 2.2 pixels, expected at least 4"),
        ([entry([[0, 0], [0, 0], *LIST[2:]])], r"landmarks 0, 1 all lie at \[0.0, 0.0\]: if they are not labeled"),
        ([entry((FACE + 50).tolist())], r"5 of 5 points lie outside the image of 60 x 40 pixels"),
        ([entry([LIST[0], *[None] * 4])], "1 labeled landmarks, expected at least 2"),
        ([entry(LIST, visibility=[1, 0])], "visibility must be 5 numbers, 0 or 1"),
        ([entry(box=[20, 10, 12, 9])], "expected left < right and top < bottom, not a width and a height"),
        ([entry(LIST, pose=[1, 2])], r"pose \(pitch, yaw, roll\) is \[1, 2\], expected 3 numbers within"),
    ],
)
def test_json_is_refused_when_labels_cannot_be_right(folder, content, complaint):
    path = folder / "labels.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ValueError, match=complaint) as raised:
        list(own.read(folder))
    assert str(path) in str(raised.value)
    assert "Error(" not in str(raised.value)


def test_json_is_refused_when_a_face_comes_twice(folder):
    write_json(folder / "labels.json", [entry(LIST), entry(LIST)])
    samples, issues = issues_of(folder)
    assert len(samples) == 1
    (issue,) = issues
    assert "image 2 (a.png) face 1: the same face as " in issue.message
    assert "image 1 (a.png) face 1; remove one" in issue.message


def test_json_is_refused_when_a_later_face_has_another_number_of_landmarks(folder):
    write_json(folder / "labels.json", [entry(LIST), entry((np.ones((29, 2)) * np.arange(29)[:, None]).tolist())])
    samples, issues = issues_of(folder)
    assert len(samples) == 1
    assert "29 landmarks, expected 5 (celeba5)" in issues[0].message


def test_an_image_that_is_missing_or_damaged_is_named(folder):
    write_json(folder / "labels.json", [entry(LIST, "b.png"), entry(LIST, "c.png")])
    (folder / "c.png").write_bytes(b"no image")
    _, issues = issues_of(folder)
    assert [issue.severity for issue in issues] == [Severity.MISSING, Severity.CORRUPT]
    assert f"{folder / 'b.png'} ({folder / 'labels.json'} image 1)" in issues[0].message
    assert "c.png does not decode as an image" in issues[1].message


def test_a_missing_image_of_normalized_labels_is_named_alone(folder):
    write_json(folder / "labels.json", [entry((FACE / (60, 40)).tolist(), "b.png")])
    samples, (issue,) = issues_of(folder, LabelOptions(normalized=True))
    assert (samples, issue.severity) == ([], Severity.MISSING)


def test_normalized_coordinates_become_pixels_when_asked(folder):
    fractions = (FACE + 0.5) / (60, 40)
    box = [0.1, 0.25, 0.5, 1.0]
    write_json(folder / "labels.json", [entry(fractions.tolist(), box=box)])
    (sample,) = own.read(folder, options=LabelOptions(normalized=True))
    np.testing.assert_allclose(sample.labels.landmarks, FACE, atol=1e-4)
    np.testing.assert_allclose(sample.labels.boxes["detector"], (5.5, 9.5, 29.5, 39.5))
    write_json(folder / "labels.json", [entry(LIST)])
    assert "a coordinate is 40, expected fractions" in complaints(folder, LabelOptions(normalized=True))
    with pytest.raises(ValueError, match="leave out --first-pixel"):
        LabelOptions(normalized=True, first_pixel=1.0)


@pytest.mark.parametrize(("order", "warned"), [([0, 1, 2, 3, 4], False), ([0, 2, 1, 3, 4], True)])
def test_landmarks_in_another_order_are_warned_of(folder, order, warned):
    rng = np.random.default_rng(0)
    faces = [entry((FACE + rng.normal(0, 1, FACE.shape))[order].tolist()) for _ in range(8)]
    write_json(folder / "labels.json", faces)
    samples, issues = issues_of(folder)
    assert len(samples) == 8
    assert [issue.severity for issue in issues] == [Severity.WARNING] * warned
    assert (
        not warned or "landmarks of 8 faces do not lie where celeba5 mirrors them: 0 (mirrors 1)" in issues[0].message
    )


# labels.csv


def table(separator=",", decimal=".", face=FACE, first=0, end="\n"):
    names = [f"{axis}{i + first}" for i in range(len(face)) for axis in "xy"]
    numbers = [f"{value:.2f}".replace(".", decimal) for value in face.ravel()]
    return end.join(separator.join(row) for row in (["image", *names], ["a.png", *numbers])) + end


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(table().encode(), id="plain"),
        pytest.param(codecs.BOM_UTF8 + table(";", ",", end="\r\n").encode(), id="spreadsheet"),
        pytest.param(table(";", ".").encode(), id="semicolons"),
        pytest.param(table("\t", ",").encode("utf-16"), id="unicode text"),
        pytest.param(b"sep=;\r\n" + table(";", ",", end="\r\n").encode(), id="separator named"),
        pytest.param(table(first=1).encode(), id="columns from 1"),
        pytest.param(table().replace("image", " Image ").encode(), id="header with spaces"),
    ],
)
def test_table_is_read_as_spreadsheets_write_it(folder, content):
    (folder / "labels.csv").write_bytes(content)
    (sample,) = own.read(folder)
    np.testing.assert_allclose(sample.labels.landmarks, FACE)


def test_table_gathers_the_faces_of_an_image(folder):
    names = ",".join(f"x{i},y{i}" for i in range(5))
    rows = [f"image,split,{names}", "a.png,train,1,2,13,2,12,13,1,15,13,15", "a.png,train,11,2,23,2,22,13,11,15,,"]
    (folder / "labels.csv").write_text("\n".join(rows))
    samples = list(own.read(folder))
    np.testing.assert_array_equal(samples[0].labels.landmarks, [[1, 2], [13, 2], [12, 13], [1, 15], [13, 15]])
    assert np.isnan(samples[1].labels.landmarks[4]).all()
    assert samples[0].labels.neighbors.shape == (1, 5, 2)
    assert samples[1].split == "train"
    assert samples[0].decode().image.shape == (40, 60, 3)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (table(",", ","), r"line 2: 21 cells separated by a comma, expected 11; .*save with semicolons"),
        (table(";").replace("40.00", "forty"), r"line 2: column x1 is 'forty', expected a number .*a semicolon"),
        (table(";").replace("image", "file"), r"has no column image; its columns are file, x0, .*by a semicolon"),
        (table().replace("x1,", "x2,"), "has the columns x2 more than once"),
        (table().replace("x4", "x7"), r"has 5 columns x and 5 columns y.*without a gap"),
        ("image,name\na.png,1\n", "has 0 columns x and 0 columns y"),
        ("", "has no column image; its columns are none"),
        (table().replace("a.png", ""), "line 2: the cell of column image is empty"),
        (table().replace("40.00", "1e999"), "column x1 is '1e999'"),
        (table(face=FACE / (60, 40)), "pass --normalized"),
    ],
)
def test_table_is_refused_when_it_cannot_be_read(folder, content, complaint):
    (folder / "labels.csv").write_text(content)
    with pytest.raises(ValueError, match=complaint) as raised:
        list(own.read(folder))
    assert str(folder / "labels.csv") in str(raised.value)


def test_table_that_is_not_text_is_refused(folder):
    (folder / "labels.csv").write_bytes(b"image,x0,y0\n\xff\xfe\xfa")
    assert "labels.csv is not UTF-8" in complaints(folder)


# COCO


def coco(keypoints=None, annotations=None, names=("a", "b", "c", "d", "e"), **image):
    """A file as COCO's tools and CVAT's export write it."""
    rows = np.column_stack([FACE, np.full(5, 2)]).ravel().tolist() if keypoints is None else keypoints
    one = {
        "id": 7,
        "image_id": 3,
        "category_id": 1,
        "segmentation": [],
        "area": 340.0,
        "bbox": [20.0, 10.0, 20.0, 18.0],
        "iscrowd": 0,
        "attributes": {"occluded": False},
        "keypoints": rows,
        "num_keypoints": 5,
    }
    return {
        "licenses": [{"name": "", "id": 0, "url": ""}],
        "info": {"contributor": "", "version": ""},
        "categories": [{"id": 1, "name": "face", "supercategory": "", "keypoints": list(names), "skeleton": [[1, 2]]}],
        "images": [{"id": 3, "width": 60, "height": 40, "file_name": "a.png", "license": 0} | image],
        "annotations": [one] if annotations is None else [one | changes for changes in annotations],
    }


def test_coco_keypoints_keep_visibility_and_unlabeled_points(folder):
    rows = np.column_stack([FACE, (2, 1, 0, 2, 2)])
    rows[2, :2] = 0
    write_json(folder / "annotations" / "person_keypoints_train2017.json", coco(rows.ravel().tolist()))
    (sample,) = own.read(folder)
    labels = sample.labels
    assert (labels.scheme.name, sample.split) == ("celeba5", "train")
    assert np.isnan(labels.landmarks[2]).all()
    np.testing.assert_array_equal(labels.landmarks[[0, 1, 3, 4]], FACE[[0, 1, 3, 4]])
    assert labels.visibility.tolist() == [True, False, False, True, True]
    assert sample.decode().image.shape == (40, 60, 3)


def test_coco_file_in_a_split_s_folder_is_of_that_split(folder):
    content = coco()
    content["categories"].insert(0, {"id": 0, "name": "faces", "supercategory": "none"})
    for name in ("train", "valid"):
        write_json(folder / name / "_annotations.coco.json", content)
        cv2.imwrite(str(folder / name / "a.png"), np.zeros((40, 60, 3), np.uint8))
    samples = list(own.read(folder))
    assert [sample.split for sample in samples] == ["train", "val"]
    assert [sample.image.path.parent.name for sample in samples] == ["train", "valid"]


def test_coco_points_are_ordered_by_the_scheme_s_names(folder):
    scheme = LandmarkScheme.from_dict(SEVEN)
    face = np.arange(14.0).reshape(7, 2) + 5
    order = [6, 5, 4, 3, 2, 1, 0]
    rows = np.column_stack([face[order], np.full(7, 2)]).ravel().tolist()
    content = coco(rows, names=[scheme.names[i] for i in order])
    (folder / "images").mkdir()
    (folder / "a.png").rename(folder / "images" / "a.png")
    write_json(folder / "faces.json", content)
    (sample,) = own.read(folder, options=LabelOptions(scheme))
    np.testing.assert_array_equal(sample.labels.landmarks, face)
    assert sample.labels.scheme == scheme
    content["categories"][0]["keypoints"][0] = "chin"
    write_json(folder / "faces.json", content)
    assert "chin are no names of scheme mine7; rename them" in complaints(folder, LabelOptions(scheme))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (coco([1, 2, 2]), r"annotation 7: keypoints of face \(x, y, v each\) is .*, expected 15 numbers within"),
        (coco(np.column_stack([FACE, [9] * 5]).ravel().tolist()), "a keypoint's v is 9, expected 0"),
        (coco(np.column_stack([FACE, [0] * 5]).ravel().tolist()), "for all 5 keypoints although they have coordinates"),
        (coco([0] * 15), "for all 5 keypoints; remove the annotation"),
        (coco(annotations=[{"image_id": 4}]), "annotation 7: its image_id is of none of the images"),
        (coco(annotations=[{"category_id": 4}]), "category_id 4 is of none of the categories"),
        (coco(annotations=[{"keypoints": None}]), "got keypoints None, expected a list"),
        (coco(names=()), "no category has keypoints .categories: face.; export as COCO keypoints"),
        (coco(np.column_stack([FACE / 60, [2] * 5]).ravel().tolist()), "pass --normalized"),
        (coco(width=120, height=80), r"labels of an image of 120 x 80 pixels, but .*a.png has 60 x 40"),
        (coco(file_name=None), "image 1: got file_name None"),
        (coco([9, 9, 2] * 6, names="abcdef"), r"6 landmarks, expected 98 \(wflw98\)"),
    ],
)
def test_coco_is_refused_when_labels_cannot_be_right(folder, content, complaint):
    write_json(folder / "faces.json", content)
    with pytest.raises(ValueError, match=complaint) as raised:
        list(own.read(folder))
    assert str(folder / "faces.json") in str(raised.value)


@pytest.mark.parametrize("junk", [None, 3, 1e300, float("inf"), 10**30, "x" * 5000, [], {}, [[]], {"a": 1}, True])
def test_no_value_of_a_label_file_is_a_crash(folder, junk):
    files = (
        ("labels.json", {"images": [entry()], "scheme": "celeba5", "first_pixel": 0}),
        ("faces.json", coco()),
        ("a.json", labelme(numbered())),
    )
    for name, content in files:
        for place in _places(content):
            changed = copy.deepcopy(content)
            inner = changed
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = junk
            path, issues = write_json(folder / name, changed), []
            list(own.read(folder, issues.append, file=path))
            assert all(len(issue.message) < 1500 for issue in issues), place
        path.unlink()


def _places(value, place=()):
    """Yield the keys that lead to each value inside; of lists, the first two."""
    inside = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, inner in inside:
        yield (*place, key)
        yield from _places(inner, (*place, key))


def test_coco_leaves_out_crowds_and_images_without_annotations(folder):
    content = coco(annotations=[{}, {"id": 8, "iscrowd": 1}, {"id": 7}])
    content["images"].append({"id": 4, "width": 60, "height": 40, "file_name": "b.png"})
    write_json(folder / "faces.json", content)
    samples, issues = issues_of(folder)
    assert len(samples) == 1
    messages = [issue.message for issue in issues if issue.severity is Severity.LEFT_OUT]
    assert ["1 images without annotations" in messages[0], "1 crowds" in messages[1]] == [True, True]
    assert "annotation 7: another annotation has the same id" in issues[0].message


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("person_keypoints_train2017", "train"),
        ("instances_val", "val"),
        ("Validation", "val"),
        ("testing", "test"),
        ("person_keypoints_default", "all"),
        ("latest", "all"),
        ("values_trainer", "all"),
    ],
)
def test_split_is_told_by_a_word_of_the_name(name, split):
    assert split_of(name) == split


# LabelMe


def labelme(labeled, kind="point", size=(60, 40), image="a.png", **shape):
    shapes = [
        {"label": label, "points": [list(xy)], "group_id": None, "description": "", "shape_type": kind, "flags": {}}
        | shape
        for label, xy in labeled
    ]
    content = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": image, "imageData": "A" * 99999}
    return content | {"imageHeight": size[1], "imageWidth": size[0]}


def numbered(first=0):
    return [(str(i + first), xy + 0.5) for i, xy in enumerate(FACE)]


@pytest.mark.parametrize("first", [0, 1])
def test_labelme_points_are_ordered_by_their_numbers(folder, first):
    write_json(folder / "a.json", labelme(numbered(first)[::-1]))
    (sample,) = own.read(folder)
    np.testing.assert_allclose(sample.labels.landmarks, FACE)
    assert sample.labels.scheme.name == "celeba5"


def test_labelme_points_are_ordered_by_names_and_groups_are_faces(folder):
    scheme = LandmarkScheme.from_dict(SEVEN)
    face = np.arange(14.0).reshape(7, 2) + 5
    content = labelme([(scheme.names[i], face[i] + 0.5) for i in (6, 1, 2, 3, 0)], group_id=1)
    content["shapes"] += labelme([(scheme.names[i], face[i] + 10.5) for i in range(7)], group_id=2)["shapes"]
    content["shapes"] += labelme([("face", (4, 5))], "rectangle", points=[[30, 25], [4, 5]], group_id=1)["shapes"]
    content["shapes"] += labelme([("hair", (4, 5))], "polygon")["shapes"]
    write_json(folder / "train" / "a.json", content | {"imagePath": "..\\a.png"})
    write_json(folder / "scheme.json", SEVEN)
    samples, issues = issues_of(folder)
    first, second = (sample.labels for sample in samples)
    assert np.isnan(first.landmarks[[4, 5]]).all()
    np.testing.assert_array_equal(first.landmarks[[0, 1, 2, 3, 6]], face[[0, 1, 2, 3, 6]])
    np.testing.assert_array_equal(second.landmarks, face + 10)
    assert first.boxes["detector"] == (3.5, 4.5, 29.5, 24.5)
    assert (samples[0].split, first.scheme) == ("train", scheme)
    assert [issue.message.partition(": ")[2] for issue in issues] == ["1 shapes of type polygon"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (labelme([*numbered(), ("3", (9, 9))]), "two points with no group_id are labeled '3'; give .* a group_id"),
        (
            labelme([("eye", (1, 2)), ("nose", (9, 9))]),
            "points are labeled 'eye', 'nose', expected numbers; give",
        ),
        (labelme(numbered(3)), "points are labeled 3 to 7, expected 0 to 4 or 1 to 5"),
        (labelme(numbered()[:3]), r"3 landmarks, expected 98 \(wflw98\)"),
        (labelme(numbered(), size=(30, 20)), "labels of an image of 30 x 20 pixels"),
        (labelme(numbered(), points=[[1, 2], [3, 4]]), r"shape 1 \(0\) is .*, expected 2 numbers within"),
        (labelme([(None, (1, 2))]), "got label None, expected a string"),
        (labelme(numbered(), group_id=[1]), r"group_id is \[1\]"),
    ],
)
def test_labelme_is_refused_when_labels_cannot_be_right(folder, content, complaint):
    write_json(folder / "a.json", content)
    with pytest.raises(ValueError, match=complaint) as raised:
        list(own.read(folder))
    assert str(folder) in str(raised.value)


# CVAT


def cvat(content, version="1.1"):
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>{version}</version>\n'
        "  <meta>\n    <task>\n      <id>1</id>\n      <labels><label><name>face</name></label></labels>\n"
        f'    </task>\n  </meta>\n  <image id="0" name="a.png" subset="Test" width="60" height="40">\n{content}\n'
        "  </image>\n</annotations>\n"
    )


def joined(points):
    return ";".join(f"{x:.2f},{y:.2f}" for x, y in points)


def test_cvat_points_and_skeletons_are_faces(folder):
    skeleton = "".join(
        f'<points label="{i + 1}" source="manual" outside="{int(i == 2)}" occluded="{int(i == 4)}" '
        f'points="{joined([xy + 0.5])}">\n</points>'
        for i, xy in reversed(list(enumerate(FACE + 1)))
    )
    content = (
        f'<points label="face" source="manual" occluded="0" points="{joined(FACE + 0.5)}" z_order="0">\n</points>'
        f'<skeleton label="face" source="manual" z_order="0">{skeleton}</skeleton>'
        '<box label="face" source="manual" occluded="0" xtl="1" ytl="1" xbr="9" ybr="9" z_order="0"></box>'
    )
    (folder / "annotations.xml").write_text(cvat(content))
    samples, issues = issues_of(folder)
    first, second = (sample.labels for sample in samples)
    np.testing.assert_allclose(first.landmarks, FACE, atol=1e-5)
    np.testing.assert_allclose(second.landmarks[[0, 1, 3, 4]], FACE[[0, 1, 3, 4]] + 1, atol=1e-5)
    assert np.isnan(second.landmarks[2]).all()
    assert second.visibility.tolist() == [True, True, False, True, False]
    assert (samples[0].split, first.visibility) == ("test", None)
    assert [issue.message.partition(": ")[2] for issue in issues] == ["1 elements box"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (cvat("", "2.0"), "is not an XML file of CVAT for images 1.1; export the task as COCO Keypoints"),
        (cvat("").replace("image", "track"), "holds tracks, of CVAT for video"),
        (cvat("<points")[:-20], "is not XML"),
        (cvat('<points label="0" points="1,2"/>'), "a single point, labeled '0'.*COCO Keypoints"),
        (cvat('<points label="0" points="1,2;x"/>'), "points are '1,2;x', expected x,y;x,y"),
        (cvat('<skeleton><points label="" points="1,2"/></skeleton>'), "a skeleton's point '' with 1 points"),
    ],
)
def test_cvat_is_refused_when_it_cannot_be_read(folder, content, complaint):
    (folder / "annotations.xml").write_text(content)
    with pytest.raises(ValueError, match=complaint):
        list(own.read(folder))


# Photographs with an Exif orientation


def save_turned(path, picture, orientation):
    """Write a JPEG whose picture, as viewers show it, is `picture`."""
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # PIL's Transpose that undoes each orientation
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(picture)
    stored = stored.transpose(Image.Transpose(back[orientation])) if orientation in back else stored
    stored.save(path, quality=100, subsampling=0, exif=exif)
    return np.asarray(ImageOps.exif_transpose(Image.open(path)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_image_is_turned_by_every_orientation(tmp_path, orientation):
    picture = cv2.resize(np.random.default_rng(0).integers(0, 255, (4, 6, 3), np.uint8), (60, 40))
    shown = save_turned(tmp_path / "a.jpg", picture, orientation)
    np.testing.assert_allclose(shown.astype(int), picture.astype(int), atol=12)
    turned = ImageFile(tmp_path / "a.jpg", orientation).read()
    np.testing.assert_allclose(turned.astype(int), shown.astype(int), atol=3)


@pytest.fixture
def turned_photo(tmp_path):
    """A photograph stored 60 x 40, shown 40 x 60."""
    save_turned(tmp_path / "a.jpg", np.zeros((60, 40, 3), np.uint8), 6)
    return tmp_path


PORTRAIT, LANDSCAPE = FACE * (1, 2) - (15, 1), FACE + np.array([18, 0])
"""Faces inside the picture as shown (40 x 60) alone, and as stored (60 x 40) alone."""
BOTH = FACE - (5, 0)


@pytest.mark.parametrize(
    ("face", "exif", "shape", "how"),
    [
        (PORTRAIT, "auto", (60, 40), "1 turned (the only one that fits)"),
        (LANDSCAPE, "auto", (40, 60), "1 stored (the only one that fits)"),
        (BOTH, "auto", (60, 40), "1 turned (as viewers show it)"),
        (BOTH, "stored", (40, 60), "1 stored (as asked)"),
    ],
)
def test_photograph_is_read_as_its_points_fit_and_warned_of(turned_photo, face, exif, shape, how):
    write_json(turned_photo / "labels.json", [entry(face.tolist(), "a.jpg")])
    (sample,), (issue,) = issues_of(turned_photo, LabelOptions(exif=exif))
    assert sample.decode().image.shape[:2] == shape
    np.testing.assert_allclose(sample.labels.landmarks, face)
    assert issue.severity is Severity.WARNING
    assert how in issue.message


@pytest.mark.parametrize(("size", "shape"), [((40, 60), (60, 40)), ((60, 40), (40, 60))])
def test_photograph_is_read_as_the_file_states_its_size(turned_photo, size, shape):
    write_json(turned_photo / "a.json", labelme([(str(i), xy) for i, xy in enumerate(BOTH)], size=size, image="a.jpg"))
    (sample,), _ = issues_of(turned_photo)
    assert sample.decode().image.shape[:2] == shape


# Commands


def convert(capsys, *arguments):
    status = main(["datasets", "convert", *map(str, arguments)])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_convert_takes_the_formats_by_folder_and_by_file(folder, tmp_path, capsys):
    path = write_json(folder / "annotations" / "instances_default.json", coco())
    assert convert(capsys, folder, "--out", tmp_path / "a")[0] == 0
    path.rename(folder / "mine.json")
    assert convert(capsys, folder / "mine.json", "--out", tmp_path / "b")[0] == 0
    for name in "ab":
        store = SampleStore.read(tmp_path / name / "all")
        assert (len(store.faces), store.scheme.name) == (1, "celeba5")


def test_convert_says_which_file_may_be_given(folder, tmp_path, capsys):
    (folder / "faces.csv").write_text(table())
    status, _, err = convert(capsys, folder, "--out", tmp_path / "out")
    assert status == 1
    assert "found a.png, faces.csv; give a file of your own labels itself" in err
    assert convert(capsys, folder / "faces.csv", "--out", tmp_path / "out")[0] == 0


def test_convert_says_what_was_left_out_once(folder, tmp_path, capsys):
    write_json(folder / "faces.json", coco(annotations=[{}, {"id": 8, "iscrowd": 1}]))
    status, _, err = convert(capsys, folder, "--out", tmp_path / "out")
    assert status == 0
    assert err.count("1 crowds (iscrowd)") == 1


def test_convert_warns_of_turned_photographs_once(turned_photo, tmp_path, capsys):
    faces = [entry((BOTH + i).tolist(), "a.jpg") | {"split": split} for i, split in enumerate(("train", "test"))]
    write_json(turned_photo / "labels.json", faces)
    status, _, err = convert(capsys, turned_photo, "--out", tmp_path / "out")
    assert status == 0
    assert err.count("2 photographs have an Exif orientation") == 1


def test_convert_keeps_the_options_of_a_folder(folder, tmp_path, capsys):
    write_json(folder / "labels.json", [entry(((FACE + 0.5) / (60, 40)).tolist())])
    status, _, err = convert(capsys, folder, "--out", tmp_path / "out")
    assert status == 1
    assert "pass --normalized" in err
    assert convert(capsys, folder, "--out", tmp_path / "out2", "--normalized")[0] == 0
    fractions = "--normalized", "--exif", "turned"
    assert (
        "another setup: exif was None, got turned" in convert(capsys, folder, "--out", tmp_path / "out2", *fractions)[2]
    )


def test_options_of_own_labels_are_refused_for_a_known_dataset(tmp_path, replica, capsys):
    replica.wflw(tmp_path / "WFLW")
    status, _, err = convert(capsys, tmp_path / "WFLW", "--out", tmp_path / "out", "--normalized")
    assert status == 1
    assert "got --normalized, for your own labels, but" in err


def test_check_draws_a_sheet_of_own_labels(folder, capsys):
    write_json(folder / "labels.json", [entry(LIST)])
    assert main(["datasets", "check", str(folder), "--sheet", str(folder / "sheet.png")]) == 0
    assert cv2.imread(str(folder / "sheet.png")) is not None
