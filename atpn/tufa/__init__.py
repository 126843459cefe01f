"""TUFA: task-agnostic unified face alignment, a mapping from the mean-face plane to faces (thesis, chapter 6)."""
