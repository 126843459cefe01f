"""Face detectors on the same images: ours, OpenCV's cascades, YuNet."""
