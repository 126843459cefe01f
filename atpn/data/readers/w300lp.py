"""300W-LP and AFLW2000-3D (Zhu et al., "Face Alignment Across Large Poses", CVPR 2016): 68 landmarks and head pose.

300W-LP: `{AFW,HELEN,IBUG,LFPW}/` and their mirror images `*_Flip/`, 450 px images with a .mat each: `pt2d` (2, 68)
landmarks, `Pose_Para` (1, 7): pitch, yaw, roll in radians, shift, scale. Names end in a number: `_0` is the photograph
itself (subset `original`), the others are rotated further by a 3D model. In known copies LFPW's `pt2d` counts y from
the image's lower edge; this is detected from the pose, sample by sample.

300W's protocol splits by the photograph: train (AFW, LFPW's and HELEN's training parts), test (subsets `common`,
`challenging`). HELEN's names do not contain the part: it is looked up in `helen/testset/` of a 300W in the same folder
or beside it; without one HELEN's samples are `unsplit`.

AFLW2000-3D: 2000 images `imageNNNNN.jpg` with a .mat each: `pt3d_68` (3, 68), `Pose_Para` as above. By protocol the 31
with an angle beyond 99 degrees are left out. One split: test.

Pose: the model's frame is x right, y up, z out of the face; a point moves by Rx(pitch) Ry(yaw) Rz(roll), each
clockwise seen from the axis' tip. Reversing y and z gives the pose frame; its yaw has the other sign, and its order
(yaw outermost) gives other angles. The camera is orthographic: the pose is relative to the image's axis wherever the
face is, so the intrinsics have a focal length of a million pixels. Landmarks count pixels from 1 and are shifted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from atpn.data.coordinates import IN_RANGE, are_coordinates
from atpn.data.matlab_file import load_matrices
from atpn.data.readers.folders import below, files, first_below
from atpn.data.readers.images import ImageFile, UnreadSample, key_of, unread_sample
from atpn.data.readers.issues import Issue, Report, Severity, raise_issue
from edge_runtime.geometry import Intrinsics
from edge_runtime.landmarks import IBUG_68
from edge_runtime.reading import quote

PARTS = ("AFW", "HELEN", "IBUG", "LFPW")
SIDE = 450
"""Width and height of every image in pixels."""
PARALLEL_RAYS = Intrinsics(1e6, 1e6, (SIDE - 1) / 2, (SIDE - 1) / 2)
AFLW2000_FILES = "image[0-9][0-9][0-9][0-9][0-9].mat"
ANGLE_LIMIT = np.radians(99)


def recognize_300w_lp(root: Path) -> bool:
    """Return whether the folder holds one of the parts with its .mat files."""
    return any(next(folder.glob("*_*.mat"), None) for _, folder in _parts(root))


def recognize_aflw2000(root: Path) -> bool:
    """Return whether the folder holds AFLW2000-3D's .mat files."""
    return next(root.glob(AFLW2000_FILES), None) is not None


def read_300w_lp(root: Path, report: Report = raise_issue) -> Iterator[UnreadSample]:
    """Yield the faces, part by part; a photograph, its rotated copies and their mirror images share an identity."""
    folders = _parts(root)
    existing = {folder.name.lower() for _, folder in folders}
    for name in (f"{part}{flip}" for part in PARTS for flip in ("", "_Flip")):
        if name.lower() not in existing:
            report(Issue(Severity.MISSING, f"{root / name}"))
    helen_test = _helen_test(root)
    for part, folder in folders:
        for path in files(folder, ".mat"):
            labels = _read_labels(path, "pt2d", report)
            if labels is None:
                continue
            photo, _, number = path.stem.removeprefix(f"{part}_").rpartition("_")
            split, subset = _membership(part, photo, helen_test)
            original = number == "0" and not folder.name.lower().endswith("_flip")
            subsets = [part.lower(), *([subset] if subset else []), *(["original"] if original else [])]
            yield unread_sample(
                ImageFile(path.with_suffix(".jpg")),
                **labels,
                key=key_of("300w-lp", folder.name, path.stem),
                attributes={"split": split, "subsets": " ".join(subsets), "identity": f"{part}/{photo}"},
            )


def read_aflw2000(root: Path, report: Report = raise_issue) -> Iterator[UnreadSample]:
    """Yield the faces, sorted by name."""
    for path in sorted(root.glob(AFLW2000_FILES)):
        labels = _read_labels(path, "pt3d_68", report)
        if labels is None:
            continue
        angles = load_matrices(path, ["Pose_Para"])["Pose_Para"].ravel()[:3]
        if np.abs(angles).max() > ANGLE_LIMIT:
            report(Issue(Severity.LEFT_OUT, f"{path.name}: an angle beyond 99 degrees"))
            continue
        yield unread_sample(
            ImageFile(path.with_suffix(".jpg")),
            **labels,
            key=key_of("aflw2000-3d", path.stem),
            attributes={"split": "test", "identity": path.stem},
        )


def head_to_camera(pitch: float, yaw: float, roll: float) -> np.ndarray:
    """Convert these datasets' angles (radians) to a (3, 3) rotation in the pose frame."""
    (cp, cy, cr), (sp, sy, sr) = np.cos([pitch, yaw, roll]), np.sin([pitch, yaw, roll])
    about_x = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    about_y = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    about_z = np.array([[cr, sr, 0], [-sr, cr, 0], [0, 0, 1]])
    turned = np.diag([1.0, -1.0, -1.0])
    return turned @ about_x @ about_y @ about_z @ turned


def dataset_angles(rotation: np.ndarray) -> tuple[float, float, float]:
    """Convert a (3, 3) rotation in the pose frame to these datasets' pitch, yaw, roll (radians)."""
    turned = np.diag([1.0, -1.0, -1.0])
    m = turned @ rotation @ turned
    yaw = -np.arcsin(np.clip(m[0, 2], -1.0, 1.0))
    return float(np.arctan2(m[1, 2], m[2, 2])), float(yaw), float(np.arctan2(m[0, 1], m[0, 0]))


def y_down(points: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Return (68, 2) points, counted from 1, with y running down; flip them if they contradict the pose.

    The directions from brows to chin and from eye to eye must agree with the head's axes.
    """
    down = points[8] - points[17:27].mean(axis=0)
    right = points[42:48].mean(axis=0) - points[36:42].mean(axis=0)
    contradicts = right[1] * rotation[1, 0] + down[1] * rotation[1, 1] < 0
    return np.column_stack([points[:, 0], SIDE + 1 - points[:, 1]]) if contradicts else points


def _read_labels(path: Path, name: str, report: Report) -> dict[str, Any] | None:
    """Return the fields of a .mat file's sample; report an issue and return None if the file is corrupt."""
    if not path.with_suffix(".jpg").is_file():
        report(Issue(Severity.MISSING, f"{path.with_suffix('.jpg')}"))
    try:
        content = load_matrices(path, [name, "Pose_Para"])
        points, pose = content[name][:2].T, content["Pose_Para"].ravel()
        if points.shape != (68, 2) or len(pose) < 3 or not (are_coordinates(points) and are_coordinates(pose[:3])):
            expected = f"68 points and 3 angles or more, {IN_RANGE}"
            raise ValueError(f"{name} {points.shape}, Pose_Para {pose.shape}, expected {expected}")
    except (OSError, ValueError) as error:
        report(Issue(Severity.CORRUPT, f"{path}: {quote(error)}"))
        return None
    rotation = head_to_camera(*pose[:3].tolist())
    landmarks = (y_down(points, rotation) - 1).astype(np.float32)
    return {"landmarks": landmarks, "scheme": IBUG_68, "rotation": rotation, "intrinsics": PARALLEL_RAYS}


def _membership(part: str, photo: str, helen_test: set[str]) -> tuple[str, str]:
    """Return 300W's split and test subset of a photograph."""
    if part == "HELEN" and not helen_test:
        return "unsplit", ""
    if part == "IBUG":
        return "test", "challenging"
    in_test = photo in helen_test if part == "HELEN" else part == "LFPW" and photo.startswith("image_test")
    return ("test", "common") if in_test else ("train", "")


def _helen_test(root: Path) -> set[str]:
    candidates = [root, root.parent, *(p for p in root.parent.iterdir() if p.is_dir() and p != root)]
    folder = next((f for place in candidates if (f := first_below(place, "helen/testset"))), None)
    return {path.stem for path in files(folder, ".pts")} if folder else set()


def _parts(root: Path) -> list[tuple[str, Path]]:
    """Return names and folders of the parts that exist."""
    found = ((part, below(root, f"{part}{flip}")) for part in PARTS for flip in ("", "_Flip"))
    return [(part, folder) for part, folder in found if folder is not None]
