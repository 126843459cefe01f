"""Head models: shape, variation, motion, and labeled points."""
