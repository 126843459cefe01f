"""Training of point heads over face embeddings."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from atpn.distill.vectors import FaceEmbeddings
from atpn.model.point_head import PromptHead, TemplateHead
from atpn.train.config import Recipe
from atpn.train.losses.landmark import laplace_nll, rectangle_size, wing
from atpn.train.optimizer import minimize

BATCH = 256
LR, TEMPLATE_LR = 2e-3, 5e-4
"""Peak rates of a new prompt head, and of a template head that starts from a prompt head."""
WEIGHT_DECAY = 0.01
UNCERTAINTY_WEIGHT = 0.1
LANDMARKS, DENSE = 16, 32
"""Query points of each kind per step."""


def train_prompt_head(
    faces: FaceEmbeddings, plane: Tensor, mean_shape: Tensor, rank: int, steps: int, seed: int = 0
) -> tuple[PromptHead, Tensor]:
    """Train a prompt head on dense points and landmarks.

    The dense points' (P, 2) places `plane` are exact. The landmarks' are learned, starting from the mean shape, as
    TUFA's semantic alignment embeddings are: a contour landmark has no fixed place on the skin.

    Returns:
        The head and the landmarks' (N, 2) learned places on the plane.

    Raises:
        ValueError: No crop has dense points.
    """
    known = torch.isfinite(faces.dense).all(dim=2).all(dim=1)
    if not known.any():
        raise ValueError("none of these faces has dense points; render them again with `python -m atpn render`")
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    head = PromptHead(faces.vectors.shape[1], rank)
    offset = nn.Parameter(torch.zeros_like(mean_shape))
    size, mirrored = rectangle_size(faces.landmarks), torch.stack([1 - plane[:, 0], plane[:, 1]], dim=1)

    def loss() -> Tensor:
        chosen = torch.randint(len(faces), (BATCH,), generator=generator)
        landmark = torch.randperm(len(mean_shape), generator=generator)[:LANDMARKS]
        dense = torch.randperm(len(plane), generator=generator)[:DENSE]
        query = torch.cat([(mean_shape + offset)[landmark], plane[dense], mirrored[dense]])
        target = faces.dense[chosen[:, None], dense].nan_to_num()
        target = torch.cat([faces.landmarks[chosen[:, None], landmark], target, target], dim=1)
        flipped = faces.flipped[chosen]
        mask = torch.stack([torch.ones(BATCH), known[chosen] & ~flipped, known[chosen] & flipped], dim=1)
        mask = mask.repeat_interleave(torch.tensor([len(landmark), len(dense), len(dense)]), dim=1)
        points, log_sigma = head(faces.vectors[chosen], query)
        return point_loss(points, log_sigma, target, size[chosen], mask)

    _train(loss, [*head.parameters(), offset], LR, steps, "prompt head")
    return head.eval(), (mean_shape + offset).detach()


def train_template_head(head: TemplateHead, faces: FaceEmbeddings, target: Tensor, steps: int, seed: int = 0) -> None:
    """Train a template's head in place towards its points' (n, M, 2) places in the crops."""
    generator = torch.Generator().manual_seed(seed)
    size = rectangle_size(faces.landmarks)

    def loss() -> Tensor:
        chosen = torch.randint(len(faces), (BATCH,), generator=generator)
        points, log_sigma = head(faces.vectors[chosen])
        return point_loss(points, log_sigma, target[chosen], size[chosen], torch.ones_like(log_sigma))

    _train(loss, list(head.parameters()), TEMPLATE_LR, steps, "template head")
    head.eval()


def point_loss(points: Tensor, log_sigma: Tensor, target: Tensor, size: Tensor, mask: Tensor) -> Tensor:
    """Compute wing loss in percent of the (B,) face sizes plus likelihood, averaged over points whose mask is 1."""
    error = wing((points - target) * (100.0 / size[:, None, None])).mean(-1)
    return ((error + UNCERTAINTY_WEIGHT * laplace_nll(points, log_sigma, target)) * mask).sum() / mask.sum()


def _train(loss: Callable[[], Tensor], parameters: list[Tensor], rate: float, steps: int, name: str) -> None:
    recipe = Recipe(samples=None, lr=rate, gradient_clip=None)
    optimizer = torch.optim.AdamW(parameters, rate, weight_decay=WEIGHT_DECAY, fused=True)
    minimize(optimizer, parameters, loss, recipe, steps, name)
