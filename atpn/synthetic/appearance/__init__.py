"""What a person and a picture look like: skin, hair, clothes, objects in front, light, backgrounds, camera."""
