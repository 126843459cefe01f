"""Losses of the training stages, and what corrects their labels."""
