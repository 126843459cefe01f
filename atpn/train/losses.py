"""Training losses. Landmarks are (B, N, 2) in crop coordinates; every loss is a mean over the batch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from edge_runtime.landmarks import LandmarkScheme

GAP_PAIRS: Mapping[str, tuple[tuple[int, int], ...]] = MappingProxyType(
    {
        "wflw98": (
            *((61, 67), (62, 66), (63, 65), (69, 75), (70, 74), (71, 73)),  # upper to lower lid
            *((89, 95), (90, 94), (91, 93)),  # inner upper to inner lower lip
            *((79, 85), (78, 86), (80, 84), (76, 82)),  # outer lips, mouth corners
            *((35, 62), (37, 64), (44, 70), (42, 68)),  # brow to lid
        ),
        "ibug68": (
            *((37, 41), (38, 40), (43, 47), (44, 46)),
            *((61, 67), (62, 66), (63, 65)),
            *((51, 57), (50, 58), (52, 56), (48, 54)),
            *((19, 37), (21, 39), (24, 44), (22, 42)),
        ),
        "cofw29": (
            *((12, 13), (14, 15)),
            *((25, 26), (24, 27), (22, 23)),
            *((4, 12), (6, 14)),
        ),
        "celeba5": ((3, 4),),
    }
)
"""Landmark pairs whose distance is an expression: open eyes, open mouth, raised brows."""


def rectangle_size(landmarks: Tensor) -> Tensor:
    """(B, N, 2) to (B,): the longer side of each face's bounding rectangle.

    The default normaliser. The inter-ocular distance shrinks to nothing in profile, where dividing by it would let a
    few faces rule the batch; the rectangle changes little with pose.
    """
    return (landmarks.amax(dim=1) - landmarks.amin(dim=1)).amax(dim=1)


def thesis_landmark_loss(predicted: Tensor, target: Tensor, scheme: LandmarkScheme) -> Tensor:
    """Mean point-to-point distance over the inter-ocular distance (thesis, equation 3.3)."""
    left, right = scheme.outer_eye_corners
    inter_ocular = (target[:, left] - target[:, right]).norm(dim=-1)
    return ((predicted - target).norm(dim=-1).mean(dim=1) / inter_ocular.clamp_min(1e-6)).mean()


def wing(error: Tensor, width: float = 4.0, curvature: float = 1.0) -> Tensor:
    """Wing function of absolute errors (Feng et al., 2018, equation 5): logarithmic below `width`, linear above.

    The defaults are meant for errors in percent of the face's rectangle.
    """
    error = error.abs()
    offset = width - width * math.log1p(width / curvature)
    return torch.where(error < width, width * torch.log1p(error / curvature), error - offset)


def percent_errors(predicted: Tensor, target: Tensor) -> Tensor:
    """(B, N, 2) x and y errors in percent of each face's rectangle."""
    return (predicted - target) * (100.0 / rectangle_size(target)[:, None, None])


def wing_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Wing of the x and y errors in percent of the face's rectangle."""
    return wing(percent_errors(predicted, target)).mean()


def gap_loss(predicted: Tensor, target: Tensor, scheme: LandmarkScheme) -> Tensor:
    """Wing of the error in the vectors between the scheme's gap pairs, in percent of the face's rectangle.

    A point loss alone forgives half-open mouths: each lip is off by a little only. The pairs' difference is not.
    ValueError for a scheme without pairs.
    """
    if scheme.name not in GAP_PAIRS:
        raise ValueError(f"no gap pairs for scheme {scheme.name}; known: {', '.join(GAP_PAIRS)}; set gap_weight to 0")
    first, second = (list(side) for side in zip(*GAP_PAIRS[scheme.name], strict=True))
    error = (predicted[:, first] - predicted[:, second]) - (target[:, first] - target[:, second])
    return wing(error * (100.0 / rectangle_size(target)[:, None, None])).mean()


def uncertainty_loss(predicted: Tensor, log_sigma: Tensor, target: Tensor) -> Tensor:
    """Negative log likelihood of the landmark errors under (B, N) log standard deviations, up to a constant.

    The density is Laplace's, round in the plane with standard deviation sigma along each axis: at distance d,
    sqrt(3) d / sigma + 2 log sigma. Not Gaussian, because errors have long tails: this fits sigma to the mean distance
    instead of letting single outliers inflate it.

    The predicted landmarks are detached: sigma learns to tell how wrong they are, but a likelihood would otherwise
    stop pulling on exactly the points that are hard, and regression would suffer.
    """
    distance = (predicted.detach() - target).norm(dim=-1)
    return (math.sqrt(3.0) * distance * torch.exp(-log_sigma) + 2 * log_sigma).mean()


ACTIVATION_LIMIT = 8.0
"""Of a normalised activation, whose standard deviation is about one: beyond it int8's steps become coarse."""


def range_loss(outputs: Sequence[Tensor]) -> Tensor:
    """How far layers' outputs, of any shapes, lie beyond ±ACTIVATION_LIMIT: means, summed over the layers.

    Nothing else keeps a network from answering a rare kind of face (say, one profile) with activations of a hundred
    standard deviations. In float that does no harm, but int8 spreads its 256 steps over whatever occurs.
    """
    return torch.stack([_excess(output) for output in outputs]).sum()


def _excess(output: Tensor) -> Tensor:
    if output.device.type == "cpu":
        # Most layers stay within: on a CPU one look costs less than the loss and its gradient, which would be 0.
        values = output.detach()
        low, high = (values.permute(0, 2, 3, 1) if values.ndim == 4 else values).aminmax()  # channels last: no copy
        if low >= -ACTIVATION_LIMIT and high <= ACTIVATION_LIMIT:
            return output.new_zeros((), dtype=torch.float32)
    return torch.linalg.vector_norm(F.softshrink(output.float(), ACTIVATION_LIMIT), 1) / output.numel()


def tracking_loss(logits: Tensor, is_face: Tensor, balanced: bool = True) -> Tensor:
    """Two-class cross-entropy of (B, 2) logits and (B,) labels; `balanced` lets both classes weigh one half.

    The thesis' equation 3.5 has (1 - log p) where the cross-entropy has log(1 - p); unbalanced, this is the
    cross-entropy that it means. With ten negatives for each positive, that answers "background" whenever in doubt.
    """
    if not balanced:
        return F.cross_entropy(logits, is_face.long())
    losses = F.cross_entropy(logits, is_face.long(), reduction="none")
    positive = is_face.to(losses.dtype)
    counts = torch.stack([1 - positive, positive]).sum(dim=1)
    present = (counts > 0).to(losses.dtype).sum()
    weights = torch.where(is_face.bool(), 1 / counts[1].clamp_min(1), 1 / counts[0].clamp_min(1)) / present
    return (losses * weights).sum()


def focal_loss(logits: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """Focal loss with fewer penalties near the centres (Zhou et al., 2019, equation 1), per face.

    (B, G, G) each: a target of 1 is a face's centre, less is its neighbourhood; cells that are not `counted` weigh 0.
    """
    probability, centre = logits.sigmoid(), target == 1
    found = F.logsigmoid(logits) * (1 - probability) ** 2
    empty = F.logsigmoid(-logits) * probability**2 * (1 - target) ** 4
    return -(torch.where(centre, found, empty) * counted).sum() / centre.sum().clamp_min(1)


def region_loss(predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean error of (B, G, G, 3) regions (x, y, size) over cells of this (B, G, G) weight.

    The centre's error counts in sizes of the face, the size's as a ratio: the terms that overlap depends on.
    """
    size = target[..., 2:].clamp_min(1e-6)
    centre = (predicted[..., :2] - target[..., :2]).abs().sum(-1) / size[..., 0]
    ratio = (predicted[..., 2:].clamp_min(1e-6) / size).log().abs()[..., 0]
    return (torch.where(weight > 0, centre + ratio, 0.0) * weight).sum() / weight.sum().clamp_min(1)


def angle_difference(predicted: Tensor, target: Tensor) -> Tensor:
    """Differences of angles in radians, wrapped to (-pi, pi]."""
    difference = predicted - target
    return torch.atan2(torch.sin(difference), torch.cos(difference))


def pose_loss(
    predicted: Tensor, target: Tensor, kind: Literal["angles", "thesis"] = "angles", knee: float = 0.05
) -> Tensor:
    """Loss between (B, 3) poses in radians.

    "angles": smooth L1 of the wrapped differences with its knee at 0.05 rad (3 degrees), which is what the mean angle
    error measures. In our frame the angles are only singular at pitch ±90°, where no face is tracked; yaw ±90° is
    harmless. "thesis": equation 3.7 reads sqrt(norm)/3; the square root belongs inside the norm, so it is taken as the
    norm of the difference over 3.
    """
    if kind == "thesis":
        return (predicted - target).norm(dim=-1).mean() / 3
    difference = angle_difference(predicted, target)
    return F.smooth_l1_loss(difference, torch.zeros_like(difference), beta=knee)
