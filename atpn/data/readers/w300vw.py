"""300VW (Shen et al., "The First Facial Landmark Tracking in-the-Wild Challenge", ICCV workshops 2015): videos.

`001/` to `562/` (114 folders), each with `vid.avi` and `annot/000001.pts` and so on: file number n is of the n-th
frame, counted from 1. Frames without labels divide a video into sequences (a sample's `sequence` counts them), as in
the thesis' table 3.4.

Pixels count from 1 and are shifted. Splits: train (50 videos), category1, category2, category3 (31, 19, 14: the test's
scenarios, called A, B and C in the thesis). Samples are in the order of the frames; identity is the video.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from atpn.data.readers.images import UnreadSample, VideoFrame, key_of, unread_sample
from atpn.data.readers.issues import Issue, Report, Severity, raise_issue
from atpn.data.readers.pts import FIRST_PIXEL, read_pts
from edge_runtime.landmarks import IBUG_68

VIDEOS = {
    "train": """001 002 003 004 007 009 010 011 013 015 016 017 018 019 020 022 025 027 028 029 031 033 034 035 037 039
        041 043 044 046 047 048 049 053 057 059 112 113 115 119 120 123 138 143 144 160 180 204 205 223""",
    "category1": """114 124 125 126 150 158 401 402 505 506 507 508 509 510 511 514 515 518 519 520 521 522 524 525 537
        538 540 541 546 547 548""",
    "category2": "203 208 211 212 213 214 218 224 403 404 405 406 407 408 409 412 550 551 553",
    "category3": "410 411 516 517 526 528 529 530 531 533 557 558 559 562",
}


def recognize(root: Path) -> bool:
    """Return whether the folder holds one of the videos with its labels."""
    return any((root / video / "annot").is_dir() for videos in VIDEOS.values() for video in videos.split())


def read(root: Path, report: Report = raise_issue) -> Iterator[UnreadSample]:
    """Yield the labeled frames, video by video."""
    for split, videos in VIDEOS.items():
        for video in videos.split():
            folder = root / video
            if not (folder / "annot").is_dir():
                report(Issue(Severity.MISSING, f"{folder / 'annot'}, of split {split}", split))
                continue
            video_file = folder / "vid.avi"
            if not video_file.is_file():
                report(Issue(Severity.MISSING, str(video_file), split))
            numbered = sorted((int(p.stem), p) for p in (folder / "annot").glob("*.pts") if p.stem.isdecimal())
            attributes = {"split": split, "subsets": video, "identity": video}
            sequence, last = 0, 0
            for number, path in numbered:
                sequence += number != last + 1 or not sequence
                last = number
                try:
                    landmarks = read_pts(path) - FIRST_PIXEL
                except ValueError as error:
                    report(Issue(Severity.CORRUPT, str(error), split))
                    continue
                yield unread_sample(
                    VideoFrame(video_file, number - 1),
                    landmarks=landmarks.astype(np.float32),
                    scheme=IBUG_68,
                    key=key_of("300vw", video, f"{number:06d}"),
                    attributes=attributes | {"sequence": str(sequence), "frame": str(number)},
                )
            unlabeled = last - len(numbered)
            if unlabeled:
                report(Issue(Severity.LEFT_OUT, f"video {video}: {unlabeled} of {last} frames have no labels", split))
