/** State of one tracked face. */

import type { RoiMotion } from "./motion.js";
import type { Observation } from "./observation.js";
import { Evidence } from "./probation.js";
import { OneEuroPoints, OneEuroRotation } from "./smoothing.js";

/** Smoothing filters of one face. */
export class Filters {
  readonly landmarks: OneEuroPoints;
  readonly points: OneEuroPoints;
  readonly rotation: OneEuroRotation;

  constructor(smoothing: number) {
    this.landmarks = new OneEuroPoints(smoothing);
    this.points = new OneEuroPoints(smoothing);
    this.rotation = new OneEuroRotation(smoothing);
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
