"""`python -m atpn tufa shapes`: draw mean shapes before and after semantic alignment (thesis, figure 6.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from atpn.data.drawing import INK, draw_points, write_image, write_text
from atpn.evaluate.plots import COLORS
from atpn.model import load_network
from atpn.tufa.network import TUFA
from atpn.weights import SHIPPED_TUFA
from edge_runtime.landmarks import SCHEMES
from edge_runtime.output_paths import OutputFile

SIDE = 720
"""Pixels of a panel."""
MARGIN = 0.06
"""Margin around the points, as a fraction of the panel."""


@dataclass(frozen=True)
class ShapesConfig:
    """Draw the mean shapes of a network's schemes before and after alignment."""

    out: OutputFile
    """PNG of two panels."""
    weights: Path = SHIPPED_TUFA
    """Checkpoint of `python -m atpn tufa train` or `fit`."""
    schemes: tuple[str, ...] = ()
    """Schemes to draw, in this order; default: all that the network knows."""


def show_shapes(config: ShapesConfig) -> np.ndarray:
    """Draw the (H, W, 3) uint8 BGR image and write it."""
    model, _ = load_network(config.weights, TUFA)
    names = config.schemes or tuple(name for name, _ in model.config.schemes)
    before = {name: model.mean_shapes[model.rows(name)].numpy() for name in names}
    after = {name: model.anchors(name).numpy() for name in names}
    if not names:
        raise ValueError(f"{config.weights} has no scheme to draw; train it with one in --sources")
    both = np.concatenate([*before.values(), *after.values()])
    low = both.min(axis=0)
    scale = float((both.max(axis=0) - low).max()) / (1 - 2 * MARGIN)
    panels = [
        _panel(title, {name: (shape - low) / scale + MARGIN for name, shape in shapes.items()}, model)
        for title, shapes in (("before alignment", before), ("after alignment", after))
    ]
    image = np.hstack(panels)
    write_image(config.out, image)
    return image


def _panel(title: str, shapes: Mapping[str, np.ndarray], model: TUFA) -> np.ndarray:
    """Draw a (SIDE, SIDE, 3) BGR panel: points in [0, 1] of it, one color per scheme, and a legend."""
    panel = np.full((SIDE, SIDE, 3), 255, np.uint8)
    for number, (name, shape) in enumerate(shapes.items()):
        color = COLORS[number % len(COLORS)]
        scheme = model.scheme_of(name)
        edges = SCHEMES[scheme].edges if scheme in SCHEMES else ()
        draw_points(panel, shape * SIDE, edges, 4.0 - number % 3, color, tuple(160 + 95 * c // 255 for c in color))
        draw_points(panel, np.array([[18.0, 40.0 + 18 * number]]), (), 4.0, color)
        write_text(panel, f"{name}: {len(shape)}", (28, 44 + 18 * number))
    write_text(panel, title, (12, 20))
    cv2.rectangle(panel, (0, 0), (SIDE - 1, SIDE - 1), INK, 1)
    return panel
