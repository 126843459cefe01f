"""A camera's own intrinsics, from the file that its calibration wrote."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.errors import CalibrationError
from edge_runtime.geometry import Intrinsics

ASPECT_TOLERANCE = 0.01
"""Relative: sizes are rounded to whole pixels, or to the 8 or 16 that a codec likes. A crop differs by more."""
FIELD_OF_VIEW_LIMITS = (1.0, 170.0)
"""Degrees along either side. No pinhole sees more; a focal length in millimetres, taken for pixels, does."""


@dataclass(frozen=True)
class Calibration:
    """A pinhole camera and the size of the pictures that it was measured on. Lens distortion is left out."""

    intrinsics: Intrinsics
    width: int
    height: int

    def __post_init__(self) -> None:
        camera = self.intrinsics
        for side, focal, centre in ((self.width, camera.fx, camera.cx), (self.height, camera.fy, camera.cy)):
            if not 0 < side < 2**15:
                raise ValueError(f"a picture's side must be 1 to 32767 px, got {self.width} x {self.height}")
            view = math.degrees(2 * math.atan(side / 2 / focal))
            if not FIELD_OF_VIEW_LIMITS[0] <= view <= FIELD_OF_VIEW_LIMITS[1]:
                raise ValueError(
                    f"a focal length of {focal:g} px sees {view:.1f} degrees of a {side} px side: is it in pixels, "
                    "and of pictures of this size?"
                )
            if not -0.5 <= centre <= side - 0.5:
                raise ValueError(f"the principal point lies outside the picture: {centre:g} of {side} px")

    @staticmethod
    def read(path: Path | str) -> Calibration:
        """Read OpenCV's calibration file or a plain JSON.

        The first is YAML, XML or JSON of `cv2.FileStorage` with `camera_matrix`, `image_width` and `image_height`; the
        second holds the numbers `fx`, `fy`, `cx`, `cy`, `width` and `height`, in pixels. CalibrationError for what is
        neither or is no camera, OSError for a file that cannot be read.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8-sig")
            storage = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
        except (UnicodeDecodeError, SystemError, cv2.error) as error:  # what OpenCV's binding raises on bad syntax
            raise CalibrationError(f"{path} is not YAML, XML or JSON that OpenCV reads, or is damaged") from error
        try:
            if storage.getNode("camera_matrix").empty():
                fx, fy, cx, cy, width, height = _numbers(storage, "fx", "fy", "cx", "cy", "width", "height")
            else:
                width, height = _numbers(storage, "image_width", "image_height")
                fx, fy, cx, cy = _from_matrix(storage.getNode("camera_matrix"))
            if not (width.is_integer() and height.is_integer()):
                raise ValueError(f"a picture's sides must be whole numbers, got {width:g} x {height:g}")
            return Calibration(Intrinsics(fx, fy, cx, cy), int(width), int(height))
        except ValueError as error:
            raise CalibrationError(f"{path}: {error}") from error
        finally:
            storage.release()

    def at(self, width: int, height: int) -> Intrinsics:
        """The same camera for its whole picture in another size; CalibrationError for another aspect ratio."""
        if abs(width * self.height / (height * self.width) - 1) > ASPECT_TOLERANCE:
            raise CalibrationError(
                f"the camera was calibrated at {self.width} x {self.height}, the frames have {width} x {height}, which "
                "is another part of its picture: calibrate at their aspect ratio"
            )
        x, y, camera = width / self.width, height / self.height, self.intrinsics
        # Pixel centres lie at integers, so the picture begins at -0.5.
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
    """fx, fy, cx, cy of a 3 x 3 camera matrix."""
    try:
        matrix = np.asarray(node.mat(), np.float64)
    except cv2.error:
        matrix = np.empty(0)
    if matrix.shape != (3, 3) or (matrix[[0, 1, 2, 2, 2], [1, 0, 0, 1, 2]] != (0, 0, 0, 0, 1)).any():
        raise ValueError("camera_matrix must be a 3 x 3 matrix [fx, 0, cx; 0, fy, cy; 0, 0, 1]")
    (fx, _, cx), (_, fy, cy) = matrix[:2].tolist()
    return fx, fy, cx, cy
