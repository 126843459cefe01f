"""The datasets' replicas, as the readers' tests write them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_PATH = Path(__file__).parents[2] / "data" / "conftest.py"
_spec = importlib.util.spec_from_file_location("replicas", _PATH)
_replicas = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_replicas)
replica = _replicas.replica
