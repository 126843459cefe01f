"""Image-based light against brute-force integration."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from atpn.synthetic.lighting import Lighting, harmonic_basis, load_panoramas


def test_the_basis_is_orthonormal():
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(400_000, 3))
    basis = harmonic_basis(directions / np.linalg.norm(directions, axis=1, keepdims=True))
    np.testing.assert_allclose(basis.T @ basis / len(basis) * 4 * np.pi, np.eye(9), atol=0.03)


def test_a_bright_ceiling_lights_upward_surfaces_as_integration_says():
    panorama = np.full((64, 128, 3), 0.1, np.float32)
    panorama[:32] = 1.0  # the upper half of the sphere
    harmonics = np.einsum("hwk,hwc->kc", Lighting([panorama])._project, cv2.resize(panorama, (64, 32)))
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(200_000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    radiance = np.where(directions[:, 1] < 0, 1.0, 0.1)  # y points down
    for normal in np.array([[0.0, -1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0]]):
        expected = (radiance * np.maximum(directions @ normal, 0)).mean() * 4  # irradiance over pi
        assert (harmonic_basis(normal) @ harmonics)[0] == pytest.approx(expected, abs=0.04)


def test_lights_are_seeded_and_finite_without_panoramas():
    first, second = (Lighting([]).sample(np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first.harmonics, second.harmonics)
    assert np.isfinite(first.harmonics).all()
    assert np.linalg.norm(first.lamp_direction) == pytest.approx(1.0)


def test_a_folder_without_panoramas_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="hdr"):
        load_panoramas(tmp_path)


def test_only_wanted_panoramas_are_read(tmp_path):
    for name in ("kept", "left"):
        cv2.imwrite(str(tmp_path / f"{name}.hdr"), np.ones((4, 8, 3), np.float32))
    assert len(load_panoramas(tmp_path)) == 2
    assert len(load_panoramas(tmp_path, lambda name: name == "kept")) == 1
    with pytest.raises(FileNotFoundError, match="split"):
        load_panoramas(tmp_path, lambda _: False)
