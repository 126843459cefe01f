"""Accuracy of expressions and gaze on renders, against a constant and a linear function of the landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from atpn.data.crops import NO_JITTER, random_crop
from atpn.data.store import SampleStore
from atpn.evaluate import metrics
from atpn.evaluate.inference import ExpressionPredictions, predict, predict_expressions
from atpn.model import ATPN
from edge_runtime.expressions import EXPRESSIONS
from edge_runtime.gaze import gaze_directions
from edge_runtime.geometry import rotation_2d, upright_roll

BASELINE_FACES = 4000
"""Maximum number of training faces that the linear read-out is fitted to; more change it little."""
_RIDGE = 0.01
"""Penalty of the read-out's weights, over the number of faces; landmarks vary by about 0.02."""
_OPEN = 0.5
"""Maximum blink coefficient of an eye whose gaze is measured: a closed one hides it."""
_BLINKS = [EXPRESSIONS.index(name) for name in ("eyeBlinkLeft", "eyeBlinkRight")]
_PUPILS = {"wflw98": (97, 96)}
"""Landmarks of the subject's left and right pupil."""


@dataclass(frozen=True)
class ExpressionCrops:
    """Upright crops of n faces with labels."""

    images: np.ndarray
    """(n, S, S, 3) uint8 RGB."""
    expressions: np.ndarray
    """(n, 52) coefficients."""
    gaze: np.ndarray
    """(n, 2, 2) in the crop's frame."""
    yaw: np.ndarray
    """(n,) of the head, radians, in the crop's frame; NaN where unknown."""
    seen: np.ndarray
    """(n, 2) bool: the subject's left and right eye is open and its pupil is not hidden."""


def labeled_faces(store: SampleStore) -> np.ndarray:
    """Return the indices of the faces whose landmarks, expressions, and gaze are known."""
    known = ~np.isnan(store.expressions).any(axis=1) & ~np.isnan(store.gaze).any(axis=(1, 2))
    return store.faces[known[store.faces]]


def expression_crops(store: SampleStore, faces: np.ndarray, mean_shape: np.ndarray, crop_size: int) -> ExpressionCrops:
    """Crop labeled faces by the crop rule: upright, no jitter, no augmentation."""
    rng = np.random.default_rng(0)
    crops = [random_crop(store[int(index)], mean_shape, crop_size, NO_JITTER, rng) for index in faces]
    expressions = store.expressions[faces]
    seen = expressions[:, _BLINKS] <= _OPEN
    if store.scheme.name in _PUPILS:
        seen &= store.visibility[faces][:, _PUPILS[store.scheme.name]]
    return ExpressionCrops(
        images=np.stack([crop.image for crop in crops]),
        expressions=expressions,
        gaze=np.stack([crop.gaze for crop in crops]),
        yaw=np.array([crop.pose[1] for crop in crops]),
        seen=seen,
    )


def gaze_errors(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the (...) angles in degrees between gazes, (..., 2) yaw and pitch in radians."""
    cosines = (gaze_directions(predicted) * gaze_directions(target)).sum(axis=-1)
    return np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))


def summarize(predicted: ExpressionPredictions, truth: ExpressionCrops) -> dict[str, float]:
    """Return mean absolute error and correlation, averaged over the coefficients that vary, and the gaze error."""
    moving = np.flatnonzero(truth.expressions.std(axis=0) > 0)
    gaze = gaze_errors(predicted.gaze, truth.gaze)[truth.seen]
    return {
        "mae": float(np.abs(predicted.expressions - truth.expressions)[:, moving].mean()) if len(moving) else 0.0,
        "correlation": float(np.mean(_correlations(predicted.expressions, truth.expressions)[moving])),
        "gaze_degrees": float(gaze.mean()) if len(gaze) else float("nan"),
    }


@dataclass(frozen=True)
class LinearReadout:
    """Baselines: a ridge regression of the network's landmarks, and the training set's medians."""

    weights: np.ndarray
    """(2 N, 52 + 4)."""
    landmarks_mean: np.ndarray
    """(2 N,)."""
    target_mean: np.ndarray
    """(52 + 4,)."""
    target_median: np.ndarray
    """(52 + 4,): no constant has a smaller absolute error. Of most coefficients it is 0."""
    mean_shape: np.ndarray

    @staticmethod
    def fit(landmarks: np.ndarray, truth: ExpressionCrops, mean_shape: np.ndarray) -> LinearReadout:
        """Fit to (n, N, 2) predicted landmarks in crop coordinates."""
        inputs = _canonical(landmarks, mean_shape)
        target = np.hstack([truth.expressions, truth.gaze.reshape(len(inputs), -1)]).astype(np.float64)
        center, mean = inputs.mean(axis=0), target.mean(axis=0)
        centered = inputs - center
        scale = centered.std()
        gram = centered.T @ centered + _RIDGE * scale**2 * len(inputs) * np.eye(inputs.shape[1])
        weights = np.linalg.solve(gram, centered.T @ (target - mean))
        return LinearReadout(weights, center, mean, np.median(target, axis=0), mean_shape)

    def predict(self, landmarks: np.ndarray) -> ExpressionPredictions:
        """Return what the linear function gives for (n, N, 2) landmarks in crop coordinates."""
        values = (_canonical(landmarks, self.mean_shape) - self.landmarks_mean) @ self.weights + self.target_mean
        return self._split(values)

    def constant(self, count: int) -> ExpressionPredictions:
        """Return the training set's medians for each of `count` faces."""
        return self._split(np.tile(self.target_median, (count, 1)))

    def _split(self, values: np.ndarray) -> ExpressionPredictions:
        expressions, gaze = np.split(values, [len(EXPRESSIONS)], axis=1)
        return ExpressionPredictions(expressions.clip(0.0, 1.0), gaze.reshape(-1, 2, 2))


def fit_readout(model: ATPN, store: SampleStore) -> LinearReadout:
    """Fit the linear baseline to the network's landmarks on training faces; ValueError if they lack expressions."""
    faces = labeled_faces(store)[:BASELINE_FACES]
    if len(faces) == 0:
        raise ValueError("the baseline's renders have no expressions; make them with this version's `atpn render`")
    mean_shape = model.mean_shape.cpu().numpy()
    truth = expression_crops(store, faces, mean_shape, model.config.input_size)
    return LinearReadout.fit(predict(model, truth.images).landmarks, truth, mean_shape)


def expression_report(
    model: ATPN, store: SampleStore, limit: int, readout: LinearReadout | None = None
) -> dict[str, Any]:
    """Evaluate the first `limit` renders with expressions, beside the baselines if given; upright crops by the rule."""
    faces = labeled_faces(store)[:limit]
    truth = expression_crops(store, faces, model.mean_shape.cpu().numpy(), model.config.input_size)
    rows = {"network": predict_expressions(model, truth.images)}
    if readout is not None:
        rows["linear"] = readout.predict(predict(model, truth.images).landmarks)
        rows["constant"] = readout.constant(len(faces))
    report: dict[str, Any] = {"faces": len(faces), "seen_eyes": int(truth.seen.sum())}
    for name, predicted in rows.items():
        yaw = np.repeat(truth.yaw[:, None], 2, axis=1)[truth.seen]
        errors = gaze_errors(predicted.gaze, truth.gaze)[truth.seen]
        difference = np.abs(predicted.expressions - truth.expressions).mean(axis=0)
        correlation = _correlations(predicted.expressions, truth.expressions)
        values = zip(EXPRESSIONS, difference.tolist(), correlation.tolist(), strict=True)
        report[name] = {
            **summarize(predicted, truth),
            "gaze_degrees_by_yaw": metrics.per_yaw_bin(errors, yaw),
            "coefficients": {
                key: {"mae": error} | ({"correlation": agreement} if np.isfinite(agreement) else {})
                for key, error, agreement in values
            },
        }
    return report


def expression_table(report: dict[str, Any]) -> str:
    """Format an `expression_report` as aligned lines: error and correlation of the network and of each baseline."""
    rows = [name for name in ("network", "linear", "constant") if name in report]
    lines = [f"expressions: {report['faces']} faces, gaze of {report['seen_eyes']} open eyes"]
    for name in rows:
        row = report[name]
        lines.append(
            f"  {name:10} MAE {row['mae']:.4f}  correlation {row['correlation']:.3f}  gaze {row['gaze_degrees']:.2f}°  "
            + "  ".join(f"|yaw| {yaw}: {bin['mean']:.2f}°" for yaw, bin in row["gaze_degrees_by_yaw"].items())
        )
    lines.append(f"  {'':20} MAE: " + "  ".join(f"{name:>8}" for name in rows) + "   correlation: the same")
    for key in EXPRESSIONS:
        values = [report[name]["coefficients"][key] for name in rows]
        errors = "  ".join(f"{value['mae']:8.4f}" for value in values)
        agreement = "  ".join(f"{value.get('correlation', 0.0):6.3f}" for value in values)
        lines.append(f"  {key:20}      {errors}   {agreement}")
    return "\n".join(lines)


def _canonical(landmarks: np.ndarray, mean_shape: np.ndarray) -> np.ndarray:
    """Return (n, 2 N) landmarks moved, turned, and scaled onto the mean shape."""
    goal = mean_shape - mean_shape.mean(axis=0)
    size = np.sqrt((goal**2).sum())
    aligned = []
    for points in landmarks:
        centered = points - points.mean(axis=0)
        turned = centered @ rotation_2d(-upright_roll(points, mean_shape)).T
        aligned.append((turned * (size / np.sqrt((turned**2).sum()))).ravel())
    return np.stack(aligned).astype(np.float64)


def _correlations(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the (C,) correlations of (n, C) values: 0 where the prediction does not vary, NaN where the target."""
    p, t = predicted - predicted.mean(axis=0), target - target.mean(axis=0)
    product, spread = (p * t).sum(axis=0), np.sqrt((p**2).sum(axis=0) * (t**2).sum(axis=0))
    varies = (t**2).sum(axis=0) > 0
    return np.where(varies, product / np.where(spread > 1e-9, spread, np.inf), np.nan)
