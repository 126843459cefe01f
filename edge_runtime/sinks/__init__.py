"""Sinks of results and overlays: files and network."""
