"""Face detectors on the same pictures: ours, OpenCV's cascades, YuNet."""
