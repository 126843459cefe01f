"""`python -m atpn tufa COMMAND`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Union

import tyro

from atpn.tufa.ablation import AblateTUFAConfig, ablate
from atpn.tufa.attention import AttentionConfig, show_attention
from atpn.tufa.conventions import ConventionsConfig, compare_conventions
from atpn.tufa.evaluate import EvaluateTUFAConfig, evaluate
from atpn.tufa.few_shot import FewShotConfig, measure_few_shot
from atpn.tufa.fit import FitConfig, fit_template
from atpn.tufa.leave_one_out import LeaveOneOutConfig, leave_one_out
from atpn.tufa.pack import PackConfig, pack
from atpn.tufa.predict import PredictConfig, predict_images
from atpn.tufa.shapes import ShapesConfig, show_shapes
from atpn.tufa.train import TrainTUFAConfig, train

COMMANDS: dict[str, tuple[type, Callable[[Any], Any]]] = {
    "train": (TrainTUFAConfig, train),
    "evaluate": (EvaluateTUFAConfig, evaluate),
    "ablate": (AblateTUFAConfig, ablate),
    "conventions": (ConventionsConfig, compare_conventions),
    "pack": (PackConfig, pack),
    "predict": (PredictConfig, predict_images),
    "fit": (FitConfig, fit_template),
    "few-shot": (FewShotConfig, measure_few_shot),
    "leave-one-out": (LeaveOneOutConfig, leave_one_out),
    "attention": (AttentionConfig, show_attention),
    "shapes": (ShapesConfig, show_shapes),
}
"""By name: the dataclass of its options, and the function that takes it."""

Config = Union[tuple(Annotated[config, tyro.conf.subcommand(name)] for name, (config, _) in COMMANDS.items())]  # noqa: UP007


def run(config: Any) -> None:
    """Run the command of these options."""
    next(command for kind, command in COMMANDS.values() if type(config) is kind)(config)
