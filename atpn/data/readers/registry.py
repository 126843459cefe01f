"""The supported datasets: content, files, official numbers, download page, terms, reader."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from atpn.data.readers import biwi, celeba, cofw, ibug300w, london, merl_rav, own, w300lp, w300vw, wflw, wider_face
from atpn.data.readers.images import UnreadSample
from atpn.data.readers.issues import Report, raise_issue
from atpn.data.readers.label_samples import LabelOptions

Unit = Literal["faces", "images", "videos"]
RESEARCH = "research only"
UNSPLIT = "unsplit"
"""Split of samples whose split is given by a missing file."""


@dataclass(frozen=True)
class Dataset:
    """A supported dataset."""

    name: str
    what: str
    """Labels and images."""
    files: str
    """Files and folders by which it is recognized."""
    official: Mapping[str, int]
    """Published number of units per split; "all" for the whole dataset."""
    where: str
    """Project page, or the paper's title."""
    terms: str
    recognize: Callable[[Path], bool]
    reader: Callable[[Path, Report], Iterator[UnreadSample]]
    unit: Unit = "faces"

    def read(self, root: Path, report: Report = raise_issue) -> Iterator[UnreadSample]:
        """Yield its samples, always in the same order."""
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
        "https://wywu.github.io/projects/LAB/WFLW.html",
        "none stated that we know of; the photographs are WIDER FACE's",
        wflw.recognize,
        wflw.read,
    ),
    Dataset(
        "300w",
        "68 landmarks; photographs",
        "lfpw/, helen/, afw/, ibug/, 300W/01_Indoor/, 300W/02_Outdoor/ with .pts files",
        {"train": 3148, "test": 689, "private": 600},
        "https://ibug.doc.ic.ac.uk/resources/300-W/ and https://ibug.doc.ic.ac.uk/resources/facial-point-annotations/",
        RESEARCH,
        ibug300w.recognize,
        ibug300w.read,
    ),
    Dataset(
        "cofw",
        "29 landmarks (COFW68: 68), occlusion, box; photographs",
        "COFW_train_color.mat, COFW_test_color.mat, COFW68_Data/test_annotations/",
        {"train": 1345, "test": 507, "test68": 507},
        "https://data.caltech.edu/records/20099 and https://github.com/golnazghiasi/cofw68-benchmark",
        "see the page; COFW68: none stated that we know of",
        cofw.recognize,
        cofw.read,
    ),
    Dataset(
        "merl-rav",
        "68 landmarks, seen / covered / turned away; AFLW's photographs",
        "merl_rav_organized/ or merl_rav_labels/ (frontal/, left/, lefthalf/, right/, righthalf/)",
        {"train": 15449, "test": 3865},
        "https://github.com/abhi1kumar/MERL-RAV_dataset",
        f"{RESEARCH}; AFLW's images are given on request",
        merl_rav.recognize,
        merl_rav.read,
    ),
    Dataset(
        "300w-lp",
        "68 landmarks, head pose; 300W turned by a 3D model",
        "AFW/, HELEN/, IBUG/, LFPW/ and *_Flip/ with .mat files",
        {"all": 122450},
        "http://www.cbsr.ia.ac.cn/users/xiangyuzhu/projects/3DDFA/main.htm",
        RESEARCH,
        w300lp.recognize_300w_lp,
        w300lp.read_300w_lp,
    ),
    Dataset(
        "aflw2000-3d",
        "68 landmarks, head pose; photographs",
        "image00002.mat and so on",
        {"test": 1969},
        "http://www.cbsr.ia.ac.cn/users/xiangyuzhu/projects/3DDFA/main.htm",
        RESEARCH,
        w300lp.recognize_aflw2000,
        w300lp.read_aflw2000,
    ),
    Dataset(
        "biwi",
        "head pose, camera; frames of 24 recordings",
        "01/ to 24/ with rgb.cal and frame_*_pose.txt",
        {"all": 15678},
        "https://icu.ee.ethz.ch/research/datsets.html",
        RESEARCH,
        biwi.recognize,
        biwi.read,
    ),
    Dataset(
        "wider-face",
        "boxes of faces; photographs of crowds",
        "wider_face_split/, WIDER_train/, WIDER_val/",
        {"train": 12880, "val": 3226},
        "http://shuoyang1213.me/WIDERFACE/",
        RESEARCH,
        wider_face.recognize,
        wider_face.read,
        unit="images",
    ),
    Dataset(
        "300vw",
        "68 landmarks; videos",
        "001/ to 562/ with vid.avi and annot/",
        {"train": 50, "category1": 31, "category2": 19, "category3": 14},
        "https://ibug.doc.ic.ac.uk/resources/300-VW/",
        RESEARCH,
        w300vw.recognize,
        w300vw.read,
        unit="videos",
    ),
    Dataset(
        "celeba",
        "5 landmarks, identity, MAFL's lists; photographs",
        "Anno/list_landmarks_celeba.txt or list_landmarks_align_celeba.txt, Eval/, Img/, MAFL/",
        {"train": 162770, "val": 19867, "test": 19962},
        "http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html and https://github.com/zhzhanp/TCDCN-face-alignment (MAFL)",
        RESEARCH,
        celeba.recognize,
        celeba.read,
    ),
    Dataset(
        "london",
        "189 points drawn by hand; photographs, frontal",
        "neutral_front/ with .tem files beside the images",
        {"all": 102},
        "https://figshare.com/articles/dataset/Face_Research_Lab_London_Set/5047666",
        "Creative Commons Attribution 4.0",
        london.recognize,
        london.read,
    ),
    Dataset(
        "own",
        "your own: landmarks, boxes, pose; any images",
        "labels.json, labels.csv, or the files of COCO keypoints, LabelMe, or CVAT for images",
        {},
        "`python -m atpn datasets list own` describes the format",
        "yours",
        own.recognize,
        own.read,
    ),
)
DATASETS: Mapping[str, Dataset] = {dataset.name: dataset for dataset in _ALL}


@dataclass(frozen=True)
class DatasetFolder:
    """A dataset and its root folder."""

    dataset: Dataset
    root: Path
    options: LabelOptions = field(default_factory=LabelOptions)
    """Of own labels."""
    file: Path | None = None
    """The label file that was asked for, of own labels; None: those that are recognized."""

    def read(self, report: Report = raise_issue) -> Iterator[UnreadSample]:
        """Yield its samples, always in the same order."""
        if self.dataset.name == "own":
            return own.read(self.root, report, self.options, self.file)
        return self.dataset.read(self.root, report)


def find_datasets(path: Path, name: str | None = None, options: LabelOptions | None = None) -> list[DatasetFolder]:
    """Find datasets (or the one named) in a folder, else in its subfolders, else in its parent.

    The path may also be a file with own labels; `options` are for these. FileNotFoundError if there is no such path or
    no known dataset in it; ValueError for options of own labels where there are none.
    """
    options = options or LabelOptions()
    if name is not None and name not in DATASETS:
        raise ValueError(f"unknown dataset {name!r}; known: {', '.join(DATASETS)}")
    path = path.resolve()
    if path.is_file() and path.suffix.lower() in own.SUFFIXES and name in (None, "own"):
        return [DatasetFolder(DATASETS["own"], path.parent, options, path)]
    if not path.is_dir():
        raise FileNotFoundError(
            f"{path} is not a folder; give the one into which the dataset was unpacked, or a file of labels "
            f"({', '.join(own.SUFFIXES)})"
        )
    candidates = [DATASETS[name]] if name else list(_ALL)
    inside = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    for roots in ([path], inside, [path.parent]):
        found = [
            DatasetFolder(dataset, root, options if dataset.name == "own" else LabelOptions())
            for root in roots
            for dataset in candidates
            # Beside the folder, files of labeling tools belong to something else.
            if dataset.recognize(root) and (dataset.name != "own" or root != path.parent or own.has_own_names(root))
        ]
        if found and options != LabelOptions() and not any(folder.dataset.name == "own" for folder in found):
            given = ", ".join(f"--{key.replace('_', '-')}" for key, value in options.setup.items() if value is not None)
            raise ValueError(
                f"got {given}, for your own labels, but {found[0].root} holds {found[0].dataset.name}; leave it out"
            )
        if found:
            return found
    names = sorted(p.name + "/" * p.is_dir() for p in path.iterdir())
    contents = (
        f"{', '.join(names[:8])}{f' and {len(names) - 8} more' if len(names) > 8 else ''}" if names else "nothing"
    )
    known = "\n".join(f"  {dataset.name:12} by {dataset.files}" for dataset in candidates)
    raise FileNotFoundError(
        f"no known dataset in {path}, its subfolders or its parent: found {contents}; give a file of your own labels "
        f"itself ({', '.join(own.SUFFIXES)}), or a folder with one of\n{known}"
    )
