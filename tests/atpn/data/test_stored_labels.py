"""Labels of stored samples from JSON that nobody has checked."""

import json

import pytest

from atpn.data.stored_labels import parse_labels

LABELS = {
    "key": "a",
    "scheme": "celeba5",
    "landmarks": [[1, 2], [3.5, None], [5, 6], [7, 8], [9, 10]],
    "visibility": [1, 1, 0, 1, 1],
    "rotation": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "intrinsics": {"fx": 100.0, "fy": 100.0, "cx": 0, "cy": -300.0},
    "neighbours": [[[1, 2], [3, 4]]],
    "boxes": {"tight": [1, 2, 3, 4]},
    "attributes": {"identity": "1_2"},
}
EMPTY = dict.fromkeys(("scheme", "landmarks", "visibility", "rotation", "intrinsics"))


def test_labels_come_back():
    assert parse_labels(json.dumps(LABELS).encode(), "a.json") == LABELS
    without = {"key": "a", "attributes": {}, **EMPTY}
    assert parse_labels(json.dumps(without).encode(), "a.json") == without


@pytest.mark.parametrize(
    "changed",
    [
        {"attributes": None},
        {"attributes": []},
        {"attributes": {"head": []}},
        {"attributes": {"kind": 3}},
        {"key": 3},
        {"key": None},
        {"scheme": ["wflw98"]},
        {"landmarks": 3},
        {"landmarks": [[1, 2], [3]]},
        {"landmarks": [[1, 2, 3]]},
        {"landmarks": {"a": 1}},
        {"landmarks": [["x", "y"]]},
        {"landmarks": [[1e400, 2]]},
        {"landmarks": [[1e300, 2]]},
        {"landmarks": [[10**400, 2]]},
        {"visibility": [[1]]},
        {"rotation": [[1, 0, 0]]},
        {"rotation": "x"},
        {"intrinsics": []},
        {"intrinsics": {"fx": 1}},
        {"intrinsics": {"fx": 0, "fy": 1, "cx": 0, "cy": 0}},
        {"intrinsics": {"fx": "a", "fy": 1, "cx": 0, "cy": 0}},
        {"neighbours": [[1, 2]]},
        {"boxes": None},
        {"boxes": {"tight": [1, 2, 3]}},
        {"boxes": {"tight": [1, 2, 3, {}]}},
    ],
)
def test_a_wrong_label_is_named_in_a_bounded_length(changed):
    (key,) = changed
    content = json.dumps(LABELS | changed).replace("Infinity", "1e400").encode()
    with pytest.raises(ValueError, match=rf"^a\.json: .*{key.removesuffix('es')}") as caught:
        parse_labels(content, "a.json")
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("content", [b"", b"\xff", b"[" * 100_000, b"null", b"{}", b'{"key": ' * 50_000])
def test_other_content_is_an_error(content):
    with pytest.raises(ValueError, match=r"^a\.json (is not JSON|is nested too deeply|lacks)"):
        parse_labels(content, "a.json")
