"""Evaluation of a network: predictions, metrics, reports, charts and published protocols."""
