"""Head models: their shape, how it varies and moves, and the points that are labelled on it."""
