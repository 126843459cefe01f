"""Published results of the thesis. Errors and rates in percent, angles in degrees, AUC as a fraction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

FULL = "full"
"""Row of a whole split."""


@dataclass(frozen=True)
class Published:
    """A method's row of a published table."""

    method: str
    where: str
    rows: Mapping[str, Mapping[str, float]]
    """Results by subset and metric, under our reports' names."""


def _rows(figures: tuple[str, ...], **rows: tuple[float, ...]) -> Mapping[str, Mapping[str, float]]:
    return MappingProxyType({name: dict(zip(figures, row, strict=False)) for name, row in rows.items()})


_NME = ("nme", "failure_rate_10", "auc_10")
WFLW = Published(
    "ATPN",
    "thesis, table 3.1",
    _rows(
        _NME,
        **{
            FULL: (5.13, 6.27, 0.557),
            "pose": (8.97, 26.99, 0.337),
            "expression": (5.49, 6.05, 0.528),
            "illumination": (4.95, 4.72, 0.568),
            "make-up": (4.94, 7.28, 0.565),
            "occlusion": (6.30, 12.22, 0.495),
            "blur": (5.78, 7.89, 0.516),
        },
    ),
)
W300 = Published(
    "TUFA, ViT-S/8",
    "thesis, table 6.3; ATPN was not measured on 300W",
    _rows(_NME, common=(2.59,), challenging=(4.45,), **{FULL: (2.95,)}),
)
W300_PRIVATE = Published(
    "TUFA, ViT-S/8",
    "thesis, table 6.8; ATPN was not measured on it",
    _rows(
        ("nme", "failure_rate_8", "auc_8"),
        **{FULL: (3.41, 0.17, 0.574), "indoor": (3.40, 0.00, 0.575), "outdoor": (3.42, 0.33, 0.573)},
    ),
)
MASKED_300W = Published(
    "TUFA, ViT-S/8",
    "thesis, table 6.7; on the published images there, on blocks of our own here",
    _rows(_NME, common=(4.98,), challenging=(8.08,), **{FULL: (5.58,)}),
)
COFW68 = Published(
    "TUFA, ViT-S/8",
    "thesis, table 6.6; without the rows by occlusion",
    _rows(_NME, **{FULL: (3.70, 0.00), "unoccluded": (), "externally occluded": ()}),
)
COFW = Published(
    "TUFA, ViT-S/8",
    "thesis, table 6.4; ATPN was not measured on COFW",
    _rows(_NME, **{FULL: (3.07, 0.20)}),
)
MERL_RAV = Published(
    "TUFA, ViT-S/8",
    "thesis, table 6.5; over the annotated box there, over the labels' rectangle here",
    _rows(
        ("nme_box", "auc_box_7"),
        **{
            FULL: (1.54, 0.780),
            "frontal": (1.65, 0.765),
            "half-profile": (1.71, 0.755),
            "profile": (1.22, 0.826),
            "unoccluded": (1.56, 0.782),
            "externally occluded": (3.21, 0.570),
        },
    ),
)
POSE = Published(
    "ATPN",
    "thesis, table 3.6",
    _rows(
        ("yaw", "pitch", "roll", "mae", "failure_rate_10"),
        common=(1.31, 2.38, 0.97, 1.55, 0.12),
        challenging=(2.62, 3.97, 1.93, 2.84, 1.49),
    ),
)
WIDER_FACE = Published("ATPN", "thesis, figure 3.6", _rows(("average_precision",), **{FULL: (98.82,)}))
W300VW = Published(
    "ATPN",
    "thesis, tables 3.3 and 3.4",
    _rows(
        (
            *("tracking_nme", "tracking_nme_pupils", "detection_nme", "detection_nme_pupils"),
            *("sequences", "detection_frames", "tracking_frames", "failures", "failure_rate"),
        ),
        category1=(3.52, 4.83, 3.49, 4.79, 146, 233, 61902, 87, 0.14),
        category2=(3.64, 5.04, 3.57, 4.95, 39, 39, 32766, 0, 0.00),
        category3=(4.99, 7.75, 4.89, 7.61, 188, 210, 26128, 22, 0.08),
    ),
)
LONDON = Published("outlines drawn by hand", "DeBruine and Jones, 2017; no published results", _rows(()))
