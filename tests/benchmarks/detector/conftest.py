"""Pictures, results, and renders that need no model."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from edge_runtime.landmarks import WFLW_98


class DottedStore:
    """Black renders of one face, white at its outer eye corners, and gray backgrounds."""

    scheme = WFLW_98

    def __init__(self, landmarks):
        self.landmarks = np.array([landmarks] * 2, np.float32)
        self.faces, self.backgrounds = np.array([0, 1]), np.array([2])

    def neighbors(self, index):
        return None

    def image(self, index):
        if index == 2:
            return np.full((120, 120, 3), 60, np.uint8)
        picture = np.zeros((200, 200, 3), np.uint8)
        for corner in self.scheme.outer_eye_corners:
            x, y = self.landmarks[index][corner].round().astype(int)
            picture[y - 4 : y + 5, x - 4 : x + 5] = 255
        return picture


@pytest.fixture
def frontal():
    """(98, 2) landmarks of a face 100 px high, eyes' corners 60 px apart at y = 80."""
    rng = np.random.default_rng(0)
    points = rng.uniform((65, 60), (135, 150), (98, 2))
    points[0], points[1] = (60, 60), (140, 160)
    left, right = WFLW_98.outer_eye_corners
    points[left], points[right] = (70, 80), (130, 80)
    return points


@pytest.fixture
def dotted_store(frontal):
    """A store in the form of `SampleStore`."""
    return DottedStore(frontal)


@pytest.fixture
def face_at():
    """Returns a face whose landmarks' ROI at roll 0 is the given one."""

    def make(roi):
        reach = roi.size / 3
        corners = np.array([(-reach, -reach), (reach, -reach), (reach, reach), (-reach, reach)])
        return SimpleNamespace(landmarks=corners + np.array((roi.cx, roi.cy)))

    return make
