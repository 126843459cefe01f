"""The render command: shards, resuming, preview."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from atpn.data.shards import read_shard
from atpn.synthetic import cli
from atpn.synthetic.cli import RenderConfig, run
from atpn.synthetic.definitions import SIDE


@pytest.fixture(autouse=True)
def _shared_renderer(monkeypatch: pytest.MonkeyPatch, procedural_renderer) -> None:
    monkeypatch.setattr(cli, "_renderer", lambda config: procedural_renderer)


def read_shards(folder):
    return [stored for shard in sorted(folder.glob("*.tar")) for stored in read_shard(shard)]


def test_shards_hold_every_image_once(tmp_path, decoded):
    run(RenderConfig(out=tmp_path, count=7, shard_size=3))
    samples = read_shards(tmp_path)
    assert len({stored.labels["key"] for stored in samples}) == len(samples) == 7
    sides = {"clear": 256, "hard": 192}
    for sample in (decoded(stored) for stored in samples):
        assert sample.image.shape[:2] == (sides[sample.attributes["kind"]],) * 2


def test_a_preview_shows_48_images_and_writes_no_shard(tmp_path):
    run(RenderConfig(out=tmp_path, preview=tmp_path / "sheet.png"))
    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (6 * 192, 8 * 192, 3)
    assert not list(tmp_path.glob("*.tar"))


def test_definitions_are_drawn_on_two_heads_and_no_shard_is_written(tmp_path):
    run(RenderConfig(out=tmp_path, definitions=tmp_path / "docs" / "definitions.jpg"))
    image = cv2.imread(str(tmp_path / "docs" / "definitions.jpg")).astype(int)
    assert image.shape == (SIDE, 2 * SIDE, 3)
    green = (image[..., 1] - image[..., [0, 2]].max(axis=2)) > 60
    assert green[:, :SIDE].sum() > 300  # landmarks on either head
    assert green[:, SIDE:].sum() > 300
    assert not list(tmp_path.glob("*.tar"))


def test_processes_of_a_torchrun_share_the_shards_and_render_the_same(tmp_path, monkeypatch):
    run(RenderConfig(out=tmp_path / "alone", count=9, shard_size=3))
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, expected in (("1", ["faces-000001.tar"]), ("0", [f"faces-00000{i}.tar" for i in range(3)])):
        monkeypatch.setenv("RANK", rank)
        run(RenderConfig(out=tmp_path / "shared", count=9, shard_size=3))
        assert [p.name for p in sorted((tmp_path / "shared").glob("*.tar"))] == expected
    for shard in (tmp_path / "alone").glob("*.tar"):
        assert shard.read_bytes() == (tmp_path / "shared" / shard.name).read_bytes()


def test_the_same_command_makes_only_what_is_missing(tmp_path):
    config = RenderConfig(out=tmp_path, count=6, shard_size=3)
    run(config)
    kept, lost = tmp_path / "faces-000000.tar", tmp_path / "faces-000001.tar"
    before, content = kept.stat().st_mtime_ns, lost.read_bytes()
    lost.unlink()
    run(config)
    assert kept.stat().st_mtime_ns == before
    assert lost.read_bytes() == content  # the seed decides, not the order of work


def test_the_last_line_says_how_many_images_lie_where(tmp_path, capsys):
    config = RenderConfig(out=tmp_path, count=4, shard_size=3)
    run(config)
    assert capsys.readouterr().out == f"4 images in {tmp_path}, 4 of them rendered now\n"
    (tmp_path / "faces-000001.tar").unlink()
    run(config)
    assert capsys.readouterr().out == f"4 images in {tmp_path}, 1 of them rendered now\n"


def test_no_images_are_refused(tmp_path):
    with pytest.raises(ValueError, match="--count"):
        run(RenderConfig(out=tmp_path, count=0))


def test_a_longer_render_completes_a_short_last_shard(tmp_path):
    run(RenderConfig(out=tmp_path, count=4, shard_size=3))
    run(RenderConfig(out=tmp_path, count=6, shard_size=3))
    assert len(read_shards(tmp_path)) == 6


def test_another_setup_is_refused_and_nothing_is_lost(tmp_path):
    run(RenderConfig(out=tmp_path, count=3, shard_size=3))
    with pytest.raises(ValueError, match="seed was 0, got 1"):
        run(RenderConfig(out=tmp_path, count=3, shard_size=3, seed=1))
    assert len(read_shards(tmp_path)) == 3


def test_shards_of_unknown_origin_are_not_added_to(tmp_path):
    (tmp_path / "faces-000000.tar").write_bytes(b"")
    with pytest.raises(ValueError, match=r"render\.json"):
        run(RenderConfig(out=tmp_path, count=3))


def test_shards_hold_expressions_and_a_folder_keeps_its_repertoire(tmp_path):
    run(RenderConfig(out=tmp_path, count=3, shard_size=3, repertoire=0.7))
    for stored in read_shards(tmp_path):
        assert len(stored.labels["expressions"]) == 52
        assert np.shape(stored.labels["gaze"]) == (2, 2)
    with pytest.raises(ValueError, match="another setup"):
        run(RenderConfig(out=tmp_path, count=3, shard_size=3, repertoire=0.2))


@pytest.mark.parametrize("fraction", [-0.1, 1.5])
def test_a_repertoire_beyond_a_fraction_is_refused(tmp_path, fraction):
    with pytest.raises(ValueError, match="--repertoire must lie between 0 and 1"):
        run(RenderConfig(out=tmp_path, repertoire=fraction))
