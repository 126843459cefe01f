"""The weights that we train and ship; the README beside them is their card."""

from pathlib import Path

_FOLDER = Path(__file__).parent
SHIPPED = _FOLDER / "atpn.safetensors"
"""ATPN."""
SHIPPED_PROMPTS = _FOLDER / "prompts.safetensors"
"""The same ATPN with a head for any points of the plane."""
SHIPPED_TUFA = _FOLDER / "tufa.safetensors"
"""The teacher."""
