"""`python -m export models`: make the model files that the runtime ships."""

from __future__ import annotations

import logging

from edge_runtime import models
from edge_runtime.files import write_atomically
from export.config import DetectorConfig, ExportConfig, ModelsConfig
from export.detector import export_detector
from export.landmarks import export_landmarks

log = logging.getLogger(__name__)


def write_models(config: ModelsConfig) -> None:
    """Export the shipped weights and copy the runtime's files into its package once all have passed their checks.

    Raises:
        ParityError: A file exceeds a tolerance. The package keeps the files that it had.
    """
    export_landmarks(ExportConfig(out=config.out, force=config.force, precision=("fp16", "int8")), ["tflite"])
    export_detector(DetectorConfig(out=config.out, force=config.force, files=("tflite-fp32",)))
    for name in (*models.landmark_models(), models.DETECTOR_MODEL):
        target = models.FOLDER / f"{name}.tflite"
        write_atomically(target, (config.out / target.name).read_bytes())
        log.info("%s written", target)
