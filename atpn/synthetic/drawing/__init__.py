"""Drawing of heads with OpenGL, and of whole pictures."""
