import math

import pytest
import torch

from atpn.train.losses.tracking import tracking_loss


def test_tracking_loss_weighs_both_classes_alike():
    logits = torch.tensor([[0.0, 2.0], [1.0, 0.0], [3.0, 0.0], [0.0, 0.5]])
    is_face = torch.tensor([True, False, False, False])
    face, *background = (
        -math.log(math.exp(row[k]) / (math.exp(row[0]) + math.exp(row[1])))
        for row, k in zip(logits.tolist(), (1, 0, 0, 0), strict=True)
    )
    expected = face / 2 + sum(background) / 6
    assert tracking_loss(logits, is_face).item() == pytest.approx(expected, rel=1e-5)
    weighted = tracking_loss(logits, is_face, face_weight=4.0).item()
    assert weighted == pytest.approx(0.8 * face + 0.2 * sum(background) / 3, rel=1e-5)
    plain = tracking_loss(logits, is_face, balanced=False).item()
    assert plain == pytest.approx((face + sum(background)) / 4, rel=1e-5)
    only = tracking_loss(logits[:1], is_face[:1]).item()
    assert only == pytest.approx(face, rel=1e-5)
    assert tracking_loss(logits[1:], is_face[1:], face_weight=4.0).item() == pytest.approx(
        sum(background) / 3, rel=1e-5
    )
