"""Appearance of a person and an image: skin, hair, clothes, occluders, light, backgrounds, camera."""
