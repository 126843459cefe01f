"""The three training stages, their losses and metrics, and evaluation (thesis, section 3.2.4)."""
