"""What several rooms' tests need."""

from __future__ import annotations

from pathlib import Path

import pytest

_SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def assets() -> Path:
    """The 3D assets that the shipped weights' training faces are rendered from; not part of the repository."""
    folder = _SHARED / "assets"
    if not folder.is_dir():
        pytest.skip(f"the 3D assets are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def real_faces() -> Path:
    """Real photographs and videos to measure on; not part of the repository."""
    folder = _SHARED / "real"
    if not folder.is_dir():
        pytest.skip(f"the real faces are not at {folder}")
    return folder
