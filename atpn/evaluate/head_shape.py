"""The mean head in 3D, recovered from rendered labels, and head pose solved from landmarks with it.

No 3D asset is read: landmarks, rotations and cameras of the renders suffice.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from atpn.data.sample import Sample
from atpn.data.store import SampleStore
from edge_runtime.geometry import Intrinsics, matrix_to_angles

RIGID_POINTS = (60, 64, 68, 72, *range(51, 60))
"""WFLW's eye corners and nose, on bone or near it. All others move with expression, or with yaw (the contour)."""
MAX_YAW = np.radians(60)
"""Maximum yaw of the faces used: beyond it, half of the points are occluded."""
MIN_FACES = 12
"""Minimum number of faces, to separate depth from width."""


def mean_head_shape(store: SampleStore) -> np.ndarray:
    """Return (K, 3) rigid points in the head frame, centered, of unit spread; K as in `RIGID_POINTS`.

    A point X of a head with rotation R and position t lies on the viewing ray (x, y, 1): x r3 X + x tz - r1 X - tx = 0,
    likewise for y. This is linear in X and t; eliminating each face's t leaves a small symmetric eigenvalue problem.
    Residuals are in head units. ValueError without posed faces, or for landmarks of another scheme.
    """
    if store.scheme.name != "wflw98":
        raise ValueError(f"the rigid points are those of wflw98, but the data are labeled {store.scheme.name}")
    count, used = len(RIGID_POINTS), 0
    normal = np.zeros((3 * count, 3 * count))
    for sample in _posed_faces(store):
        # Rows of one point: [x; y] r3 - [r1; r2], for X through the rotation and for t as it stands.
        rays = _rays(sample.landmarks[list(RIGID_POINTS)], sample.intrinsics)
        to_position = np.concatenate([np.tile(-np.eye(2), (count, 1, 1)), rays[..., None]], axis=2)  # (K, 2, 3)
        to_shape = np.zeros((count, 2, count, 3))
        to_shape[np.arange(count), :, np.arange(count)] = to_position @ sample.rotation
        basis, _ = np.linalg.qr(to_position.reshape(-1, 3))
        rows = to_shape.reshape(2 * count, 3 * count)
        rows = rows - basis @ (basis.T @ rows)
        normal += rows.T @ rows
        used += 1
    if used < MIN_FACES:
        raise ValueError(
            f"only {used} of {len(store.faces)} faces have a known rotation and camera and a yaw up to 60 degrees; "
            f"the mean head needs {MIN_FACES}"
        )
    # The three smallest eigenvalues belong to moving all points together, which every face's own t takes back.
    centering = np.kron(np.eye(count) - 1 / count, np.eye(3))
    values, vectors = np.linalg.eigh(
        centering @ normal @ centering + np.trace(normal) * (np.eye(3 * count) - centering)
    )
    shape = vectors[:, np.argmin(values)].reshape(count, 3)
    # An eigenvector's sign is arbitrary; the subject's right eye (60) is on the image's left.
    return shape * np.sign(shape[3, 0] - shape[0, 0]) / np.sqrt((shape**2).sum(axis=1).mean())


def pose_from_landmarks(landmarks: np.ndarray, shape: np.ndarray, intrinsics: Intrinsics) -> np.ndarray:
    """Solve the (3,) pitch, yaw, roll in radians that project the (K, 3) mean head onto (98, 2) pixel landmarks."""
    rays = _rays(landmarks[list(RIGID_POINTS)], intrinsics).astype(np.float64)
    solved, turn, position = cv2.solvePnP(shape, rays, np.eye(3), None, flags=cv2.SOLVEPNP_SQPNP)
    if not solved:
        return np.full(3, np.nan)
    turn, _ = cv2.solvePnPRefineLM(shape, rays, np.eye(3), None, turn, position)
    return matrix_to_angles(cv2.Rodrigues(turn)[0])


def landmark_angle_error(store: SampleStore, shape: np.ndarray) -> dict[str, float]:
    """Return the mean absolute error, in degrees, of angles solved from labeled landmarks."""
    differences = [
        pose_from_landmarks(sample.landmarks, shape, sample.intrinsics) - matrix_to_angles(sample.rotation)
        for sample in _posed_faces(store)
    ]
    errors = np.degrees(np.abs(np.arctan2(np.sin(differences), np.cos(differences))))
    return dict(zip(("pitch", "yaw", "roll"), map(float, np.nanmean(errors, axis=0)), strict=True))


def _posed_faces(store: SampleStore) -> Iterator[Sample]:
    for index in store.faces:
        sample = store[int(index)]
        if sample.rotation is None or sample.intrinsics is None:
            continue
        if abs(matrix_to_angles(sample.rotation)[1]) <= MAX_YAW:
            yield sample


def _rays(pixels: np.ndarray, camera: Intrinsics) -> np.ndarray:
    """Convert (..., 2) pixels to the plane one unit in front of the camera."""
    return (pixels - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
