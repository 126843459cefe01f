import numpy as np
import pytest

from edge_runtime.errors import FrameError
from edge_runtime.frames import MAX_SIDE, as_bgr

BGR = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
GRAY = BGR[..., 0]


def test_as_bgr_returns_bgr_unchanged():
    assert as_bgr(BGR) is BGR


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        pytest.param(GRAY, np.dstack([GRAY] * 3), id="gray"),
        pytest.param(GRAY[..., None], np.dstack([GRAY] * 3), id="gray with an axis"),
        pytest.param(np.dstack([BGR, GRAY]), BGR, id="alpha"),
        pytest.param(BGR.astype(np.uint16) * 257, BGR, id="16 bit"),
        pytest.param(BGR / 255, BGR, id="float64"),
        pytest.param((BGR / 255).astype(np.float32), BGR, id="float32"),
        pytest.param(np.zeros((1, 1), np.uint8), np.zeros((1, 1, 3)), id="one pixel"),
    ],
)
def test_as_bgr_converts_other_images(frame, expected):
    result = as_bgr(frame)
    assert result.dtype == np.uint8
    assert np.array_equal(result, expected)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        pytest.param(BGR.astype(np.float32), r"must lie in \[0, 1\]", id="float beyond 1"),
        pytest.param(np.full((2, 2), np.nan), r"must lie in \[0, 1\]", id="nan"),
        pytest.param(np.array([[0.0, -1e-3]]), r"must lie in \[0, 1\]", id="negative"),
        pytest.param(np.zeros((4, 4, 2), np.uint8), r"got \(4, 4, 2\)", id="two channels"),
        pytest.param(np.zeros((0, 4, 3), np.uint8), "not empty", id="empty"),
        pytest.param(np.zeros((1, MAX_SIDE + 1), np.uint8), "must not exceed 32766 px", id="too wide"),
        pytest.param(np.zeros((MAX_SIDE + 1, 1, 3), np.uint8), "downscale it", id="too high"),
        pytest.param(np.zeros(12, np.uint8), r"got \(12,\)", id="flat"),
        pytest.param(np.zeros((4, 4), np.int32), "got int32", id="int32"),
        pytest.param(None, "got NoneType", id="what a failed imread returns"),
    ],
)
def test_as_bgr_rejects_other_arrays(frame, message):
    with pytest.raises(FrameError, match=message):
        as_bgr(frame)
    with pytest.raises(ValueError, match=message):
        as_bgr(frame)
