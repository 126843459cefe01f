"""Reproducible measurements of exported models."""
