"""All targets, by name."""

from __future__ import annotations

from collections.abc import Mapping

from tests.fuzz.target import Target
from tests.fuzz.targets import datasets, loop, media, models, network, samples, settings, training, webcam

_MODULES = (settings, models, media, loop, network, webcam, samples, training, datasets)
ALL: Mapping[str, Target] = {target.name: target for module in _MODULES for target in module.TARGETS}
