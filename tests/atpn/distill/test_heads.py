"""Point heads learn what is linear in the vectors."""

from __future__ import annotations

import pytest
import torch

from atpn.distill.heads import train_prompt_head, train_template_head
from atpn.distill.vectors import FaceEmbeddings
from atpn.model.point_head import TemplateHead

PLANE = torch.tensor([[x, y] for x in (0.2, 0.35, 0.5, 0.65, 0.8) for y in (0.2, 0.4, 0.6, 0.8)])
MEAN = PLANE[:6] + 0.02


def faces(count=600, dense=True, seed=0):
    """Faces that shift and stretch with two numbers of their vector; a third of them is mirrored."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(count, 8, generator=generator)
    flipped = torch.arange(count) % 3 == 0

    def place(plane):
        shift, stretch = 0.05 * vectors[:, None, :2], 1 + 0.1 * vectors[:, None, 2:4]
        return 0.5 + (plane - 0.5) * stretch + shift

    mirrored = torch.stack([1 - PLANE[:, 0], PLANE[:, 1]], dim=1)
    points = torch.where(
        flipped[:, None, None], place(mirrored.expand(count, -1, -1)), place(PLANE.expand(count, -1, -1))
    )
    points = points if dense else torch.full_like(points, torch.nan)
    return FaceEmbeddings(vectors, place(PLANE[:6].expand(count, -1, -1)), points, flipped)


def test_a_prompt_head_maps_places_that_it_was_never_asked_for():
    known = faces()
    head, anchors = train_prompt_head(known, PLANE, MEAN, rank=16, steps=600)
    new = faces(seed=1)
    asked = torch.tensor([[0.42, 0.5], [0.58, 0.7]])
    with torch.no_grad():
        found, log_sigma = head(new.vectors, asked)
        target = 0.5 + (asked - 0.5) * (1 + 0.1 * new.vectors[:, None, 2:4]) + 0.05 * new.vectors[:, None, :2]
        untrained = (asked - target).norm(dim=-1).mean()
        assert (found - target).norm(dim=-1).mean() < 0.5 * untrained  # between the 20 places that it knows
        landmarks, _ = head(new.vectors, anchors)
        assert (landmarks - new.landmarks).norm(dim=-1).mean() < 0.35 * untrained
    # The landmarks' places began two hundredths off and are found.
    assert (anchors - PLANE[:6]).norm(dim=-1).mean() < 0.6 * (MEAN - PLANE[:6]).norm(dim=-1).mean()
    assert torch.isfinite(log_sigma).all()


def test_faces_without_dense_points_teach_no_prompts():
    with pytest.raises(ValueError, match="dense points"):
        train_prompt_head(faces(dense=False), PLANE, MEAN, rank=4, steps=1)


def test_a_template_head_learns_what_it_is_taught():
    known = faces()
    torch.manual_seed(0)
    head = TemplateHead(8, PLANE[:3])
    with torch.no_grad():
        before = (head(known.vectors)[0] - known.landmarks[:, :3]).norm(dim=-1).mean()
    train_template_head(head, known, known.landmarks[:, :3], steps=400)
    with torch.no_grad():
        assert (head(known.vectors)[0] - known.landmarks[:, :3]).norm(dim=-1).mean() < 0.4 * before
