"""Accuracy of exported files as they run on the device, compared with their checkpoint."""
