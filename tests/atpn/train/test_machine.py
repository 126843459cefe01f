"""The choice between float32 and bfloat16, by a clock that the test sets."""

import pytest

from atpn.train.machine import faster_in_bfloat16


class Clock:
    """A clock that stands still except while a step runs."""

    def __init__(self, float32, bfloat16):
        self.now, self.costs, self.taken = 0.0, {False: float32, True: bfloat16}, []

    def step(self, bfloat16):
        first = bfloat16 not in self.taken
        self.taken.append(bfloat16)
        self.now += self.costs[bfloat16] * (20 if first else 1)  # kernels are prepared once

    def __call__(self):
        return self.now


@pytest.mark.parametrize(
    ("float32", "bfloat16", "chosen"),
    [
        (0.1, 1.0, False),  # a processor that emulates bfloat16
        (0.1, 0.04, True),  # one with instructions for it
        (0.1, 0.095, False),  # as good as none: the more exact one
    ],
)
def test_bfloat16_is_chosen_when_it_is_clearly_faster(float32, bfloat16, chosen):
    clock = Clock(float32, bfloat16)
    assert faster_in_bfloat16(clock.step, 0.35, clock) == (chosen, pytest.approx((float32, bfloat16)))
    # Until the time is up, at least once after the first.
    assert clock.taken.count(False) == 1 + 4
    assert clock.taken.count(True) == 1 + max(1, round(0.35 / bfloat16 + 0.5))
