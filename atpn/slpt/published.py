"""Published results of SLPT and DSLPT with ResNets. Errors and rates in percent, AUC as a fraction."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from atpn.evaluate.protocols.published import FULL, Published
from atpn.slpt.config import Backbone, NetworkName

_WFLW = (FULL, "pose", "expression", "illumination", "make-up", "occlusion", "blur")
_NME = ("nme", "failure_rate_10", "auc_10")


def _wflw(nme: tuple[float, ...], rate: tuple[float, ...], auc: tuple[float, ...]) -> Mapping[str, Mapping[str, float]]:
    columns = zip(_WFLW, nme, rate, auc, strict=True)
    return {subset: dict(zip(_NME, values, strict=True)) for subset, *values in columns}


def _w300(common: float, challenging: float, full: float) -> Mapping[str, Mapping[str, float]]:
    return {"common": {"nme": common}, "challenging": {"nme": challenging}, FULL: {"nme": full}}


def _cofw(nme: float, rate: float) -> Mapping[str, Mapping[str, float]]:
    return {FULL: {"nme": nme, "failure_rate_10": rate}}


def _merl_rav(full: float, frontal: float) -> Mapping[str, Mapping[str, float]]:
    return {FULL: {"nme_box": full}, "frontal": {"nme_box": frontal}}


_SLPT_34, _DSLPT_34, _DSLPT_50 = "SLPT, ResNet-34", "DSLPT, ResNet-34", "DSLPT, ResNet-50"
_ROWS: Mapping[str, Mapping[str, tuple[str, Mapping[str, Mapping[str, float]]]]] = {
    _SLPT_34: {
        "wflw": (
            "table 4.1",
            _wflw(
                (4.20, 7.18, 4.52, 4.07, 4.17, 5.01, 4.85),
                (3.04, 15.95, 2.86, 1.86, 3.40, 6.25, 4.01),
                (0.588, 0.327, 0.563, 0.596, 0.595, 0.514, 0.528),
            ),
        ),
        "300w": ("table 4.2", _w300(2.78, 4.93, 3.20)),
        "cofw": ("table 4.3", _cofw(3.36, 0.59)),
    },
    _DSLPT_34: {
        "wflw": (
            "tables 5.1 and 5.2",
            _wflw(
                (4.14, 7.13, 4.40, 4.12, 3.98, 5.05, 4.81),
                (2.72, 13.80, 1.91, 2.87, 2.43, 5.57, 3.62),
                (0.597, 0.336, 0.569, 0.600, 0.614, 0.519, 0.538),
            ),
        ),
        "300w": ("table 5.3", _w300(2.62, 4.73, 3.04)),
        "cofw": ("table 5.4", _cofw(3.34, 0.39)),
        "merl-rav": ("table 5.10", _merl_rav(1.52, 1.63)),
    },
    _DSLPT_50: {
        "wflw": (
            "tables 5.1 and 5.2",
            _wflw(
                (4.11, 7.17, 4.44, 4.06, 3.96, 4.96, 4.78),
                (3.08, 16.26, 3.18, 2.29, 2.43, 5.84, 4.27),
                (0.599, 0.336, 0.573, 0.605, 0.609, 0.524, 0.540),
            ),
        ),
        "300w": ("table 5.3", _w300(2.58, 4.81, 3.02)),
        "cofw": ("table 5.4", _cofw(3.34, 0.00)),
        "merl-rav": ("table 5.10", _merl_rav(1.50, 1.62)),
    },
}
_METHODS: Mapping[tuple[NetworkName, Backbone], str] = MappingProxyType(
    {("slpt", "resnet34"): _SLPT_34, ("dslpt", "resnet34"): _DSLPT_34, ("dslpt", "resnet50"): _DSLPT_50}
)


def published_results(protocol: str, network: NetworkName, backbone: Backbone) -> Published | None:
    """Return the method's results, or those with ResNet-34 where this backbone has none; None without any."""
    method = _METHODS.get((network, backbone), _METHODS[network, "resnet34"])
    if protocol not in _ROWS[method]:
        return None
    where, rows = _ROWS[method][protocol]
    return Published(method, f"thesis, {where}", rows)


_34, _50, _LITE, _HR = "ResNet-34", "ResNet-50", "HRNetW18C-lite", "HRNetW18C"
FULL_NME: Mapping[tuple[str, NetworkName], Mapping[str, float]] = MappingProxyType(
    {
        ("wflw", "slpt"): {_34: 4.20, _LITE: 4.14},
        ("wflw", "dslpt"): {_34: 4.14, _50: 4.11, _LITE: 4.02, _HR: 4.01},
        ("300w", "slpt"): {_34: 3.20, _LITE: 3.17},
        ("300w", "dslpt"): {_34: 3.04, _50: 3.02, _LITE: 3.00, _HR: 2.98},
        ("cofw", "slpt"): {_34: 3.36, _LITE: 3.32},
        ("cofw", "dslpt"): {_34: 3.34, _50: 3.34, _LITE: 3.31, _HR: 3.33},
        ("merl-rav", "dslpt"): {_34: 1.52, _50: 1.50, _LITE: 1.48, _HR: 1.48},
    }
)
"""Published NME of the whole split by protocol, network, and backbone."""
