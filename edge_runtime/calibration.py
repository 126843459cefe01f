"""Camera intrinsics from a calibration file."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.errors import CalibrationError, require
from edge_runtime.geometry import Intrinsics
from edge_runtime.reading import MAX_TEXT_BYTES, quote, read_bytes

ASPECT_TOLERANCE = 0.01
"""Maximum relative difference of aspect ratios: sizes are rounded, for codecs to multiples of 8 or 16."""
FIELD_OF_VIEW_LIMITS = (1.0, 170.0)
"""Limits of the field of view along either side, degrees. A focal length in millimeters exceeds them."""

_MAX_NODES = 2000
"""Maximum number of entries in a file. OpenCV's parser calls itself for nested ones, and 300,000 exhaust the stack."""
_NODE = re.compile(r"[\[{<:]|-\s")
"""What begins an entry in JSON, XML, or YAML."""


@dataclass(frozen=True)
class Calibration:
    """Pinhole camera and the size of its calibration images, pixels. Lens distortion is ignored."""

    intrinsics: Intrinsics
    width: int
    height: int

    def __post_init__(self) -> None:
        camera = self.intrinsics
        for side, focal, center in ((self.width, camera.fx, camera.cx), (self.height, camera.fy, camera.cy)):
            require(0 < side < 2**15, f"image sides must be 1 to 32767 px, got {self.width} x {self.height}")
            view = math.degrees(2 * math.atan(side / 2 / focal))
            require(
                FIELD_OF_VIEW_LIMITS[0] <= view <= FIELD_OF_VIEW_LIMITS[1],
                f"focal length {focal:g} px gives a field of view of {view:.1f} degrees over {side} px, "
                f"expected 1 to 170; give fx and fy in pixels of a {self.width} x {self.height} image",
            )
            inside = -0.5 <= center <= side - 0.5
            require(inside, f"the principal point must lie in the image, got {center:g} of {side} px")

    @staticmethod
    def read(path: Path | str) -> Calibration:
        """Read a calibration file.

        Args:
            path: YAML, XML, or JSON of `cv2.FileStorage` with `camera_matrix`, `image_width`, and `image_height`, or
                plain JSON with `fx`, `fy`, `cx`, `cy`, `width`, and `height` in pixels.

        Raises:
            CalibrationError: The content is neither, or not a camera.
            OSError: The file cannot be read.
        """
        path = Path(path)
        content = read_bytes(path, MAX_TEXT_BYTES, CalibrationError)
        try:
            text = content.decode("utf-8-sig")
            if sum(1 for _ in _NODE.finditer(text)) > _MAX_NODES:
                raise CalibrationError(f"{path} has more than {_MAX_NODES} entries; give a camera calibration file")
            storage = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
        except (UnicodeDecodeError, SystemError, cv2.error) as error:  # what OpenCV's binding raises on bad syntax
            raise CalibrationError(f"{path} is not YAML, XML or JSON that OpenCV can read, or is damaged") from error
        try:
            if storage.getNode("camera_matrix").empty():
                fx, fy, cx, cy, width, height = _numbers(storage, "fx", "fy", "cx", "cy", "width", "height")
            else:
                width, height = _numbers(storage, "image_width", "image_height")
                fx, fy, cx, cy = _from_matrix(storage.getNode("camera_matrix"))
            if not (width.is_integer() and height.is_integer()):
                raise ValueError(f"image sides must be whole numbers, got {width:g} x {height:g}")
            return Calibration(Intrinsics(fx, fy, cx, cy), int(width), int(height))
        except ValueError as error:
            raise CalibrationError(f"{path}: {quote(error)}") from error
        except cv2.error as error:
            raise CalibrationError(f"{path} is a list, expected an object with a camera's numbers") from error
        finally:
            storage.release()

    def at(self, width: int, height: int) -> Intrinsics:
        """Return the intrinsics scaled to another image size. CalibrationError if the aspect ratio differs."""
        if abs(width * self.height / (height * self.width) - 1) > ASPECT_TOLERANCE:
            raise CalibrationError(
                f"the camera was calibrated at {self.width} x {self.height}, the frames have {width} x {height}: "
                "calibrate at their aspect ratio"
            )
        x, y, camera = width / self.width, height / self.height, self.intrinsics
        # Pixel centers at integers: the image begins at -0.5.
        return Intrinsics(camera.fx * x, camera.fy * y, (camera.cx + 0.5) * x - 0.5, (camera.cy + 0.5) * y - 0.5)


def _numbers(storage: cv2.FileStorage, *names: str) -> list[float]:
    nodes = {name: storage.getNode(name) for name in names}
    wrong = [name for name, node in nodes.items() if not (node.isInt() or node.isReal())]
    if wrong:
        raise ValueError(
            f"no number {', '.join(wrong)}; expected camera_matrix, image_width and image_height as OpenCV's "
            "calibration writes them, or fx, fy, cx, cy, width and height in pixels"
        )
    return [node.real() for node in nodes.values()]


def _from_matrix(node: cv2.FileNode) -> tuple[float, float, float, float]:
    """Return fx, fy, cx, cy of a 3 x 3 camera matrix."""
    matrix: np.ndarray = np.empty((0, 0))
    try:
        sides = [node.getNode(name).real() for name in ("rows", "cols")] if node.isMap() else []
        if sides == [3.0, 3.0]:  # else OpenCV would make a matrix of any size that the file declares
            matrix = np.asarray(node.mat(), np.float64)
    except (cv2.error, TypeError, ValueError):
        pass  # as if it had another size
    if matrix.shape != (3, 3) or (matrix[[0, 1, 2, 2, 2], [1, 0, 0, 1, 2]] != (0, 0, 0, 0, 1)).any():
        raise ValueError("camera_matrix must be a 3 x 3 matrix [fx, 0, cx; 0, fy, cy; 0, 0, 1]")
    (fx, _, cx), (_, fy, cy) = matrix[:2].tolist()
    return fx, fy, cx, cy
