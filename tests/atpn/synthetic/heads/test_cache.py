"""Caches of what is carried from MakeHuman onto the head, written by several render workers at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from scipy import sparse

from atpn.synthetic.heads import makehuman, morphs
from atpn.synthetic.heads.makehuman import Wardrobe

WARDROBE = Wardrobe(np.zeros((1, 2, 4, 3), np.uint8), ("skin",), np.zeros((1, 2, 2), np.uint8), (), np.zeros((2, 4, 3)))
MORPHS = ["name"], np.zeros((1, 2, 3), np.float32), sparse.csr_matrix(np.eye(2))


@pytest.mark.parametrize(
    ("module", "load", "made"), [(makehuman, "load_wardrobe", WARDROBE), (morphs, "load_morphs", MORPHS)]
)
def test_two_workers_can_make_the_same_cache_at_once(tmp_path, monkeypatch, module, load, made):
    for name in ("base.obj", "targets.npz", "skins/a.jpg", "eyebrows/a/a.obj", "hair/a/a.obj"):
        path = tmp_path / "makehuman" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    both_have_written, save = Barrier(2, timeout=10), np.savez_compressed

    def save_and_wait(*args, **kwargs):
        save(*args, **kwargs)
        both_have_written.wait()

    monkeypatch.setattr(module, "_carry", lambda *_: made)
    monkeypatch.setattr(morphs, "read_morphs", lambda file, source, head: np.load(file)["names"])
    monkeypatch.setattr(np, "savez_compressed", save_and_wait)
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(getattr(module, load), tmp_path / "makehuman", None, tmp_path / "cache") for _ in range(2)]
        for job in jobs:
            job.result()
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".npz"]
