"""Ablations: equally long short runs that measure each ingredient of a recipe."""
