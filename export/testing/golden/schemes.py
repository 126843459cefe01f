"""Known landmark schemes, of which ports draw the edges."""

from __future__ import annotations

from typing import Any

from edge_runtime.landmarks import SCHEMES


def schemes() -> dict[str, dict[str, Any]]:
    """Return each scheme's number of landmarks and its edges, by name."""
    return {
        name: {"count": scheme.count, "edges": [list(edge) for edge in scheme.edges]}
        for name, scheme in SCHEMES.items()
    }
