"""Renderers are dear to make: one of each kind for all tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from atpn.synthetic.drawing.gl import GraphicsError
from atpn.synthetic.drawing.renderer import FaceRenderer, RenderOptions
from atpn.synthetic.heads.ict import load_ict
from atpn.synthetic.heads.makehuman import load_wardrobe
from atpn.synthetic.heads.morphs import load_morphs


def _renderer(assets: Path | None, cache: Path) -> FaceRenderer:
    try:
        return FaceRenderer(assets, cache, RenderOptions(negatives=0.0, scenes=0.0), seed=5)
    except GraphicsError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def procedural_renderer(tmp_path_factory: pytest.TempPathFactory) -> FaceRenderer:
    """Renders the built-in head."""
    return _renderer(None, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def asset_cache(assets: Path, make_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """What takes a minute to derive from the assets."""

    def make(folder: Path) -> None:
        head = load_ict(assets / "ict_facekit")
        load_wardrobe(assets / "makehuman", head, folder)
        load_morphs(assets / "makehuman", head, folder)

    return make_once("assets", make)


@pytest.fixture(scope="session")
def asset_renderer(assets: Path, asset_cache: Path) -> FaceRenderer:
    """Renders the ICT head with MakeHuman's skins, brows and hair."""
    return _renderer(assets, asset_cache)
