"""Training of point heads over face vectors."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from atpn.distill.vectors import FaceVectors
from atpn.model.point_head import PromptHead, TemplateHead
from atpn.train.losses.landmark import rectangle_size, wing

log = logging.getLogger(__name__)

BATCH = 256
LR, TEMPLATE_LR = 2e-3, 5e-4
"""Of a new prompt head, and of a template head that begins as a prompt head's."""
UNCERTAINTY_WEIGHT = 0.1
LANDMARKS, DENSE = 16, 32
"""Points of each kind that a crop is asked for in one step."""


def train_prompt_head(
    faces: FaceVectors, plane: Tensor, mean_shape: Tensor, rank: int, steps: int, seed: int = 0
) -> tuple[PromptHead, Tensor]:
    """A prompt head, and the (N, 2) places on the plane where it knows the labelled landmarks.

    It learns dense points, whose (P, 2) places `plane` are exact, and the landmarks, whose places are learned from the
    mean shape on, as TUFA's semantic alignment embeddings are: a contour landmark is no fixed place of the skin.
    ValueError when no crop has dense points.
    """
    known = torch.isfinite(faces.dense).all(dim=2).all(dim=1)
    if not known.any():
        raise ValueError("none of these faces has dense points; render them anew with `python -m atpn render`")
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    head = PromptHead(faces.vectors.shape[1], rank)
    offset = nn.Parameter(torch.zeros_like(mean_shape))
    size, mirrored = rectangle_size(faces.landmarks), torch.stack([1 - plane[:, 0], plane[:, 1]], dim=1)

    def loss() -> Tensor:
        chosen = torch.randint(len(faces), (BATCH,), generator=generator)
        landmark = torch.randperm(len(mean_shape), generator=generator)[:LANDMARKS]
        dense = torch.randperm(len(plane), generator=generator)[:DENSE]
        asked = torch.cat([(mean_shape + offset)[landmark], plane[dense], mirrored[dense]])
        target = faces.dense[chosen[:, None], dense].nan_to_num()
        target = torch.cat([faces.landmarks[chosen[:, None], landmark], target, target], dim=1)
        flipped = faces.flipped[chosen]
        counted = torch.stack([torch.ones(BATCH), known[chosen] & ~flipped, known[chosen] & flipped], dim=1)
        counted = counted.repeat_interleave(torch.tensor([len(landmark), len(dense), len(dense)]), dim=1)
        points, log_sigma = head(faces.vectors[chosen], asked)
        return point_loss(points, log_sigma, target, size[chosen], counted)

    _train(loss, [*head.parameters(), offset], LR, steps, "prompt head")
    return head.eval(), (mean_shape + offset).detach()


def train_template_head(head: TemplateHead, faces: FaceVectors, target: Tensor, steps: int, seed: int = 0) -> None:
    """Train a template's head, in place, towards the (n, M, 2) places of its points in the crops."""
    generator = torch.Generator().manual_seed(seed)
    size = rectangle_size(faces.landmarks)

    def loss() -> Tensor:
        chosen = torch.randint(len(faces), (BATCH,), generator=generator)
        points, log_sigma = head(faces.vectors[chosen])
        return point_loss(points, log_sigma, target[chosen], size[chosen], torch.ones_like(log_sigma))

    _train(loss, list(head.parameters()), TEMPLATE_LR, steps, "template head")
    head.eval()


def point_loss(points: Tensor, log_sigma: Tensor, target: Tensor, size: Tensor, counted: Tensor) -> Tensor:
    """Wing in percent of the (B,) face sizes and the uncertainty's likelihood, over points whose `counted` is 1."""
    error = wing((points - target) * (100.0 / size[:, None, None])).mean(-1)
    distance = (points.detach() - target).norm(dim=-1)
    likelihood = math.sqrt(3.0) * distance * torch.exp(-log_sigma) + 2 * log_sigma  # `uncertainty_loss`
    return ((error + UNCERTAINTY_WEIGHT * likelihood) * counted).sum() / counted.sum()


def _train(loss: Callable[[], Tensor], parameters: list[Tensor], rate: float, steps: int, name: str) -> None:
    optimizer = torch.optim.AdamW(parameters, rate, weight_decay=0.01, fused=True)
    seen: list[float] = []
    with tqdm(range(steps), desc=name, unit="step", disable=None) as bar:
        for step in bar:
            share = step / steps
            optimizer.param_groups[0]["lr"] = rate * min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * share))
            value = loss()
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            seen.append(float(value.detach()))
            if (step + 1) % 500 == 0:
                mean = float(np.mean(seen[-500:]))
                bar.set_postfix(loss=f"{mean:.3f}")
                log.info("%s: step %d of %d, loss %.3f", name, step + 1, steps, mean)
