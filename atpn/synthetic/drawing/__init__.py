"""Rendering of heads with OpenGL, and of whole images."""
