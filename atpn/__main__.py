"""`python -m atpn COMMAND`: render faces, train, evaluate. Each command imports only what it needs."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Sequence

import tyro

from edge_runtime.output_paths import check_config

COMMANDS = {
    "render": ("atpn.synthetic.cli", "RenderConfig", "render labeled synthetic faces into shards"),
    "assets": ("atpn.synthetic.assets_cli", "AssetsConfig", "pack the 3D assets of `render` into one file"),
    "train": ("atpn.train.cli", "TrainConfig", "train the network's stages on shards"),
    "mine": ("atpn.train.mining", "MineConfig", "add pictures that the networks take for a face to the renders"),
    "recipe": ("atpn.train.recipe_file", "RecipeFileConfig", "train the stages of a recipe file, each on its data"),
    "calibrate": ("atpn.evaluate.calibrate_sigma", "CalibrateConfig", "calibrate the predicted uncertainty"),
    "evaluate": ("atpn.evaluate.command", "EvaluateConfig", "measure weights on held-out renders and on AFW"),
    "videos": ("atpn.evaluate.videos", "VideosConfig", "compare head pose with the landmarks on real videos"),
    "tufa": ("atpn.tufa.cli", "Config", "teacher network for any point of the face: train, fit, predict"),
    "slpt": ("atpn.slpt.cli", "Config", "SLPT and DSLPT, transformers over patches: train, evaluate, predict"),
    "prompts": (
        "atpn.distill.prompts",
        "PromptsConfig",
        "train a head for the points of any template",
    ),
    "distill": ("atpn.distill.command", "DistillConfig", "train a head for a template, taught by TUFA"),
    "teach": ("atpn.distill.teach", "TeachConfig", "train ATPN's landmarks on what DSLPT says"),
    "datasets": ("atpn.data.datasets_cli", "Config", "published datasets: list, check, convert to shards"),
    "heads": ("atpn.distill.compare", "HeadsConfig", "compare teacher, prompt head and distilled heads"),
    "template": ("atpn.templates.cli", "Config", "define points of your own on the mean face, preview them"),
    "ablate": ("atpn.ablation.command", "AblateConfig", "measure the effect of each part of the training recipe"),
}
"""By name: module with `run(config)`, dataclass of its options, help text."""

DISTRIBUTED_COMMANDS = ("render", "train")
"""Commands that divide their work among the processes of torchrun."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status: 0 success, 1 error, 2 wrong usage, 130 interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] not in COMMANDS:
        help_requested = bool(arguments) and arguments[0] in {"-h", "--help"}
        lines = [f"  {name:10} {text}" for name, (_, _, text) in COMMANDS.items()]
        usage = "\n".join(["usage: python -m atpn COMMAND [--help]", *lines])
        print(usage, file=sys.stdout if help_requested else sys.stderr)
        return 0 if help_requested else 2
    name, *rest = arguments
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and name not in DISTRIBUTED_COMMANDS:
        allowed = " and ".join(DISTRIBUTED_COMMANDS)
        print(f"error: torchrun runs only {allowed}, got {name}; start it with python -m atpn", file=sys.stderr)
        return 1
    module_name, config_name, text = COMMANDS[name]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    module = importlib.import_module(module_name)
    try:
        config = tyro.cli(getattr(module, config_name), args=rest, prog=f"python -m atpn {name}", description=text)
        check_config(config)
        module.run(config)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        # A long command that has saved its state says so in the exception.
        print(f"interrupted{f': {stop}' if str(stop) else ''}", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
