"""Losses of networks that read landmarks from heatmaps: STAR and Semantic Alignment as they were published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import get_args

from torch import Tensor

from atpn.model.config import HeatmapKind
from atpn.train.config import HeatmapLoss, LandmarkLoss
from atpn.train.losses.heatmap_semantic_alignment import heatmap_loss, search_heatmaps
from atpn.train.losses.heatmap_star import distance_loss, heatmap_star_loss

KINDS: Mapping[LandmarkLoss, HeatmapKind] = MappingProxyType(
    {
        "heatmap-distance": "distribution",
        "heatmap-star": "distribution",
        "heatmap-gaussian": "gaussian",
        "heatmap-semantic-alignment": "gaussian",
    }
)
"""Heatmaps that each loss is for; the first and the third are the papers' baselines."""
_LOSSES: Mapping[LandmarkLoss, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {
        "heatmap-distance": distance_loss,
        "heatmap-star": heatmap_star_loss,
        "heatmap-gaussian": heatmap_loss,
        "heatmap-semantic-alignment": heatmap_loss,
    }
)


def needs_heatmaps(loss: LandmarkLoss) -> bool:
    """Return whether a loss is one of heatmaps."""
    return loss in get_args(HeatmapLoss)


def heatmap_landmark_loss(
    loss: LandmarkLoss, maps: Tensor, labeled: Tensor, averaged_maps: Callable[[], Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute a loss of (B, N, G, G) maps against (B, N, 2) labels in [0, 1] of the crop, and its parts for the log.

    `averaged_maps` gives the averaged network's maps of the same crops; only Semantic Alignment asks for them.
    """
    parts = {}
    if loss == "heatmap-semantic-alignment":
        found = search_heatmaps(averaged_maps(), labeled)
        parts["moved"] = (found - labeled).norm(dim=-1).mean()
        labeled = found
    points = _LOSSES[loss](maps, labeled)
    return points, {**parts, "points": points.detach()}
