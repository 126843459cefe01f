/** State of one tracked face. */

import type { RoiMotion } from "./motion.js";
import type { Observation } from "./observation.js";
import { Evidence } from "./probation.js";
import {
  EXPRESSION_SPEED_COEFFICIENT,
  OneEuroNumbers,
  OneEuroPoints,
  OneEuroRotation,
  POSE_SPEED_COEFFICIENT,
} from "./smoothing.js";

/** Smoothing filters of one face. */
export class Filters {
  private readonly landmarks: OneEuroPoints;
  private readonly points: OneEuroPoints;
  private readonly rotation: OneEuroRotation;
  private readonly expressions: OneEuroNumbers;
  private readonly gaze: OneEuroNumbers;

  constructor(smoothing: number) {
    this.landmarks = new OneEuroPoints(smoothing);
    this.points = new OneEuroPoints(smoothing);
    this.rotation = new OneEuroRotation(smoothing);
    this.expressions = new OneEuroNumbers(smoothing, EXPRESSION_SPEED_COEFFICIENT);
    this.gaze = new OneEuroNumbers(smoothing, POSE_SPEED_COEFFICIENT);
  }

  /** Return what was observed, smoothed. */
  smooth(seen: Observation, timestamp: number): Observation {
    const { points, expressions, gaze } = seen;
    return {
      ...seen,
      landmarks: this.landmarks.smooth(seen.landmarks, timestamp, seen.roi.size),
      rotation: this.rotation.smooth(seen.rotation, timestamp),
      points: points && this.points.smooth(points, timestamp, seen.roi.size),
      expressions: expressions && this.expressions.smooth(expressions, timestamp),
      gaze: gaze && this.gaze.smooth(gaze, timestamp),
    };
  }
}

/** One tracked face. */
export class Track {
  age = 0;
  /** Consecutive frames below the tracking threshold or above the uncertainty threshold. */
  lowConfidenceCount = 0;
  /** Decaying peak distance from the predicted position, ROI sizes. */
  motionResidual = 0;
  readonly evidence: Evidence;

  constructor(
    readonly id: number,
    public observation: Observation,
    readonly motion: RoiMotion,
    public filters: Filters | undefined,
  ) {
    this.evidence = new Evidence(observation.confidence, observation.meanSigma);
  }
}
