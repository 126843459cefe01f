"""Faces to measure on, made on the spot."""

from __future__ import annotations

import pytest

from atpn.synthetic.drawing.gl import GraphicsError
from benchmarks.inputs import rendered_store


def test_without_a_folder_faces_are_rendered():
    try:
        store, origin = rendered_store(None, 4, None)
    except GraphicsError as error:
        pytest.skip(str(error))
    assert len(store) == 4
    assert store.landmarks[store.faces].shape[1:] == (98, 2)
    assert "procedural head" in origin


def test_a_folder_is_read(face_shards):
    store, origin = rendered_store(face_shards, 60, None)
    assert (len(store.faces), origin) == (16, f"renders in {face_shards.name}")
