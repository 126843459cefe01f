"""Image-based light against brute-force integration."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from atpn.synthetic.appearance.lighting import DRAMATIC, Lighting, harmonic_basis, light_map, load_panoramas


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


def test_panoramas_are_read_by_name(tmp_path):
    for name in ("second", "first"):
        cv2.imwrite(str(tmp_path / f"{name}.hdr"), np.ones((4, 8, 3), np.float32))
    assert list(load_panoramas(tmp_path)) == ["first", "second"]


def test_a_light_does_not_care_whether_its_panorama_was_small():
    panorama = np.random.default_rng(0).uniform(0, 3, (128, 256, 3)).astype(np.float32)
    lights = [Lighting([p]).sample(np.random.default_rng(1)) for p in (panorama, light_map(panorama))]
    np.testing.assert_array_equal(lights[0].harmonics, lights[1].harmonics)


def test_dramatic_lights_come_in_their_share_and_from_where_they_say():
    lighting = Lighting([])
    lights = [lighting.sample(np.random.default_rng(seed), dramatic=0.5) for seed in range(400)]
    kinds = [light.kind for light in lights]
    assert 150 < kinds.count("plain") < 250
    assert set(kinds) == {"plain", *DRAMATIC}
    for light in lights:
        if light.kind == "back":  # the camera looks along z: this lamp shines toward it
            assert light.lamp_direction[2] > 0.3
        elif light.kind != "plain":
            assert abs(light.lamp_direction[0]) > 0.5
    brightness = {
        kind: np.mean([light.harmonics[0].mean() for light in lights if light.kind == kind]) for kind in kinds
    }
    assert all(brightness[kind] < 0.6 * brightness["plain"] for kind in DRAMATIC)
    assert all(light.kind == "plain" for light in (lighting.sample(np.random.default_rng(s)) for s in range(20)))
