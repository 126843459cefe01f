import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from atpn.__main__ import main
from atpn.data.inspection import describe, inspect_dataset
from atpn.data.readers import registry
from atpn.data.readers.registry import DatasetFolder, find_datasets


def inspect(path: Path, **options):
    (found,) = find_datasets(path)
    return inspect_dataset(found, **options)


@pytest.mark.parametrize(
    ("name", "official"),
    [
        ("wflw", {"train": 3, "test": 2}),
        ("ibug300w", {"train": 4, "test": 3, "private": 2}),
        ("merl_rav", {"train": 10, "test": 10}),
        ("w300lp", {"all": 24}),
        ("aflw2000", {"test": 2}),
        ("wider_face", {"train": 3, "val": 1}),
        ("celeba", {"train": 2, "val": 2, "test": 2}),
    ],
)
def test_a_good_one_is_complete_and_one_face_less_is_not(tmp_path, replica, name, official):
    getattr(replica, name)(tmp_path)
    (found,) = find_datasets(tmp_path)
    result = inspect_dataset(DatasetFolder(replace(found.dataset, official=official), found.root), deep=True)
    assert result.complete
    assert describe(result).endswith("\n  complete")
    more = official | {next(iter(official)): next(iter(official.values())) + 1}
    result = inspect_dataset(DatasetFolder(replace(found.dataset, official=more), found.root))
    assert result.incomplete_splits == [next(iter(official))]
    assert found.dataset.where in describe(result)


def test_half_a_download_is_told_with_numbers_and_the_page(tmp_path, replica, capsys):
    replica.wflw(tmp_path, train=9)
    for image in sorted((tmp_path / "WFLW_images" / "0--Parade").glob("*_train_*"))[1:]:
        image.unlink()
    assert main(["datasets", "check", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert "train             7500         9   incomplete" in out
    assert "missing: 7" in out
    assert "and 2 more" in out
    assert "https://wywu.github.io/projects/LAB/WFLW.html" in out
    assert "incomplete datasets: wflw" in err


def test_a_split_that_is_not_there_at_all_is_short(tmp_path, replica):
    replica.ibug300w(tmp_path)
    shutil.rmtree(tmp_path / "300W")
    result = inspect(tmp_path)
    assert result.incomplete_splits == ["train", "test", "private"]
    assert "private            600         0   incomplete" in describe(result)
    assert [f.split for f in result.issues] == ["private", "private"]


def test_deep_decodes_images_and_notices_foreign_labels(tmp_path, replica):
    replica.celeba(tmp_path)
    folder = tmp_path / "Img" / "img_celeba"
    (folder / "000001.jpg").write_bytes(b"\xff\xd8\xff truncated")
    cv2.imwrite(str(folder / "000002.jpg"), cv2.imread(str(folder / "000002.jpg"))[:8, :8])
    assert inspect(tmp_path).issues == []
    messages = [issue.message for issue in inspect(tmp_path, deep=True).issues]
    assert "000001.jpg is not an image" in messages[0]
    assert "the face lies outside its image" in messages[1]
    assert len(messages) == 2


def test_wider_face_counts_images_and_300vw_videos(tmp_path, replica):
    replica.wider_face(tmp_path / "wider")
    replica.w300vw(tmp_path / "vw")
    wider, videos = inspect(tmp_path / "wider"), inspect(tmp_path / "vw")
    assert (dict(wider.units), dict(wider.faces)) == ({"train": 3, "val": 1}, {"train": 3, "val": 1})
    assert dict(videos.units) == dict.fromkeys(videos.found.dataset.official, 1)
    assert videos.faces["train"] == 5
    assert "5 faces" in describe(videos)


@pytest.mark.parametrize("name", ["wflw", "merl_rav", "aflw2000", "biwi", "wider_face", "cofw", "w300vw"])
def test_a_sheet_shows_labeled_faces(tmp_path, replica, name, capsys):
    getattr(replica, name)(tmp_path / "data")
    sheet = tmp_path / "sheets" / "faces.png"
    main(["datasets", "check", str(tmp_path / "data"), "--sheet", str(sheet)])
    image = cv2.imread(str(sheet))
    assert image.shape[1] == 5 * 224
    assert image[:, :224].std() > 5
    assert "random faces" in capsys.readouterr().out


def test_a_wrong_folder_ends_in_one_line_of_error(tmp_path, capsys):
    (tmp_path / "a").mkdir()
    assert main(["datasets", "check", str(tmp_path / "a")]) == 1
    assert capsys.readouterr().err.startswith("error: no known dataset in")


def test_list_shows_all_and_one(capsys):
    assert main(["datasets", "list"]) == 0
    table = capsys.readouterr().out
    assert all(name in table for name in registry.DATASETS)
    assert main(["datasets", "list", "own"]) == 0
    assert '"first_pixel": 0' in capsys.readouterr().out
    assert main(["datasets", "list", "nothing"]) == 1
    assert "unknown dataset 'nothing'" in capsys.readouterr().err
