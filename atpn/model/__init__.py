"""The network: one backbone, three branches (a reconstruction of ATPN, thesis chapter 3)."""

from atpn.model.atpn import ATPN, PARTS, ATPNOutput, freeze, with_input_size
from atpn.model.backbone import Features
from atpn.model.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from atpn.model.config import ATPNConfig
from atpn.model.heatmap import landmark_heatmap

__all__ = [
    "ATPN",
    "PARTS",
    "ATPNConfig",
    "ATPNOutput",
    "CheckpointError",
    "Features",
    "freeze",
    "landmark_heatmap",
    "load_checkpoint",
    "save_checkpoint",
    "with_input_size",
]
