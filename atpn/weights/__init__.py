"""The weights that we train and ship; the README beside them is their card."""

from pathlib import Path

from edge_runtime.models import NETWORKS

_FOLDER = Path(__file__).parent
SHIPPED = _FOLDER / "atpn.safetensors"
"""ATPN."""
SHIPPED_LITE = _FOLDER / "lite.safetensors"
"""ATPN-lite."""
SHIPPED_PROMPTS = _FOLDER / "prompts.safetensors"
"""The same ATPN with a head for any points of the plane."""
SHIPPED_TUFA = _FOLDER / "tufa.safetensors"
"""The teacher."""


def shipped_networks() -> dict[str, Path]:
    """Return the checkpoints of the tracking networks that the runtime ships, by the name of their files."""
    return {stem: _FOLDER / f"{name}.safetensors" for name, stem in NETWORKS.items()}
