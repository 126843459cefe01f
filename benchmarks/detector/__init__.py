"""Finding faces: our detector, OpenCV's cascades, YuNet, and MediaPipe's, alone and in the tracking loop."""
