"""The datasets that can be read: what each is, how it is recognised, how much of it there should be, where it is."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from atpn.data.readers import biwi, celeba, cofw, ibug300w, london, merl_rav, own, w300lp, w300vw, wflw, wider_face
from atpn.data.readers.findings import Report, refuse
from atpn.data.readers.images import UnreadSample

Unit = Literal["faces", "pictures", "videos"]
RESEARCH = "research only"
UNSPLIT = "unsplit"
"""The split of samples whose part in the protocol another file would tell, which is not there."""


@dataclass(frozen=True)
class Dataset:
    """One entry."""

    name: str
    what: str
    """Labels and pictures in a phrase."""
    files: str
    """What it is recognised by."""
    official: Mapping[str, int]
    """Units per split, as published; "all" for the whole where splits are not told apart."""
    unit: Unit
    where: str
    """Project page; the paper's title where we know of none."""
    terms: str
    recognise: Callable[[Path], bool]
    reader: Callable[[Path, Report], Iterator[UnreadSample]]

    def read(self, root: Path, report: Report = refuse) -> Iterator[UnreadSample]:
        """Its samples, in an order that does not change."""
        return self.reader(root, report)

    @property
    def description(self) -> str:
        """Layout, conventions and traps: the reader's own words."""
        return inspect.getdoc(sys.modules[self.reader.__module__]) or ""


_ALL = (
    Dataset(
        "wflw",
        "98 landmarks, 6 attributes, box; photographs",
        "WFLW_annotations/, WFLW_images/",
        {"train": 7500, "test": 2500},
        "faces",
        "https://wywu.github.io/projects/LAB/WFLW.html",
        "none stated that we know of; the photographs are WIDER FACE's",
        wflw.recognise,
        wflw.read,
    ),
    Dataset(
        "300w",
        "68 landmarks; photographs",
        "lfpw/, helen/, afw/, ibug/, 300W/01_Indoor/, 300W/02_Outdoor/ with .pts files",
        {"train": 3148, "test": 689, "private": 600},
        "faces",
        "https://ibug.doc.ic.ac.uk/resources/300-W/ and https://ibug.doc.ic.ac.uk/resources/facial-point-annotations/",
        RESEARCH,
        ibug300w.recognise,
        ibug300w.read,
    ),
    Dataset(
        "cofw",
        "29 landmarks (COFW68: 68), occlusion, box; photographs",
        "COFW_train_color.mat, COFW_test_color.mat, COFW68_Data/test_annotations/",
        {"train": 1345, "test": 507, "test68": 507},
        "faces",
        "https://data.caltech.edu/records/20099 and https://github.com/golnazghiasi/cofw68-benchmark",
        "see the page; COFW68: none stated that we know of",
        cofw.recognise,
        cofw.read,
    ),
    Dataset(
        "merl-rav",
        "68 landmarks, seen / covered / turned away; AFLW's photographs",
        "merl_rav_organized/ or merl_rav_labels/ (frontal/, left/, lefthalf/, right/, righthalf/)",
        {"train": 15449, "test": 3865},
        "faces",
        "https://github.com/abhi1kumar/MERL-RAV_dataset",
        f"{RESEARCH}; AFLW's pictures are given on request",
        merl_rav.recognise,
        merl_rav.read,
    ),
    Dataset(
        "300w-lp",
        "68 landmarks, head pose; 300W turned by a 3D model",
        "AFW/, HELEN/, IBUG/, LFPW/ and *_Flip/ with .mat files",
        {"all": 122450},
        "faces",
        "http://www.cbsr.ia.ac.cn/users/xiangyuzhu/projects/3DDFA/main.htm",
        RESEARCH,
        w300lp.recognise_300w_lp,
        w300lp.read_300w_lp,
    ),
    Dataset(
        "aflw2000-3d",
        "68 landmarks, head pose; photographs",
        "image00002.mat and so on",
        {"test": 1969},
        "faces",
        "http://www.cbsr.ia.ac.cn/users/xiangyuzhu/projects/3DDFA/main.htm",
        RESEARCH,
        w300lp.recognise_aflw2000,
        w300lp.read_aflw2000,
    ),
    Dataset(
        "biwi",
        "head pose, camera; frames of 24 recordings",
        "01/ to 24/ with rgb.cal and frame_*_pose.txt",
        {"all": 15678},
        "faces",
        "https://icu.ee.ethz.ch/research/datsets.html",
        RESEARCH,
        biwi.recognise,
        biwi.read,
    ),
    Dataset(
        "wider-face",
        "boxes of faces; photographs of crowds",
        "wider_face_split/, WIDER_train/, WIDER_val/",
        {"train": 12880, "val": 3226},
        "pictures",
        "http://shuoyang1213.me/WIDERFACE/",
        RESEARCH,
        wider_face.recognise,
        wider_face.read,
    ),
    Dataset(
        "300vw",
        "68 landmarks; videos",
        "001/ to 562/ with vid.avi and annot/",
        {"train": 50, "category1": 31, "category2": 19, "category3": 14},
        "videos",
        "https://ibug.doc.ic.ac.uk/resources/300-VW/",
        RESEARCH,
        w300vw.recognise,
        w300vw.read,
    ),
    Dataset(
        "celeba",
        "5 landmarks, identity, MAFL's lists; photographs",
        "Anno/list_landmarks_celeba.txt or list_landmarks_align_celeba.txt, Eval/, Img/, MAFL/",
        {"train": 162770, "val": 19867, "test": 19962},
        "faces",
        "http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html and https://github.com/zhzhanp/TCDCN-face-alignment (MAFL)",
        RESEARCH,
        celeba.recognise,
        celeba.read,
    ),
    Dataset(
        "london",
        "189 points drawn by hand; photographs, frontal",
        "neutral_front/ with .tem files beside the pictures",
        {"all": 102},
        "faces",
        "https://figshare.com/articles/dataset/Face_Research_Lab_London_Set/5047666",
        "Creative Commons Attribution 4.0",
        london.recognise,
        london.read,
    ),
    Dataset(
        "own",
        "your own: landmarks, boxes, pose; any pictures",
        "labels.json or labels.csv",
        {},
        "faces",
        "`python -m atpn datasets list own` describes the format",
        "yours",
        own.recognise,
        own.read,
    ),
)
DATASETS: Mapping[str, Dataset] = {dataset.name: dataset for dataset in _ALL}
"""By name."""


@dataclass(frozen=True)
class Found:
    """A dataset and the folder in which its files begin."""

    dataset: Dataset
    root: Path


def find(path: Path, name: str | None = None) -> list[Found]:
    """The datasets (or the one named) that lie in a folder, else in the folders in it, else in the folder around it.

    FileNotFoundError for a path that is no folder, or a folder that holds nothing known: it tells what was found.
    """
    if name is not None and name not in DATASETS:
        raise ValueError(f"unknown dataset {name!r}; known: {', '.join(DATASETS)}")
    if path.name in own.NAMES and path.is_file():
        path = path.parent
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is not a folder; give the one into which the dataset was unpacked")
    path = path.resolve()
    wanted = [DATASETS[name]] if name else list(_ALL)
    inside = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    for roots in ([path], inside, [path.parent]):
        found = [Found(dataset, root) for root in roots for dataset in wanted if dataset.recognise(root)]
        if found:
            return found
    names = sorted(p.name + "/" * p.is_dir() for p in path.iterdir())
    there = f"{', '.join(names[:8])}{f' and {len(names) - 8} more' if len(names) > 8 else ''}" if names else "nothing"
    known = "\n".join(f"  {dataset.name:12} by {dataset.files}" for dataset in wanted)
    raise FileNotFoundError(
        f"no known dataset in {path}, one folder deeper or higher. There is: {there}. Known are:\n{known}"
    )
