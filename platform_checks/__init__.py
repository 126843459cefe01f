"""Checks that other machines and inference engines compute the same: emulated Raspberry Pis, tflite-runtime."""
