"""Measuring a network: predictions, metrics, reports, charts and the published protocols."""
