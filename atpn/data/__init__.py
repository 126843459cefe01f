"""Faces to learn from and to measure on: one reader per dataset, one sample record."""
