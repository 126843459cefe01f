"""Rendered faces to measure on."""

from __future__ import annotations

import pytest

from atpn.synthetic.drawing.gl import GraphicsError
from benchmarks.inputs import rendered_store


def test_rendered_store_renders_without_a_folder():
    try:
        store, origin = rendered_store(None, 4, None)
    except GraphicsError as error:
        pytest.skip(str(error))
    assert len(store) == 4
    assert store.landmarks[store.faces].shape[1:] == (98, 2)
    assert "procedural head" in origin


def test_rendered_store_reads_a_folder(face_shards):
    store, origin = rendered_store(face_shards, 60, None)
    assert (len(store.faces), origin) == (16, f"renders in {face_shards.name}")
