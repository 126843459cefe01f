"""Accuracy of exported files as they run on the device, beside the checkpoint that they come from."""
