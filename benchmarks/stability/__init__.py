"""Stability of tracking: jitter, lag, and failures, on rendered sequences and videos."""
