"""`python -m atpn slpt COMMAND`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Union

import tyro

from atpn.slpt.ablation import AblateSLPTConfig, ablate
from atpn.slpt.evaluate import EvaluateSLPTConfig, evaluate
from atpn.slpt.pictures import AttentionConfig, PatchesConfig, show_attention, show_patches
from atpn.slpt.predict import PredictSLPTConfig, predict_images
from atpn.slpt.train import TrainSLPTConfig, train

COMMANDS: dict[str, tuple[type, Callable[[Any], Any]]] = {
    "train": (TrainSLPTConfig, train),
    "evaluate": (EvaluateSLPTConfig, evaluate),
    "predict": (PredictSLPTConfig, predict_images),
    "ablate": (AblateSLPTConfig, ablate),
    "attention": (AttentionConfig, show_attention),
    "patches": (PatchesConfig, show_patches),
}
"""By name: the dataclass of its options, and the function that takes it."""

Config = Union[tuple(Annotated[config, tyro.conf.subcommand(name)] for name, (config, _) in COMMANDS.items())]  # noqa: UP007


def run(config: Any) -> None:
    """Run the command of these options."""
    next(command for kind, command in COMMANDS.values() if type(config) is kind)(config)
