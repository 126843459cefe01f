"""Random widths and lengths of a face's lower half, which vary little in modes fitted to scans."""

from __future__ import annotations

import numpy as np

from atpn.synthetic.heads.head import HeadModel

_JAW_SPREAD, _MOUTH_SPREAD, _CHIN_SPREAD = 0.06, 0.09, 0.05
"""Standard deviations of relative widths and of the lower face's relative height. Surveys give 5 % for jaws and 7 % for
mouths; a little more covers lenses and unusual faces."""
_LIMIT = 2.2
"""Maximum deviation in standard deviations."""


class Proportions:
    """Smooth stretches of one head model, by its vertices' places at rest; teeth and gums follow the lips."""

    def __init__(self, head: HeadModel) -> None:
        rest, points = head.neutral, head.landmarks.at(head.neutral)
        eyes, mouth, chin = points[[60, 72]].mean(axis=0), points[76:96].mean(axis=0), points[16]
        down = np.clip((rest[:, 1] - eyes[1]) / (mouth[1] - eyes[1]), 0, 1)
        above_collar = _fade(rest[:, 1], chin[1], 2 * chin[1] - mouth[1])
        self._jaw = down * down * (3 - 2 * down) * above_collar
        width, height = float(np.ptp(points[76:88, 0])), float(chin[1] - mouth[1])
        distance = np.hypot((rest[:, 0] - mouth[0]) / width, (rest[:, 1] - mouth[1]) / (1.5 * height))
        front = _fade(rest[:, 2], mouth[2] + 2.0 * width, mouth[2] + 3.0 * width)  # not the nape
        self._mouth = np.exp(-(distance**4)) * front
        self._chin = np.clip((rest[:, 1] - points[54, 1]) / (chin[1] - points[54, 1]), 0, None) * above_collar
        self._chin_reach = float(chin[1] - points[54, 1])

    def vary(self, surface: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return (V, 3) vertices at rest with jaw and mouth of random width and a lower face of random height."""
        jaw, mouth, chin = np.clip(rng.normal(0, 1, 3), -_LIMIT, _LIMIT) * (_JAW_SPREAD, _MOUTH_SPREAD, _CHIN_SPREAD)
        moved = surface.copy()
        moved[:, 0] *= (1 + jaw * self._jaw) * (1 + mouth * self._mouth)
        moved[:, 1] += chin * self._chin_reach * self._chin
        return moved


def _fade(values: np.ndarray, start: float, end: float) -> np.ndarray:
    """Return 1 up to `start`, 0 from `end`, smooth between."""
    share = np.clip((end - values) / (end - start), 0, 1)
    return share * share * (3 - 2 * share)
