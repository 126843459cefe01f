import pytest

from atpn.data.readers.registry import DATASETS, find_datasets

REPLICAS = {
    "wflw": "wflw",
    "300w": "ibug300w",
    "cofw": "cofw",
    "merl-rav": "merl_rav",
    "300w-lp": "w300lp",
    "aflw2000-3d": "aflw2000",
    "biwi": "biwi",
    "wider-face": "wider_face",
    "300vw": "w300vw",
    "celeba": "celeba",
    "london": "london",
}


@pytest.mark.parametrize("name", REPLICAS)
def test_each_is_recognized_alone_and_one_folder_off(tmp_path, replica, name):
    root = tmp_path / "around" / "unpacked"
    root.mkdir(parents=True)
    getattr(replica, REPLICAS[name])(root)
    inner = next(p for p in sorted(root.iterdir()) if p.is_dir()) if name not in {"aflw2000-3d"} else root
    for path in (root, root.parent, inner):
        found = find_datasets(path)
        assert name in {f.dataset.name for f in found}
        assert {f.root for f in found if f.dataset.name == name} <= {root.resolve(), inner.resolve()}
    assert [f.dataset.name for f in find_datasets(root)] == [name]
    assert all(sample.labels.attributes["split"] for sample in DATASETS[name].read(root, lambda _: None))


def test_keys_are_unique_and_fit_into_shards(tmp_path, replica):
    for name, writer in REPLICAS.items():
        getattr(replica, writer)(tmp_path / name)
        keys = [s.labels.key for s in DATASETS[name].read(tmp_path / name, lambda _: None)]
        assert len(keys) == len(set(keys)) > 0
        assert not any(set(key) & set("./ ") for key in keys)


def test_several_datasets_in_one_folder_are_all_found(tmp_path, replica):
    replica.w300lp(tmp_path / "300W_LP")
    replica.ibug300w(tmp_path / "300W")
    assert {(f.dataset.name, f.root.name) for f in find_datasets(tmp_path)} == {
        ("300w", "300W"),
        ("300w-lp", "300W_LP"),
    }
    (only,) = find_datasets(tmp_path, "300w-lp")
    assert only.root.name == "300W_LP"


def test_a_wrong_folder_tells_what_is_there_and_what_is_known(tmp_path):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "holiday.jpg").touch()
    with pytest.raises(
        FileNotFoundError, match=r"(?s)found holiday\.jpg; give.*or a folder with one of.*wflw .*WFLW_annotations/"
    ):
        find_datasets(folder)
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        find_datasets(folder / "holiday.jpg")
    with pytest.raises(ValueError, match="unknown dataset 'vflw'; known: wflw"):
        find_datasets(folder, "vflw")
