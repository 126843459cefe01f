"""Scenarios as rendered, labeled frames: portraits are cut out and moved over a background."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from atpn.synthetic.drawing.renderer import FaceRenderer, Identity
from benchmarks.stability.frames import FPS, Camera, LabeledFrame
from benchmarks.stability.scenarios import SCENARIOS, Scenario
from edge_runtime.geometry import ROI

WIDTH, HEIGHT = 640, 480
EXPOSURE = 1 / 60
"""Exposure time of a frame, seconds: fast motion blurs."""
MAX_DELAY = 0.5
"""Maximum delay of a scenario, seconds, which varies the phase of events in the detection interval."""
MAX_YAW = 20.0
"""Maximum yaw of people, degrees."""
PORTRAIT_FRACTION = (0.42, 0.42)
"""Range of the face's ROI over the portrait's side: small enough that no hair is cut off."""

Positions = tuple[tuple[float, float], ...]
"""As `Scenario.at`."""


def record(renderer: FaceRenderer, scenario: Scenario, number: int) -> Iterator[LabeledFrame]:
    """Yield the frames of a scenario, with other people for each number."""
    rng = np.random.default_rng((renderer.seed, 4 + SCENARIOS.index(scenario), number))
    scene, camera = _Scene(renderer, scenario, number, rng), Camera(WIDTH, HEIGHT, rng)
    delay = rng.uniform(0, MAX_DELAY)
    image, state = None, None
    for index in range(round(scenario.seconds * FPS)):
        opened, middle, closed = (scenario.at(index / FPS - delay + moment * EXPOSURE) for moment in (-0.5, 0.0, 0.5))
        travel = [abs(end - begin) * WIDTH for (begin, _), (end, _) in zip(opened, closed, strict=True)]
        if image is None or state != (middle, travel):
            image, state = scene.compose(middle, travel), (middle, travel)
        yield LabeledFrame(camera.take(image), *scene.labels(middle))


class _Scene:
    """The people and the board of a scenario, and the background."""

    def __init__(self, renderer: FaceRenderer, scenario: Scenario, number: int, rng: np.random.Generator) -> None:
        self._scenario = scenario
        square = renderer.background(rng, WIDTH)[..., ::-1]
        self._background = np.ascontiguousarray(square[:HEIGHT])
        self._people = [
            _Person.portray(renderer, renderer.identity(number * len(scenario.people) + k), square, rng)
            for k in range(len(scenario.people))
        ]
        if scenario.board:
            side = round(scenario.board.size * HEIGHT)
            self._board = np.ascontiguousarray(renderer.background(rng, side)[..., ::-1])

    def compose(self, positions: Positions, travel: Sequence[float]) -> np.ndarray:
        """Return (H, W, 3) float32 BGR in [0, 255]; `travel` is each object's sideways motion blur, pixels."""
        image = self._background.copy()
        for person, matrix, pixels in zip(self._people, self._matrices(positions), travel, strict=False):
            person.composite(image, matrix, pixels)
        if self._scenario.board:
            left, top, side = self._board_corner(positions)
            x0, x1, y0, y1 = max(left, 0), min(left + side, WIDTH), max(top, 0), min(top + side, HEIGHT)
            if x0 < x1:
                image[y0:y1, x0:x1] = self._board[y0 - top : y1 - top, x0 - left : x1 - left]
        return image

    def labels(self, positions: Positions) -> tuple[np.ndarray, np.ndarray]:
        """Return (P, 98, 2) landmarks and the (P,) visible fraction of each person's."""
        matrices = self._matrices(positions)
        landmarks = [cv2.transform(p.landmarks[None], m)[0] for p, m in zip(self._people, matrices, strict=True)]
        fractions = []
        for k, points in enumerate(landmarks):
            visible = ((points >= -0.5) & (points < (WIDTH - 0.5, HEIGHT - 0.5))).all(axis=1)
            for nearer, matrix in zip(self._people[k + 1 :], matrices[k + 1 :], strict=True):
                visible &= ~nearer.hides(points, matrix)
            if self._scenario.board:
                left, top, side = self._board_corner(positions)
                visible &= ((points < (left, top)) | (points >= (left + side, top + side))).any(axis=1)
            fractions.append(visible.mean())
        return np.stack(landmarks), np.array(fractions)

    def _matrices(self, positions: Positions) -> list[np.ndarray]:
        return [
            person.placement(x * WIDTH - 0.5, y * HEIGHT - 0.5, trajectory.size * HEIGHT)
            for person, trajectory, (x, y) in zip(self._people, self._scenario.people, positions, strict=False)
        ]

    def _board_corner(self, positions: Positions) -> tuple[int, int, int]:
        """Return left, top, and side in pixels."""
        side, (x, y) = len(self._board), positions[-1]
        return round(x * WIDTH - side / 2), round(y * HEIGHT - side / 2), side


@dataclass(frozen=True)
class _Person:
    """A cut-out portrait."""

    layer: np.ndarray
    """(S, S, 4) float32: BGR in [0, 255] times coverage, and coverage in [0, 1]."""
    landmarks: np.ndarray
    """(98, 2) pixels of the portrait."""
    roi: ROI

    @staticmethod
    def portray(
        renderer: FaceRenderer, identity: Identity, background: np.ndarray, rng: np.random.Generator
    ) -> _Person:
        size = (renderer.canvas_size, renderer.canvas_size)
        behind = cv2.resize(background[..., ::-1], size, interpolation=cv2.INTER_AREA)
        options = replace(renderer.options, max_yaw=MAX_YAW, roi_fraction=PORTRAIT_FRACTION)
        figure = renderer.figure(identity, rng, behind, options)
        landmarks = figure.landmarks.astype(np.float64)
        covers = figure.covers[..., None]
        layer = np.concatenate([figure.image[..., ::-1] * covers, covers], axis=2).astype(np.float32)
        return _Person(layer, landmarks, ROI.from_landmarks(landmarks))

    def placement(self, x: float, y: float, size: float) -> np.ndarray:
        """Return the (2, 3) matrix from portrait to frame pixels that puts the face's ROI at a place."""
        scale = size / self.roi.size
        return np.array([[scale, 0, x - scale * self.roi.cx], [0, scale, y - scale * self.roi.cy]])

    def composite(self, image: np.ndarray, matrix: np.ndarray, travel: float) -> None:
        """Draw over an (H, W, 3) float32 image in place, with sideways motion blur in pixels."""
        corners = cv2.transform(np.array([[[0.0, 0.0]], [[len(self.layer) - 1.0] * 2]]), matrix)[:, 0]
        x0, y0 = np.clip(np.floor(corners[0]), 0, (WIDTH, HEIGHT)).astype(int)
        x1, y1 = np.clip(np.ceil(corners[1]) + 1, 0, (WIDTH, HEIGHT)).astype(int)
        if x0 >= x1 or y0 >= y1:
            return
        shifted = matrix - np.array([[0, 0, x0], [0, 0, y0]])
        layer = cv2.blur(self.layer, (max(1, round(travel / matrix[0, 0])), 1))
        layer = cv2.warpAffine(layer, shifted, (x1 - x0, y1 - y0))
        window = image[y0:y1, x0:x1]
        window *= 1 - layer[..., 3:]
        window += layer[..., :3]

    def hides(self, points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Return (N,) bool: whether this person covers (N, 2) frame pixels."""
        places = cv2.transform(points[None], cv2.invertAffineTransform(matrix))[0].astype(np.float32)
        covers = cv2.remap(self.layer[..., 3], places[:, :1], places[:, 1:], cv2.INTER_LINEAR)
        return np.asarray(covers[:, 0] > 0.5)
