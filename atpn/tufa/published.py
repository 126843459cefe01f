"""Published results of TUFA (thesis, chapter 6). Errors and rates in percent, AUC as a fraction."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from atpn.evaluate.protocols.published import FULL, Published

WFLW = Published(
    "TUFA, ViT-S/8",
    "thesis, tables 6.1 and 6.2",
    MappingProxyType(
        {
            subset: {"nme": nme, "failure_rate_10": rate, "auc_10": auc}
            for subset, nme, rate, auc in (
                (FULL, 3.93, 1.52, 0.610),
                ("pose", 6.48, 7.36, 0.371),
                ("expression", 4.11, 1.27, 0.592),
                ("illumination", 3.82, 0.86, 0.620),
                ("make-up", 3.81, 1.46, 0.622),
                ("occlusion", 4.68, 2.99, 0.540),
                ("blur", 4.53, 2.33, 0.553),
            )
        }
    ),
)
"""Trained on all four datasets."""
FEW_SHOT: Mapping[str, float] = MappingProxyType(
    {"1": 7.62, "10": 5.20, "20": 4.90, "50": 4.77, "5%": 4.43, "20%": 4.28, "100%": 3.99}
)
"""Table 6.9: NME on WFLW over the eye distance, by the part of its training faces that are used."""
ZERO_SHOT = 5.90
"""Table 6.11: NME on WFLW of a network trained on MERL-RAV alone."""
