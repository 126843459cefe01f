/** Motion model of one face's ROI: edge_runtime/motion.py, which explains the constants. */

import { Roi } from "./geometry.js";
import { clamp } from "./numbers.js";

/** Fraction of the estimated motion that is predicted. */
export const PREDICTION_GAIN = 0.7;

/** Weight of the newest velocity in the running mean. */
export const VELOCITY_EMA_WEIGHT = 0.6;

/** Maximum predicted displacement, in ROI sizes. */
export const MAX_STEP = 0.3;

/** Maximum time over which motion is predicted, in seconds. */
export const MAX_GAP_SECONDS = 0.25;

/** Minimum time between two frames that tells a velocity, in seconds; over a shorter one, jitter counts more than motion. */
export const MIN_TIME_STEP = 1e-3;

/** Position and velocity of one face's ROI. Times are in seconds. */
export class RoiMotion {
  private velocityX = 0;
  private velocityY = 0;

  constructor(
    private place: Roi,
    private time: number,
  ) {}

  /** The last observed ROI. */
  get roi(): Roi {
    return this.place;
  }

  /** Speed in ROI sizes a second. */
  get speed(): number {
    return Math.hypot(this.velocityX, this.velocityY) / this.place.size;
  }

  /** Add an observed ROI. The velocity is kept if `timestamp` increases by less than `MIN_TIME_STEP`. */
  update(roi: Roi, timestamp: number): void {
    const dt = timestamp - this.time;
    if (dt >= MIN_TIME_STEP) {
      this.velocityX += VELOCITY_EMA_WEIGHT * ((roi.cx - this.place.cx) / dt - this.velocityX);
      this.velocityY += VELOCITY_EMA_WEIGHT * ((roi.cy - this.place.cy) / dt - this.velocityY);
    }
    this.place = roi;
    this.time = timestamp;
  }

  /** Predict the ROI of the next frame. */
  predict(timestamp: number): Roi {
    return this.moved(timestamp, MAX_GAP_SECONDS, MAX_STEP * this.place.size);
  }

  /** Extrapolate the ROI of a lost face over at most `maxGap` seconds. */
  extrapolate(timestamp: number, maxGap: number): Roi {
    return this.moved(timestamp, maxGap, Infinity);
  }

  private moved(timestamp: number, maxGap: number, maxDistance: number): Roi {
    const dt = clamp(timestamp - this.time, 0, maxGap);
    const dx = PREDICTION_GAIN * this.velocityX * dt;
    const dy = PREDICTION_GAIN * this.velocityY * dt;
    const distance = Math.hypot(dx, dy);
    const fraction = distance > maxDistance ? maxDistance / distance : 1;
    return this.place.moved(fraction * dx, fraction * dy);
  }
}
