"""Which of a detector's regions found which face."""

from __future__ import annotations

from collections.abc import Sequence

from edge_runtime.geometry import ROI

SAME_FACE_IOU = 0.5
"""A detection whose region overlaps a face's this much has found it."""
NEAR_IOU = 0.2
"""A detection that overlaps a face that need not be found this much is no false alarm."""


def match_detections(
    detections: Sequence[tuple[float, ROI]],
    faces: Sequence[ROI],
    wanted: Sequence[bool],
    same_face: float = SAME_FACE_IOU,
) -> tuple[list[float | None], list[int]]:
    """For each (score, region), best first: its overlap with the face it found, 0 where there is none, None where it
    need not have looked; and the indices of the wanted faces that none found. A face is found once."""
    free, matches = set(range(len(faces))), []
    for _, roi in detections:
        best = max(free, key=lambda i: roi.iou(faces[i]), default=None)
        if best is None or roi.iou(faces[best]) < same_face:
            near_unwanted = any(
                roi.iou(face) > NEAR_IOU for face, known in zip(faces, wanted, strict=True) if not known
            )
            matches.append(None if near_unwanted else 0.0)
            continue
        free.discard(best)
        matches.append(roi.iou(faces[best]) if wanted[best] else None)
    return matches, sorted(i for i in free if wanted[i])
