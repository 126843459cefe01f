"""`python -m atpn assets`: the 3D assets that faces are rendered from, in one compact file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from atpn.synthetic.assets import pack
from edge_runtime.files import write_atomically
from edge_runtime.output_paths import OutputFile


@dataclass(frozen=True)
class AssetsConfig:
    """`pack` a folder of assets into one file that `python -m atpn render --assets FILE` takes in its place."""

    action: Positional[Literal["pack"]]
    assets: Path
    """Folder with ict_facekit/, makehuman/ and hdri/ (see docs/assets.md)."""
    out: OutputFile
    """File to write, for example assets.pack."""
    cache: Path = Path("renders/cache")
    """Folder for MakeHuman's assets fitted to the head; the render command uses the same."""


def run(config: AssetsConfig) -> None:
    """Write the pack and print its size; ValueError or FileNotFoundError for an incomplete folder."""
    if not config.assets.is_dir():
        raise FileNotFoundError(f"assets folder {config.assets} does not exist")
    content = pack(config.assets, config.cache)
    write_atomically(config.out, content)
    print(f"{config.out}: {len(content) / 1e6:.1f} MB")
