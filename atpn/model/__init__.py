"""The network: one backbone, three branches (a reconstruction of ATPN, thesis chapter 3)."""

from atpn.model.atpn import ATPN, ATPNOutput
from atpn.model.backbone import Features
from atpn.model.checkpoint import CheckpointError, check_suffix, load_checkpoint, load_network, save_checkpoint
from atpn.model.config import ATPNConfig
from atpn.model.heatmap import landmark_heatmap
from atpn.model.network import Network, freeze

__all__ = [
    "ATPN",
    "ATPNConfig",
    "ATPNOutput",
    "CheckpointError",
    "Features",
    "Network",
    "check_suffix",
    "freeze",
    "landmark_heatmap",
    "load_checkpoint",
    "load_network",
    "save_checkpoint",
]
