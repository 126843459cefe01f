"""BIWI Kinect Head Pose (Fanelli et al., "Random Forests for Real Time 3D Face Analysis", IJCV 2013): exact head poses.

`01/` to `24/` (in `hpdb/` or `faces_0/`), each with `frame_NNNNN_rgb.png` (.jpg in a repacked copy),
`frame_NNNNN_pose.txt` and `rgb.cal`. Numbers begin at 3 with gaps: 15,678 frames of twenty people, four of them twice.

A pose file holds the (3, 3) rotation from head to depth camera (the pose frame: x right, y down, z forward), an empty
line, and the head's center in millimeters. `rgb.cal` holds the color camera's matrix, four lens coefficients (zero),
then rotation and translation from the depth camera to the color camera, 24 mm to its right; both are applied.

There are no landmarks: the box `head` is the image of a ball of 100 mm around the head's center. One split: all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from atpn.data.coordinates import IN_RANGE, are_coordinates
from atpn.data.readers.images import ImageFile, UnreadSample, key_of, unread_sample
from atpn.data.readers.issues import Issue, Report, Severity, raise_issue
from edge_runtime.geometry import Intrinsics
from edge_runtime.reading import read_text

SEQUENCES = tuple(f"{number:02d}" for number in range(1, 25))
_SUBJECTS = "F01 F02 F03 F04 F05 F06 M01 M02 M03 M04 M05 M06 M07 M08 F03 M09 M10 F05 M11 M12 F02 M01 M13 M14"
SUBJECTS = dict(zip(SEQUENCES, _SUBJECTS.split(), strict=True))
"""Person by sequence; four people are in two sequences."""
HEAD_RADIUS = 100.0
"""Millimeters: half the height of a face with its forehead, and some margin."""


def recognize(root: Path) -> bool:
    """Return whether the folder holds one of the sequences."""
    return any((root / name / "rgb.cal").is_file() for name in SEQUENCES)


def read(root: Path, report: Report = raise_issue) -> Iterator[UnreadSample]:
    """Yield the frames, sequence by sequence."""
    for name in SEQUENCES:
        sequence = root / name
        if not sequence.is_dir():
            report(Issue(Severity.MISSING, f"{sequence}, sequence {name} of {len(SEQUENCES)}"))
            continue
        try:
            camera, rotation, translation = read_calibration(sequence / "rgb.cal")
        except (OSError, ValueError) as error:
            report(Issue(Severity.CORRUPT, f"{sequence / 'rgb.cal'}: {error}"))
            continue
        names = (re.fullmatch(r"frame_(\d+)_(pose\.txt|rgb\..*)", path.name) for path in sequence.iterdir())
        for frame in sorted({name[1] for name in names if name}, key=int):
            pose = sequence / f"frame_{frame}_pose.txt"
            image = next((p for s in ("png", "jpg") if (p := sequence / f"frame_{frame}_rgb.{s}").is_file()), None)
            if image is None:
                report(Issue(Severity.MISSING, f"the image of {pose}"))
            if not pose.is_file():
                report(Issue(Severity.MISSING, str(pose)))
                continue
            try:
                numbers = _numbers(pose, 12)
                head, center = rotation @ numbers[:9].reshape(3, 3), rotation @ numbers[9:] + translation
                if not np.allclose(head @ head.T, np.eye(3), atol=1e-2) or center[2] <= HEAD_RADIUS:
                    raise ValueError("expected a rotation matrix and a head in front of the camera")
            except ValueError as error:
                report(Issue(Severity.CORRUPT, f"{pose}: {error}"))
                continue
            x, y = camera.cx + camera.fx * center[0] / center[2], camera.cy + camera.fy * center[1] / center[2]
            reach = camera.fx * HEAD_RADIUS / center[2]
            yield unread_sample(
                ImageFile(image or sequence / f"frame_{frame}_rgb.png"),
                rotation=head,
                intrinsics=camera,
                boxes={"head": (float(x - reach), float(y - reach), float(x + reach), float(y + reach))},
                key=key_of("biwi", name, frame),
                attributes={"split": "all", "subsets": f"sequence-{name}", "identity": SUBJECTS[name]},
            )


def read_calibration(path: Path) -> tuple[Intrinsics, np.ndarray, np.ndarray]:
    """Read a .cal file: the camera, and the (3, 3) rotation and (3,) millimeters from the depth camera to it."""
    numbers = _numbers(path, 25)
    matrix = numbers[:9].reshape(3, 3)
    camera = Intrinsics(float(matrix[0, 0]), float(matrix[1, 1]), float(matrix[0, 2]), float(matrix[1, 2]))
    return camera, numbers[13:22].reshape(3, 3), numbers[22:25]


def _numbers(path: Path, count: int) -> np.ndarray:
    """Read the first `count` numbers of a text file."""
    numbers = np.array(read_text(path).split()[:count], np.float64)
    if len(numbers) < count or not are_coordinates(numbers):
        raise ValueError(f"{len(numbers)} numbers, expected {count} {IN_RANGE}")
    return numbers
