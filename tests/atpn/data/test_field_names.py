import json

import pytest

from atpn.data.field_names import with_new_field_names
from atpn.data.shards import claim_folder


def test_earlier_names_become_present_ones_at_any_depth():
    stored = {"recipe": {"jitter": {"flip_share": 0.5, "roll_sigma": 8.0}, "lr": [{"grey": 1}, None]}}
    assert with_new_field_names(stored) == {
        "recipe": {"jitter": {"flip_prob": 0.5, "roll_sigma": 8.0}, "lr": [{"gray": 1}, None]}
    }


def test_a_folder_of_an_earlier_version_is_continued(tmp_path):
    manifest = tmp_path / "render.json"
    manifest.write_text(json.dumps({"seed": 3, "options": {"roi_share": [0.5, 0.8], "degrade": {"colour_cast": 0.4}}}))
    setup = {"seed": 3, "options": {"roi_fraction": (0.5, 0.8), "degrade": {"color_cast": 0.4}}}
    claim_folder(manifest, setup)
    assert json.loads(manifest.read_text())["options"]["degrade"] == {"color_cast": 0.4}
    with pytest.raises(ValueError, match=r"another setup: seed was 3, got 4; choose another --out"):
        claim_folder(manifest, setup | {"seed": 4})
