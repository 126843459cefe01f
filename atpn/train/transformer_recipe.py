"""The thesis' recipe of its transformers SLPT, DSLPT, and TUFA, as far as it is the same (sections 4.3.3 to 6.3.3)."""

from __future__ import annotations

from dataclasses import replace

from atpn.data.augment import NO_AUGMENT
from atpn.data.crops import JitterConfig
from atpn.train.config import Recipe

SHEAR_PROB = 0.33
"""Probability that a crop is sheared, of DSLPT and TUFA."""
# The thesis gives limits of translation and brightness: normal distributions of the same spread as uniform ones here.
_JITTER = JitterConfig(
    center_sigma=10 / 256 / 3**0.5, scale_sigma=0.05, scale_limit=0.05, unrolled_prob=1.0, rotation=30.0
)
AUGMENT = replace(
    NO_AUGMENT,
    **{"gray": 0.2, "cover": 0.5, "tone": 0.5},
    **{"gamma_sigma": 0.0, "gain_sigma": 0.0, "contrast_sigma": 0.0, "brightness_sigma": 0.3 * 255 / 3**0.5},
)
"""Augmentation of DSLPT and TUFA."""
RECIPE = Recipe(
    samples=None,
    batch_size=16,
    schedule="step",
    warmup_steps=0,
    decay_factor=0.1,
    gradient_clip=None,
    ema_decay=0.0,
    input_size=256,
    jitter=_JITTER,
)
