import numpy as np
import pytest

from atpn.data.readers import w300vw


def test_labels_meet_their_frames(tmp_path, replica):
    drawn = replica.w300vw(tmp_path)
    issues = []
    samples = list(w300vw.read(tmp_path, issues.append))
    assert list(dict.fromkeys(s.split for s in samples)) == ["train", "category1", "category2", "category3"]
    for sample, ((video, number), face) in zip(samples, drawn.items(), strict=True):
        assert (sample.subsets, sample.labels.attributes["frame"]) == ([video], str(number))
        np.testing.assert_allclose(sample.labels.landmarks, face.landmarks, atol=1e-4)
        assert abs(float(sample.decode().image.mean()) - 30 * number) < 4
        assert sample.labels.attributes["sequence"] == ("1" if number < 3 else "2")
    # Back to an earlier frame, and the same frame twice.
    for sample in (samples[1], samples[1], samples[0]):
        number = int(sample.labels.attributes["frame"])
        assert abs(float(sample.decode().image.mean()) - 30 * number) < 4
    left_out = [f.message for f in issues if f.severity == "left out"]
    assert left_out[0] == "video 001: 1 of 6 frames have no labels"
    assert sum(f.severity == "missing" for f in issues) == 110


def test_the_lists_have_the_official_lengths():
    videos = [video for names in w300vw.VIDEOS.values() for video in names.split()]
    assert len(videos) == len(set(videos)) == 114


def test_a_video_shorter_than_its_labels_is_told_when_read(tmp_path, replica):
    replica.w300vw(tmp_path, videos=("001",))
    annotations = tmp_path / "001" / "annot"
    (annotations / "000006.pts").rename(annotations / "000009.pts")
    *_, last = w300vw.read(tmp_path, lambda _: None)
    with pytest.raises(ValueError, match="frame 9 does not decode"):
        last.decode()
