import numpy as np
import pytest

from atpn.data.contact_sheet import TILE, face_tile
from atpn.data.readers import london


def test_points_are_those_of_the_template_beside_the_image(tmp_path, replica):
    drawn = replica.london(tmp_path)
    samples = list(london.read(tmp_path))
    assert [sample.labels.attributes["identity"] for sample in samples] == list(drawn)
    for sample, points in zip(samples, drawn.values(), strict=True):
        np.testing.assert_allclose(sample.labels.landmarks, points, atol=1e-3)
        assert sample.decode().image.shape == (120, 120, 3)
    assert face_tile(samples[0].decode()).shape == (TILE, TILE, 3)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "not a webmorph template"),
        ("189\n" + "1\t2\n" * 100, "not a webmorph template|has"),
        ("68\n" + "1\t2\n" * 189, "states 68 points"),
        ("189\n" + "1\tnan\n" * 189, "within 1000000"),
        ("189\n" + "1\n" * 189, "has"),
    ],
)
def test_a_broken_template_is_named(tmp_path, content, why):
    path = tmp_path / "001_03.tem"
    path.write_text(content)
    with pytest.raises(ValueError, match=why) as error:
        london.read_tem(path)
    assert "001_03.tem" in str(error.value)


def test_missing_images_and_broken_templates_are_reported(tmp_path, replica):
    replica.london(tmp_path)
    (tmp_path / "neutral_front" / "000_03.jpg").unlink()
    (tmp_path / "neutral_front" / "001_03.tem").write_text("3\n")
    issues = []
    assert len(list(london.read(tmp_path, issues.append))) == 2
    assert [issue.severity for issue in issues] == ["missing", "corrupt"]
