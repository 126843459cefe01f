"""Scripts as rendered frames with labels: portraits cut out and moved before a background."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from atpn.synthetic.drawing.renderer import FaceRenderer, Identity
from benchmarks.stability.footage import FPS, Camera, LabelledFrame
from benchmarks.stability.scripts import SCRIPTS, Script
from edge_runtime.geometry import ROI

WIDTH, HEIGHT = 640, 480
EXPOSURE = 1 / 60
"""Seconds over which a frame gathers light: who is quick blurs."""
MOST_DELAY = 0.5
"""Seconds by which a script begins later: else everything would happen in the same frames of the detector's rhythm."""
MAX_YAW = 20.0
"""Degrees to either side that people look."""
PORTRAIT_SHARE = (0.42, 0.42)
"""The face's region over the portrait's side: small enough that no hair is cut off."""

Places = tuple[tuple[float, float], ...]
"""As `Script.at`."""


def record(renderer: FaceRenderer, script: Script, number: int) -> Iterator[LabelledFrame]:
    """The frames of a script; each number has people of its own."""
    rng = np.random.default_rng((renderer.seed, 4 + SCRIPTS.index(script), number))
    scene, camera = _Scene(renderer, script, number, rng), Camera(WIDTH, HEIGHT, rng)
    delay = rng.uniform(0, MOST_DELAY)
    picture, painted = None, None
    for index in range(round(script.seconds * FPS)):
        opened, middle, closed = (script.at(index / FPS - delay + moment * EXPOSURE) for moment in (-0.5, 0.0, 0.5))
        travel = [abs(end - begin) * WIDTH for (begin, _), (end, _) in zip(opened, closed, strict=True)]
        if picture is None or painted != (middle, travel):
            picture, painted = scene.picture(middle, travel), (middle, travel)
        yield LabelledFrame(camera.take(picture), *scene.labels(middle))


class _Scene:
    """Everything that a script moves."""

    def __init__(self, renderer: FaceRenderer, script: Script, number: int, rng: np.random.Generator) -> None:
        self._script = script
        square = renderer.background(rng, WIDTH)[..., ::-1]
        self._stage = np.ascontiguousarray(square[:HEIGHT])
        self._people = [
            _Person.portray(renderer, renderer.identity(number * len(script.people) + k), square, rng)
            for k in range(len(script.people))
        ]
        if script.board:
            side = round(script.board.size * HEIGHT)
            self._board = np.ascontiguousarray(renderer.background(rng, side)[..., ::-1])

    def picture(self, places: Places, travel: Sequence[float]) -> np.ndarray:
        """(H, W, 3) float32 BGR 0 to 255; `travel` is by how many pixels each thing goes sideways meanwhile."""
        picture = self._stage.copy()
        for person, matrix, pixels in zip(self._people, self._placed(places), travel, strict=False):
            person.paint(picture, matrix, pixels)
        if self._script.board:
            left, top, side = self._board_corner(places)
            x0, x1, y0, y1 = max(left, 0), min(left + side, WIDTH), max(top, 0), min(top + side, HEIGHT)
            if x0 < x1:
                picture[y0:y1, x0:x1] = self._board[y0 - top : y1 - top, x0 - left : x1 - left]
        return picture

    def labels(self, places: Places) -> tuple[np.ndarray, np.ndarray]:
        """(P, 98, 2) landmarks and the (P,) share of each person's that can be seen."""
        matrices = self._placed(places)
        landmarks = [cv2.transform(p.landmarks[None], m)[0] for p, m in zip(self._people, matrices, strict=True)]
        shown = []
        for k, points in enumerate(landmarks):
            free = ((points >= -0.5) & (points < (WIDTH - 0.5, HEIGHT - 0.5))).all(axis=1)
            for nearer, matrix in zip(self._people[k + 1 :], matrices[k + 1 :], strict=True):
                free &= ~nearer.hides(points, matrix)
            if self._script.board:
                left, top, side = self._board_corner(places)
                free &= ((points < (left, top)) | (points >= (left + side, top + side))).any(axis=1)
            shown.append(free.mean())
        return np.stack(landmarks), np.array(shown)

    def _placed(self, places: Places) -> list[np.ndarray]:
        return [
            person.placing(x * WIDTH - 0.5, y * HEIGHT - 0.5, way.size * HEIGHT)
            for person, way, (x, y) in zip(self._people, self._script.people, places, strict=False)
        ]

    def _board_corner(self, places: Places) -> tuple[int, int, int]:
        """Left, top and side in pixels."""
        side, (x, y) = len(self._board), places[-1]
        return round(x * WIDTH - side / 2), round(y * HEIGHT - side / 2), side


@dataclass(frozen=True)
class _Person:
    """A portrait that can be set anywhere."""

    layer: np.ndarray
    """(S, S, 4) float32: BGR 0 to 255 times coverage, and coverage 0 to 1 of the background."""
    landmarks: np.ndarray
    """(98, 2) pixels of the portrait."""
    region: ROI

    @staticmethod
    def portray(
        renderer: FaceRenderer, identity: Identity, background: np.ndarray, rng: np.random.Generator
    ) -> _Person:
        size = (renderer.canvas_size, renderer.canvas_size)
        behind = cv2.resize(background[..., ::-1], size, interpolation=cv2.INTER_AREA)
        options = replace(renderer.options, max_yaw=MAX_YAW, roi_fraction=PORTRAIT_SHARE)
        figure = renderer.figure(identity, rng, behind, options)
        landmarks = figure.landmarks.astype(np.float64)
        covers = figure.covers[..., None]
        layer = np.concatenate([figure.image[..., ::-1] * covers, covers], axis=2).astype(np.float32)
        return _Person(layer, landmarks, ROI.from_landmarks(landmarks))

    def placing(self, x: float, y: float, size: float) -> np.ndarray:
        """(2, 3) from the portrait's pixels to the frame's, the face's region at a place."""
        scale = size / self.region.size
        return np.array([[scale, 0, x - scale * self.region.cx], [0, scale, y - scale * self.region.cy]])

    def paint(self, picture: np.ndarray, matrix: np.ndarray, travel: float) -> None:
        """Paint over an (H, W, 3) float32 picture in place, blurred by some pixels of sideways motion."""
        corners = cv2.transform(np.array([[[0.0, 0.0]], [[len(self.layer) - 1.0] * 2]]), matrix)[:, 0]
        x0, y0 = np.clip(np.floor(corners[0]), 0, (WIDTH, HEIGHT)).astype(int)
        x1, y1 = np.clip(np.ceil(corners[1]) + 1, 0, (WIDTH, HEIGHT)).astype(int)
        if x0 >= x1 or y0 >= y1:
            return
        shifted = matrix - np.array([[0, 0, x0], [0, 0, y0]])
        layer = cv2.blur(self.layer, (max(1, round(travel / matrix[0, 0])), 1))
        layer = cv2.warpAffine(layer, shifted, (x1 - x0, y1 - y0))
        window = picture[y0:y1, x0:x1]
        window *= 1 - layer[..., 3:]
        window += layer[..., :3]

    def hides(self, points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """(N,) bool: which (N, 2) pixels of the frame this person stands before."""
        places = cv2.transform(points[None], cv2.invertAffineTransform(matrix))[0].astype(np.float32)
        covers = cv2.remap(self.layer[..., 3], places[:, :1], places[:, 1:], cv2.INTER_LINEAR)
        return np.asarray(covers[:, 0] > 0.5)
