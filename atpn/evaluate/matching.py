"""Matching of detections to labeled faces."""

from __future__ import annotations

from collections.abc import Sequence

from edge_runtime.geometry import ROI

NMS_IOU_THRESHOLD = 0.5
"""Minimum IoU of a detection with the face that it finds."""
IGNORE_IOU = 0.2
"""A detection with a higher IoU with a face that is not required is not a false alarm."""


def match_detections(
    detections: Sequence[tuple[float, ROI]],
    faces: Sequence[ROI],
    required: Sequence[bool],
    same_face: float = NMS_IOU_THRESHOLD,
) -> tuple[list[float | None], list[int]]:
    """Match (score, ROI) detections, best first, to faces; each face is matched once.

    Returns each detection's IoU with its face (0 for a false alarm, None if it is near a face that is not required) and
    the indices of the required faces that were missed.
    """
    free, matches = set(range(len(faces))), []
    for _, roi in detections:
        best = max(free, key=lambda i: roi.iou(faces[i]), default=None)
        if best is None or roi.iou(faces[best]) < same_face:
            near_unwanted = any(
                roi.iou(face) > IGNORE_IOU for face, known in zip(faces, required, strict=True) if not known
            )
            matches.append(None if near_unwanted else 0.0)
            continue
        free.discard(best)
        matches.append(roi.iou(faces[best]) if required[best] else None)
    return matches, sorted(i for i in free if required[i])
