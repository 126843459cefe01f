"""`python -m atpn slpt evaluate`: metrics on held-out renders, AFW, and published protocols, and stage by stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from atpn.data.afw import read_afw
from atpn.data.store import SampleStore
from atpn.evaluate import metrics
from atpn.evaluate.backend import CheckpointBackend
from atpn.evaluate.command import (
    EvaluationOptions,
    LandmarkProtocol,
    evaluate_network,
    prepare_evaluation,
    write_report,
)
from atpn.evaluate.crops import validation_batch
from atpn.evaluate.passes import extract_crops, run_passes
from atpn.model import load_network
from atpn.model.checkpoint import weights_sha256
from atpn.model.decoder_layer import fast_attention
from atpn.slpt.config import NetworkName
from atpn.slpt.network import SLPT
from atpn.slpt.published import FULL_NME, published_results
from edge_runtime.geometry import ROI
from edge_runtime.landmarks import IBUG_68, LandmarkScheme, convert
from edge_runtime.output_paths import OutputFolder

MAX_YAW = np.radians(60)
"""Maximum yaw in radians of the stages' errors on renders: in profile the eye distance vanishes."""


@dataclass(frozen=True)
class EvaluateSLPTConfig(EvaluationOptions):
    """Evaluate SLPT or DSLPT. Give --data, --afw, or --protocol."""

    protocol: LandmarkProtocol | None = None
    """Published evaluation protocol of landmarks; prints the published results beside ours."""
    plots: OutputFolder | None = None
    """Folder for charts: cumulative errors of landmarks, and of DSLPT predicted against actual error."""


def evaluate(config: EvaluateSLPTConfig) -> dict[str, Any]:
    """Return the report, print it and (with `out`) write it.

    Besides what `python -m atpn evaluate` measures of landmarks and uncertainty, `stages` of renders and AFW have
    the NME over the eye distance after each stage, and the mean side of its patches in crop widths.
    """
    detector = prepare_evaluation(config)
    model, description = load_network(config.weights, SLPT)
    network = CheckpointBackend(model, with_heads=False)
    digest = weights_sha256(config.weights, SLPT)
    report = evaluate_network(network, config, digest, description, detector, heads=False)
    if "rendered" in report:
        report["rendered"]["stages"] = _rendered_stages(model, SampleStore.read(config.data), config.limit)
    if "afw" in report:
        report["afw"]["stages"] = _afw_stages(model, network, config)
    kind: NetworkName = "dslpt" if model.config.uncertainty else "slpt"
    protocol = config.protocol
    write_report(config, report, None if protocol is None else published_results(protocol, kind, model.config.backbone))
    if (protocol, kind) in FULL_NME:
        backbones = ", ".join(f"{name} {nme:.2f}" for name, nme in FULL_NME[protocol, kind].items())
        print(f"published NME of all faces by backbone: {backbones}")
    for name in ("rendered", "afw"):
        for number, row in enumerate(report.get(name, {}).get("stages", ()), start=1):
            nme, side = (f"{100 * row[key]:.2f} %" for key in ("nme", "side"))
            print(f"  {name} stage {number}: NME {nme}, sides of patches {side} of the crop")
    return report


def _rendered_stages(model: SLPT, store: SampleStore, limit: int) -> list[dict[str, float]]:
    batch = validation_batch(store, store.faces[:limit], model.mean_shape.numpy(), model.config.input_size)
    facing = ~(batch["pose"][:, 1].abs() > MAX_YAW).numpy()
    return stage_report(model, batch["image"].numpy()[facing], batch["landmarks"].numpy()[facing], store.scheme)


def _afw_stages(model: SLPT, network: CheckpointBackend, config: EvaluateSLPTConfig) -> list[dict[str, float]]:
    faces = [(photo.image, face) for photo in read_afw(config.afw) for face in photo.faces]
    images, labels = [image for image, _ in faces], [face for _, face in faces]
    rois = run_passes(network, images, [ROI.from_landmarks(face) for face in labels], IBUG_68)["upright"].rois
    target = np.stack([roi.to_crop(face) for roi, face in zip(rois, labels, strict=True)])
    return stage_report(model, extract_crops(images, rois, model.config.input_size), target, IBUG_68)


@torch.no_grad()
def stage_report(
    model: SLPT, crops: np.ndarray, target: np.ndarray, scheme: LandmarkScheme, batch_size: int = 64
) -> list[dict[str, float]]:
    """Return `nme` over the eye distance and mean `side` of the patches, stage by stage.

    Args:
        model: In inference mode.
        crops: (n, S, S, 3) uint8 RGB.
        target: (n, M, 2) labels in [0, 1] of the crop.
        scheme: The labels', to which the network's landmarks are converted.
        batch_size: Crops at a time.
    """
    found: list[list[np.ndarray]] = [[] for _ in range(model.config.stages)]
    sides: list[list[np.ndarray]] = [[] for _ in range(model.config.stages)]
    with fast_attention(torch.device("cpu")):
        for start in range(0, len(crops), batch_size):
            image = torch.from_numpy(crops[start : start + batch_size]).permute(0, 3, 1, 2).float()
            for number, stage in enumerate(model.stages(image)):
                found[number].append(convert(stage.landmarks[-1].numpy(), model.config.scheme, scheme))
                sides[number].append(stage.side.flatten().numpy())
    size = scheme.inter_ocular(target)
    return [
        {
            "nme": float(metrics.point_errors(np.concatenate(points), target, size).mean()),
            "side": float(np.concatenate(side).mean()),
        }
        for points, side in zip(found, sides, strict=True)
    ]
