from pathlib import Path

import pytest

from edge_runtime.files import locked
from export import candidates
from export.candidates import candidate_folder, install, remove_leftovers


def test_two_exports_of_one_file_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "out" / "model.tflite"
    with candidate_folder(path) as first, candidate_folder(path) as second:
        for folder, content in ((first, "first"), (second, "second")):
            (folder / path.name).write_text(content)
            remove_leftovers(path)
        for folder, content in ((second, "second"), (first, "first")):
            install(folder / path.name, path)
            assert path.read_text() == content
    assert [p.name for p in path.parent.iterdir()] == ["model.tflite"]


def test_the_candidate_of_a_killed_export_is_removed(tmp_path):
    path = tmp_path / "model.tflite"
    leftover = tmp_path / ".model.tflite-abcd1234"
    leftover.mkdir()
    (leftover / "candidate").touch()
    with locked(leftover):
        remove_leftovers(path)
        assert leftover.exists()
    remove_leftovers(path)
    assert not leftover.exists()


def test_a_candidates_folder_that_is_removed_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    path, made = tmp_path / "model.tflite", []

    def lock(folder: Path):
        made.append(folder)
        if len(made) == 1:
            remove_leftovers(path)
        return locked(folder)

    monkeypatch.setattr(candidates, "locked", lambda folder, wait=True: lock(folder) if wait else locked(folder, wait))
    with candidate_folder(path) as folder:
        assert folder == made[1]
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_failed_export_leaves_nothing(tmp_path):
    path = tmp_path / "model.mlpackage"
    path.mkdir()
    with pytest.raises(ValueError, match="parity"), candidate_folder(path):
        raise ValueError("parity")
    assert list(tmp_path.iterdir()) == [path]


def test_a_package_is_replaced_by_the_last_of_two_exports(tmp_path):
    path = tmp_path / "model.mlpackage"
    for content in ("older", "newer"):
        with candidate_folder(path) as folder:
            (folder / path.name).mkdir()
            (folder / path.name / content).touch()
            install(folder / path.name, path)
    assert [p.name for p in path.iterdir()] == ["newer"]
    assert list(tmp_path.iterdir()) == [path]
