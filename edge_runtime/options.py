"""Options of the tracker."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_runtime.backends import Backend, EngineName
from edge_runtime.detector import Detector
from edge_runtime.errors import is_finite, is_whole, require
from edge_runtime.geometry import Camera, FieldOfView
from edge_runtime.template import Template


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackerOptions:
    """Options of a `FaceTracker`. ValueError names an invalid value."""

    model: Path | str | Backend | None = None
    """.tflite or .onnx file, the name of a shipped network (`models.NETWORKS`), or a loaded backend; None: the shipped
    file that suits this processor."""
    engine: EngineName = "auto"
    """Inference engine; `auto` takes the best one installed for the file's format."""
    threads: int | None = None
    """Threads of the inference engine; None: what suits the shipped file here, else one. The network is small: further
    threads gain little and take cores from the program around it."""
    detector: Detector | str | None = None
    """Face detector, or its name for `open_detector`; None: the shipped one."""
    template: Template | None = None
    """Points to find besides the landmarks, for a model with query points. A model exported for one template has it."""
    camera: Camera = field(default_factory=FieldOfView)
    """Camera, for pose and direction: `FieldOfView`, a `Calibration`, or `Intrinsics` of one frame size. The default
    of 60 degrees is typical of webcams and phones."""
    max_faces: int = 1
    """Maximum number of tracked faces. Each costs one run of the network per frame, so the default is one."""
    smoothing: float = 0.5
    """In [0, 1]. Raise it for less jitter and more lag; 0 returns the network's results. 0.5 halves a still face's
    jitter at a lag that is hardly visible."""
    track_threshold: float | None = None
    """Minimum confidence of a face, in (0, 1); None: the model's, usually 0.7. Raise it for fewer false faces. The mean
    over a new face's first frames must be a third of the way from it to 1."""
    lost_threshold: float | None = None
    """Confidence below which a tracked face is lost at once; None: the model's. Between the two thresholds it is lost
    after `max_low_confidence_frames`, so that a short occlusion does not end a track."""
    uncertainty_threshold: float | None = None
    """Maximum mean standard deviation of a new face's landmarks, crop widths; None: the model's. The mean over its
    first frames must be 10 % lower."""
    max_low_confidence_frames: int = 5
    """Consecutive frames below `track_threshold`, or above the uncertainty's, after which a face is lost. Raise it to
    bridge longer occlusions. 5 are a sixth of a second, a passing hand."""
    detection_interval: int = 5
    """Minimum number of frames between two searches while no face is tracked or one was lost recently. Raise it for
    less load, lower it to find faces sooner. A search costs about two tracked frames."""
    detection_interval_tracked: int = 15
    """The same while faces are tracked and `max_faces` is not reached: half a second until a further face is found."""
    reid_seconds: float = 2.0
    """Time within which a face that appears where another was lost, or at the border by which it left, takes its id.
    Position decides, not appearance: raise it to keep ids through longer occlusions; 0 gives every newly found face a
    new id."""

    def __post_init__(self) -> None:
        self._check_types()
        counts = "threads", "max_faces", "max_low_confidence_frames", "detection_interval", "detection_interval_tracked"
        for name in counts:
            value = getattr(self, name)
            valid = (is_whole(value) and value >= 1) or (name == "threads" and value is None)
            require(valid, f"{name} must be a whole number from 1, got {value!r}")
        require(_is_number(self.smoothing, 0, 1), f"smoothing must lie in [0, 1], got {self.smoothing!r}")
        seconds = self.reid_seconds
        require(_is_number(seconds, 0, math.inf), f"reid_seconds must be 0 or more, got {seconds!r}")
        for name in ("track_threshold", "lost_threshold"):
            value = getattr(self, name)
            valid = value is None or (_is_number(value, 0, 1) and 0 < value < 1)
            require(valid, f"{name} must lie in (0, 1), got {value!r}")
        track, lost = self.track_threshold, self.lost_threshold
        require(
            track is None or lost is None or lost <= track,
            f"lost_threshold must not exceed track_threshold, got {lost!r} and {track!r}",
        )
        limit = self.uncertainty_threshold
        require(
            limit is None or (_is_number(limit, 0, math.inf) and limit > 0),
            f"uncertainty_threshold must be positive, got {limit!r}",
        )

    def _check_types(self) -> None:
        # Callers without a type checker pass anything.
        given: dict[str, Any] = vars(self)
        model, detector, template = (given[name] for name in ("model", "detector", "template"))
        loaded = model is None or isinstance(model, str | Path) or hasattr(model, "run")
        require(loaded, f"model must be a file or a loaded backend, got {model!r}")
        finds = detector is None or isinstance(detector, str) or hasattr(detector, "detect")
        require(finds, f"detector must be a name or have a method `detect`, got {detector!r}")
        require(
            template is None or isinstance(template, Template),
            f"template must be a Template, got {template!r}: use Template.read(path)",
        )
        require(
            hasattr(self.camera, "at"), f"camera must be a FieldOfView, Calibration, or Intrinsics, got {self.camera!r}"
        )


def _is_number(value: Any, low: float, high: float) -> bool:
    return is_finite(value) and low <= value <= high
