"""The committed vectors are what today's runtime gives; ports are tested against them by their own tests."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from edge_runtime import ROI, TrackerOptions, observation, tracker
from edge_runtime.geometry import extract_crop
from edge_runtime.spec import DetectorSpec, ModelSpec, read_spec, standard_outputs
from export.testing.golden.command import as_text
from export.testing.golden.constants import constants
from export.testing.golden.recorder import play
from export.testing.golden.scenes import Scene, SceneFrame, Sprite, composite, scenes, write_ppm
from export.testing.golden.schemes import schemes
from export.testing.golden.steps import steps

FOLDER = Path(__file__).resolve().parents[2] / "android_demo" / "core" / "src" / "test" / "resources" / "golden"
AGAIN = "run `python -m export golden` and see that the tests of the Kotlin and TypeScript ports still pass"


class Replayer:
    """Backend that returns recorded outputs in order."""

    frame = 0

    def __init__(self, spec, outputs):
        self.spec, self._outputs = spec, outputs

    def run(self, crop, query_points=None):
        return next(self._outputs)


def scene_of(name, document):
    """Return the scene of a document."""
    frames = [
        SceneFrame(frame["time"], tuple(Sprite(*sprite) for sprite in frame["sprites"])) for frame in document["frames"]
    ]
    camera = document["intrinsics"]
    return Scene(
        name,
        document["width"],
        document["height"],
        frames,
        document["max_faces"],
        document["smoothing"],
        None if camera is None else tuple(camera),
        calibrations={i: frame["calibrate"] for i, frame in enumerate(document["frames"]) if "calibrate" in frame},
    )


def network_outputs(document, spec):
    """Yield the recorded outputs of the tracking network."""
    for frame in document["frames"]:
        for run in frame["runs"]:
            if run["outputs"] is not None:
                yield {
                    name: np.array(run["outputs"][name], np.float32).reshape(shape)  # null becomes NaN
                    for name, shape in spec.outputs.items()
                }


def detector_outputs(document, spec):
    """Yield the recorded outputs of the detector network."""
    for frame in document["frames"]:
        for search in frame["searches"]:
            outputs = {name: np.zeros(shape, np.float32) for name, shape in spec.outputs.items()}
            for row, column, score, *values in search["cells"]:
                outputs["scores"][row, column] = score
                outputs["rois"][row, column], outputs["roll"][row, column] = values[:3], values[3:]
            yield outputs


def read_ppm(path):
    """Decode the result of `write_ppm`."""
    _, size, _, pixels = path.read_bytes().split(b"\n", 3)
    width, height = map(int, size.split())
    return np.frombuffer(pixels, np.uint8).reshape(height, width, 3)


def golden_again(folder):
    """Compute the vectors again from the recorded faces, specs, and network outputs."""
    faces = [read_ppm(path) for path in sorted(folder.glob("face_*.ppm"))]
    network_spec, detector_spec = (read_spec(folder / f"{name}.tflite") for name in ("network", "detector"))
    documents = {"constants.json": constants(), "schemes.json": schemes(), "steps.json": steps(faces)}
    for path in sorted(folder.glob("sequence_*.json")):
        recorded = json.loads(path.read_bytes())
        network = Replayer(network_spec, network_outputs(recorded, network_spec))
        detector = Replayer(detector_spec, detector_outputs(recorded, detector_spec))
        documents[path.name] = play(scene_of(path.stem, recorded), network, detector, faces)
    return {name: json.loads(as_text(document)) for name, document in documents.items()}


def difference(ours, theirs, tolerance, path=""):
    """Return where and how two documents first differ, or None if they agree within the tolerance."""
    if isinstance(ours, dict) and isinstance(theirs, dict) and ours.keys() == theirs.keys():
        pairs = [(f"{path}.{key}", ours[key], theirs[key]) for key in ours]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = [(f"{path}[{i}]", a, b) for i, (a, b) in enumerate(zip(ours, theirs, strict=True))]
    elif isinstance(ours, float) and isinstance(theirs, float):
        return None if abs(ours - theirs) <= tolerance else f"{path}: {ours} and {theirs}"
    else:
        return None if ours == theirs else f"{path}: {str(ours)[:60]} and {str(theirs)[:60]}"
    return next((found for p, a, b in pairs if (found := difference(a, b, tolerance, p)) is not None), None)


@pytest.fixture(scope="module")
def written():
    return {path.name: json.loads(path.read_bytes()) for path in sorted(FOLDER.glob("*.json"))}


def test_committed_vectors_equal_the_runtimes_results(written):
    found = difference(golden_again(FOLDER), written, 1e-5)
    assert found is None, f"the runtime gives other results than the golden vectors ({found}): {AGAIN}"


def test_a_model_with_expressions_is_recorded(written):
    """The sequence of a shipped model, with constant expressions and gaze."""
    faces = [read_ppm(path) for path in sorted(FOLDER.glob("face_*.ppm"))]
    document = written["sequence_doubtful.json"]
    plain = ModelSpec.read(FOLDER / "network.tflite")
    spec = dataclasses.replace(plain, outputs=standard_outputs(98, with_expressions=True))
    scene = dataclasses.replace(scene_of("doubtful", document), calibrations={2: 0.1})

    def outputs():
        for found in network_outputs(document, plain):
            yield found | {"expressions": np.full(52, 0.2, np.float32), "gaze": np.full((2, 2), 0.1, np.float32)}

    detector_spec = read_spec(FOLDER / "detector.tflite")
    detector = Replayer(detector_spec, detector_outputs(document, detector_spec))
    frames = json.loads(as_text(play(scene, Replayer(spec, outputs()), detector, faces)))["frames"]
    assert [i for i, frame in enumerate(frames) if "calibrate" in frame] == [2]
    assert frames[2]["calibrate"] == 0.1
    for number in (0, 1, 20, 35):
        (face,), run = frames[number]["faces"], frames[number]["runs"][-1]
        assert run["outputs"]["expressions"] == run["observation"]["expressions"] == [0.2] * 52
        assert run["outputs"]["gaze"] == [0.1] * 4
        assert face["gaze"] == run["observation"]["gaze"] != [0.1] * 4  # not smoothed; in the camera's frame
        assert face["expressions"] == [0.2 if number < 2 else 0.0] * 52


def test_changed_constant_is_detected(written, monkeypatch):
    monkeypatch.setattr(tracker, "RESIDUAL_DECAY", 0.8)
    again = golden_again(FOLDER)
    assert difference(again, written, 1e-5) == ".constants.json.RESIDUAL_DECAY: 0.8 and 0.9"
    assert "tracks" in difference(
        again | {"constants.json": constants()}, written | {"constants.json": constants()}, 1e-5
    )


def test_the_written_sequences_are_the_ones_that_the_command_records(written):
    for scene in scenes():
        document = written[f"sequence_{scene.name}.json"]
        sprites = [tuple(Sprite(*sprite) for sprite in frame["sprites"]) for frame in document["frames"]]
        assert sprites == [frame.sprites for frame in scene.frames], AGAIN
        assert (document["width"], document["height"]) == (scene.width, scene.height)


def test_sequences_cover_their_cases(written):
    def ids(name):
        return [[face["id"] for face in frame["faces"]] for frame in written[f"sequence_{name}.json"]["frames"]]

    assert set(map(tuple, ids("still"))) == {(0,)}
    fast = written["sequence_fast.json"]["frames"]
    assert fast[-1]["stats"]["lost_count"] == 2
    assert {id_ for frame in ids("fast") for id_ in frame} == {0, 1}, "back within two seconds, and later"
    assert any(len(frame["searches"]) > 1 for frame in fast), "a large frame is searched in parts"
    crossing = ids("crossing")
    assert crossing[0] == [0, 1]
    assert [1] in crossing
    assert sorted(crossing[-1]) == [0, 1]
    slipped = written["sequence_slipped.json"]["frames"]
    counts = [len(frame["faces"]) for frame in slipped]
    assert counts[:3] == [2, 2, 2]
    assert counts[-1] == 1
    merged = slipped[counts.index(1)]["runs"]
    assert len(merged) == 2, "none is lost by itself"
    assert all(run["outputs"]["confidence"][0] > 0.9 for run in merged)
    assert (
        max(track[2] for frame in written["sequence_low_confidence.json"]["frames"] for track in frame["tracks"]) == 4
    )
    returning = ids("returning")
    assert returning[0] == [0]
    assert [] in returning
    assert sorted(returning[-1]) == [0, 1], "the first face returned by the left, the other one came by the right"
    doubtful = written["sequence_doubtful.json"]["frames"]
    assert [len(frame["faces"]) for frame in doubtful[:11]] == [1, 1, *[0] * 8, 1]
    assert doubtful[5]["runs"], "a candidate at a rejected place"
    assert max(frame["rejected"] for frame in doubtful) == 1
    assert ids("doubtful")[32:34] == [[0], [1]], "a sure face replaces a doubtful one"


def test_composite_follows_the_documented_rule():
    width, height, number = 40, 30, 3
    face = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3) * 5
    image = composite(width, height, number, [Sprite(0, -2, 20, scale=2)], [face])
    for x, y in ((0, 0), (0, 20), (5, 27), (6, 27), (39, 29)):
        mixed = x * 0x9E3779B1 % 2**32 ^ y * 0x85EBCA77 % 2**32 ^ number * 0xC2B2AE3D % 2**32
        mixed = (mixed ^ mixed >> 15) * 0x2C1B3C6D % 2**32
        noise = (mixed ^ mixed >> 12) >> 8 & 7
        inside = x < 6 and 20 <= y < 28
        rgb = face[(y - 20) // 2, (x + 2) // 2] if inside else [60 + (x + 2 * y) // 8 % 64 + 20 * c for c in range(3)]
        assert image[y, x, ::-1].tolist() == [min(int(value) + noise, 255) for value in rgb]


def test_crops_are_opencvs_fixed_point_bilinear():
    """The rule that ports follow to the bit: 1/1024 px steps, rounded to 1/32 px, 15-bit weights."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    roi = ROI(33.3, 20.7, 45.0, 0.3)
    (a, b, c), (d, e, f) = roi.crop_matrix(32)
    scale = 1 / (a * e - b * d)
    inverse = np.array([[e, -b, b * f - e * c], [-d, a, d * c - a * f]]) * scale
    steps = np.rint(inverse[:, 0, None] * np.arange(32) * 1024).astype(int)
    starts = np.rint((inverse[:, 1, None] * np.arange(32) + inverse[:, 2, None]) * 1024).astype(int) + 16
    places = starts[:, :, None] + steps[:, None, :] >> 5
    (left, top), (right, down) = places >> 5, (places & 31)[..., None]

    def at(x, y):
        return image[np.clip(y, 0, 59), np.clip(x, 0, 79)].astype(int)

    upper = at(left, top) * (32 - right) + at(left + 1, top) * right
    lower = at(left, top + 1) * (32 - right) + at(left + 1, top + 1) * right
    assert np.array_equal(extract_crop(image, roi, 32), (upper * (32 - down) + lower * down + 512) >> 10)


def test_ppm_round_trip(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (3, 10, 3), dtype=np.uint8)
    image[0, 0] = 10  # a line's end in the pixels
    (tmp_path / "a.ppm").write_bytes(write_ppm(image))
    assert np.array_equal(read_ppm(tmp_path / "a.ppm"), image)


def test_constants_are_numbers_and_none_is_forgotten(written):
    assert constants()["DETECTION_INTERVAL"] == TrackerOptions().detection_interval
    assert constants()["EXTENT_LIMITS"] == list(observation.EXTENT_LIMITS)
    assert "SEARCH_SIZE" not in constants()
    assert set(written["constants.json"]) == set(constants())


def test_the_specs_are_read_as_any_files(written):
    spec = ModelSpec.read(FOLDER / "network.tflite")
    assert dataclasses.replace(spec, name="other").name == "other"
    assert DetectorSpec.read(FOLDER / "detector.tflite").known_outputs == ("scores", "rois", "roll")


@pytest.mark.parametrize(
    ("ours", "theirs", "found"),
    [
        ({"a": [1.0, 2.0]}, {"a": [1.0, 2.000001]}, None),
        ({"a": [1.0, 2.0]}, {"a": [1.0, 2.1]}, ".a[1]: 2.0 and 2.1"),
        ({"a": [1.0]}, {"a": [1.0, 2.0]}, ".a: [1.0] and [1.0, 2.0]"),
        ({"a": None}, {"a": 0.0}, ".a: None and 0.0"),
        ([1], [2], "[0]: 1 and 2"),
    ],
)
def test_difference_names_the_path(ours, theirs, found):
    assert difference(ours, json.loads(json.dumps(theirs)), 1e-4) == found
