"""MERL-RAV (Kumar et al., "LUVLi Face Alignment", CVPR 2020): AFLW's faces with 68 landmarks and kinds of occlusion.

`{frontal,left,lefthalf,right,righthalf}/{trainset,testset}/` hold a .pts per face. The authors' script puts AFLW's
image beside it (`merl_rav_organized/`); without it, labels are in `labels/` folders (`merl_rav_labels/`) and AFLW's
images in `aflw/flickr/{0,2,3}/`. The second and third face of an image end in `_2`, `_3`.

Coordinates encode visibility: (x, y) is visible; (-x, -y) is at (x, y), occluded; (-1, -1) is on the far side of the
face, unknown (NaN). Pixels are taken to count from 1, as in other .pts files; it is not documented. Splits: train,
test; the five folders are subsets, and so are `half-profile` (lefthalf, righthalf) and `profile` (left, right).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from atpn.data.readers.folders import below, files, first_below, image_beside
from atpn.data.readers.images import ImageFile, UnreadSample, key_of, unread_sample
from atpn.data.readers.issues import Issue, Report, Severity, raise_issue
from atpn.data.readers.pts import FIRST_PIXEL, read_pts
from edge_runtime.landmarks import IBUG_68

POSES = ("frontal", "left", "lefthalf", "right", "righthalf")
VIEWS = {"left": "profile", "right": "profile", "lefthalf": "half-profile", "righthalf": "half-profile"}
"""Published subset of a folder that is not one itself."""
PLACES = ("merl_rav_organized", "merl_rav_labels")
AFLW = ("aflw/flickr", "aflw/data/flickr", "flickr")


def recognize(root: Path) -> bool:
    """Return whether the folder holds the labels, organized or not."""
    return any(below(folder, "lefthalf") is not None for folder in (root, *_places(root)))


def read(root: Path, report: Report = raise_issue) -> Iterator[UnreadSample]:
    """Yield the faces, pose by pose. Organized labels are preferred, since their images lie beside them."""
    folder = next((f for f in (*_places(root), root) if below(f, "lefthalf") is not None), root)
    flickr = first_below(root, *AFLW) or first_below(root.parent, *AFLW)
    for pose in POSES:
        for split in ("train", "test"):
            part = below(folder, pose, f"{split}set")
            if part is None:
                report(Issue(Severity.MISSING, f"{folder / pose / f'{split}set'}, of split {split}", split))
                continue
            for path in files(part, ".pts"):
                try:
                    landmarks, visible = decoded(read_pts(path))
                except ValueError as error:
                    report(Issue(Severity.CORRUPT, str(error), split))
                    continue
                photo = path.stem.partition("_")[0]
                image = image_beside(path) or _in_aflw(flickr, photo)
                if image is None:
                    report(Issue(Severity.MISSING, f"the image of {path} (AFLW's {photo}.jpg)", split))
                yield unread_sample(
                    ImageFile(image or path.with_suffix(".jpg")),
                    landmarks=landmarks,
                    scheme=IBUG_68,
                    visibility=visible,
                    key=key_of("merl-rav", pose, split, path.stem),
                    attributes={"split": split, "subsets": f"{pose} {VIEWS.get(pose, '')}".strip(), "identity": photo},
                )


def decoded(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Convert (68, 2) numbers of a file to (68, 2) float32 pixels, NaN where unknown, and (68,) visibility."""
    unknown = (numbers == -1).all(axis=1)
    # A point at the image's edge may have one coordinate below 0, so both must be negative to mean "behind".
    behind = (numbers < 0).all(axis=1) & ~unknown
    points = np.where(behind[:, None], -numbers, numbers) - FIRST_PIXEL
    points[unknown] = np.nan
    return points.astype(np.float32), ~(unknown | behind)


def _places(root: Path) -> list[Path]:
    return [place for name in PLACES if (place := below(root, name)) is not None]


def _in_aflw(flickr: Path | None, photo: str) -> Path | None:
    if flickr is None:
        return None
    return next((p for part in ("0", "2", "3") if (p := flickr / part / f"{photo}.jpg").exists()), None)
