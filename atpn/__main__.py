"""`python -m atpn COMMAND`: render faces, train, evaluate. Each command loads only what it needs."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Sequence

import tyro

COMMANDS = {
    "render": ("atpn.synthetic.cli", "RenderConfig", "render labeled synthetic faces into shards"),
    "assets": ("atpn.synthetic.assets_cli", "AssetsConfig", "pack the 3D assets of `render` into one file"),
    "train": ("atpn.train.cli", "TrainConfig", "train the network's stages on shards"),
    "recipe": ("atpn.train.recipe_file", "RecipeFileConfig", "train the stages of a recipe file, each on its data"),
    "calibrate": ("atpn.evaluate.calibrate_sigma", "CalibrateConfig", "set the scale of the predicted uncertainty"),
    "evaluate": ("atpn.evaluate.command", "EvaluateConfig", "measure weights on held-out renders and on AFW"),
    "videos": ("atpn.evaluate.videos", "VideosConfig", "compare head pose with the landmarks on real videos"),
    "tufa": ("atpn.tufa.cli", "Config", "any point of the face: train, fit and ask the teacher network"),
    "prompts": ("atpn.distill.prompts", "PromptsConfig", "train one head for every template"),
    "distill": ("atpn.distill.command", "DistillConfig", "train a head for a template, taught by TUFA"),
    "datasets": ("atpn.data.datasets_cli", "Config", "published datasets: check what is there, convert it to shards"),
    "heads": ("atpn.distill.compare", "HeadsConfig", "compare teacher, prompt head and distilled heads"),
    "template": ("atpn.templates.cli", "Config", "points of your own: draw them on the mean face, look at them"),
    "ablate": ("atpn.ablation.command", "AblateConfig", "measure what each ingredient of the recipe is worth"),
}
"""Name: the module with `run(config)`, the dataclass of its options, a line of help."""

DISTRIBUTED_COMMANDS = ("render", "train")
"""What several processes of torchrun share out among them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status: 0 done, 1 refused with a message, 2 wrong usage, 130 interrupted and saved."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] not in COMMANDS:
        asked = bool(arguments) and arguments[0] in {"-h", "--help"}
        lines = [f"  {name:10} {text}" for name, (_, _, text) in COMMANDS.items()]
        usage = "\n".join(["usage: python -m atpn COMMAND [--help]", *lines])
        print(usage, file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
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
