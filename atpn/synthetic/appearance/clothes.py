"""Clothed shoulders and chest below a head."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from atpn.synthetic.appearance.mesh import DrawnMesh, sheet
from edge_runtime.decoding import load_image
from edge_runtime.geometry import angles_to_matrix

PATCH = 96
"""Texels per side of a piece of cloth."""
_WINDOW, _STRIDE, _BLOCK = 192, 64, 32
_MIN_TEXTURE = 1.2
"""Minimum gray-level deviation in each block of a window on cloth; the ground between pieces is flat."""
# A body's horizontal cuts in centimeters of a mean adult: height below the eyes' middle plane, half width, and depth
# before and behind the neck's axis. They begin at the neck and hold the head model's own bust.
_CUTS = np.array(
    [
        [8.8, 6.3, 6.6, 5.6],
        [10.0, 7.0, 6.9, 6.0],
        [11.0, 9.6, 7.1, 6.9],
        [12.2, 13.2, 7.4, 8.0],
        [13.8, 16.2, 8.0, 8.9],
        [16.0, 18.6, 9.2, 9.5],
        [20.0, 20.0, 11.0, 10.0],
        [28.0, 20.6, 12.2, 10.4],
        [48.0, 19.5, 11.5, 10.0],
    ]
)
_NECK_AXIS = 1.8
"""Depth (z) of the neck's axis, centimeters."""


def load_cloth(folder: Path) -> list[np.ndarray]:
    """Read (PATCH, PATCH, 3) uint8 RGB pieces of cloth from MakeHuman's clothes; empty without a folder."""
    pieces = []
    for path in sorted(folder.glob("*/*.jpg")):
        image = load_image(path)
        pieces += cloth_pieces(np.ascontiguousarray(image[:, :, ::-1]))
    return pieces


def cloth_pieces(texture: np.ndarray) -> list[np.ndarray]:
    """Return the windows of a clothes' texture (H, W, 3) uint8 that lie on cloth, as (PATCH, PATCH, 3) uint8."""
    gray = cv2.cvtColor(texture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    height, width = (side // _BLOCK for side in gray.shape)
    blocks = gray[: height * _BLOCK, : width * _BLOCK].reshape(height, _BLOCK, width, _BLOCK)
    woven = (blocks.std(axis=(1, 3)) > _MIN_TEXTURE) & (blocks.mean(axis=(1, 3)) > 20)
    pieces, side = [], _WINDOW // _BLOCK
    for top in range(0, height - side + 1, _STRIDE // _BLOCK):
        for left in range(0, width - side + 1, _STRIDE // _BLOCK):
            if woven[top : top + side, left : left + side].all():
                window = texture[top * _BLOCK :, left * _BLOCK :][:_WINDOW, :_WINDOW]
                pieces.append(cv2.resize(window, (PATCH, PATCH), interpolation=cv2.INTER_AREA))
    return pieces


def sample_torso(
    surface: np.ndarray, head_turn: np.ndarray, pieces: Sequence[np.ndarray], rng: np.random.Generator
) -> tuple[DrawnMesh, np.ndarray]:
    """Return a random clothed torso for a (V, 3) surface, and its mean display color (3,).

    `head_turn` (3,): the head's pitch, yaw and roll in radians, which the body follows in part.
    """
    build, tall = rng.uniform(0.85, 1.1), rng.uniform(0.95, 1.1)
    drop = rng.choice([0.0, rng.uniform(1, 7)], p=[0.5, 0.5])  # a neckline that hangs lower in front
    start = rng.uniform(0, 3.2)  # from a turtle neck to wide open
    around, along = np.meshgrid(np.linspace(-np.pi, np.pi, 65), np.linspace(0, 1, 20) ** 1.3)
    facing = np.cos(around)  # 1 in front
    first = start + drop * np.clip(facing, 0, 1) ** 3
    cut = first + (len(_CUTS) - 1 - first) * along
    y, half, before, behind = (np.interp(cut, np.arange(len(_CUTS)), column) for column in _CUTS.T)
    power = 0.85
    x = half * build * np.sign(np.sin(around)) * np.abs(np.sin(around)) ** power
    depth = np.where(facing > 0, before, behind) * np.sign(facing) * np.abs(facing) ** power
    folds = rng.uniform(0, 0.35) * np.sin(rng.integers(3, 9) * around + rng.uniform(1, 9) * along + rng.uniform(0, 6))
    points = np.stack([x, y * tall, _NECK_AXIS - depth - folds * np.minimum(6 * along, 1)], axis=-1)
    points = (points - [0, _CUTS[0, 0], _NECK_AXIS]) @ _counter_turn(head_turn, rng).T + [0, _CUTS[0, 0], _NECK_AXIS]
    points[..., 1] += float(surface[:, 1].max()) - 19.3  # a child's neck is shorter
    texture, mean = _dyed(pieces, rng)
    scale = rng.uniform(0.05, 0.2)  # pieces per centimeter
    uv = np.stack([around * half, cut * 4.0], axis=-1) * scale + rng.random(2)
    return sheet(points, np.ones((*around.shape, 3), np.float32), uv, texture), mean


def _counter_turn(head_turn: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the (3, 3) body rotation in the head frame, which reverts part of the head's own."""
    taken_back = np.clip(rng.uniform(0.3, 0.8) * head_turn, -0.25, 0.25) + rng.normal(0, 0.04, 3)
    return angles_to_matrix(head_turn).T @ angles_to_matrix(head_turn - taken_back)


def _dyed(pieces: Sequence[np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a seamless, often dyed piece of cloth (2 * PATCH, 2 * PATCH, 3) uint8, and its mean color."""
    if pieces:
        cloth = pieces[rng.integers(len(pieces))].astype(np.float32) / 255
    else:
        threads = rng.normal(0, 0.06, (2, PATCH)).astype(np.float32)
        cloth = np.repeat(0.6 + threads[0][:, None, None] + threads[1][None, :, None], 3, axis=2)
    if not pieces or rng.random() < 0.75:
        dye = rng.uniform(0.03, 0.9) * np.clip(rng.normal(1, rng.choice([0.05, 0.35]), 3), 0.2, 1.8)
        cloth = cloth / np.maximum(cloth.mean(axis=(0, 1)), 0.05) * dye.astype(np.float32)
    mean = cloth.mean(axis=(0, 1))
    cloth = mean + (cloth - mean) * np.float32(rng.uniform(0.15, 1))  # most clothes are plainer than these
    cloth = np.clip(cloth * np.float32(rng.uniform(0.7, 1.2)), 0.01, 1)
    mirrored = np.concatenate([cloth, cloth[::-1]])
    mirrored = np.concatenate([mirrored, mirrored[:, ::-1]], axis=1)
    return (mirrored * 255).astype(np.uint8), cloth.mean(axis=(0, 1))
