/** One-Euro filters for landmarks, rotations, expressions, and gaze: edge_runtime/smoothing.py. Times are in seconds. */

import { ensure } from "./errors.js";
import { MIN_TIME_STEP } from "./motion.js";
import { inverse, length, product, rotationOf, rotationVector, scaled } from "./rotation.js";

/** Cutoff of the speed estimate; the paper's constant. */
export const DERIVATIVE_CUTOFF_HZ = 1;

/** Hz of cutoff per ROI size per second. Raise it for less lag of moving landmarks. */
export const LANDMARK_SPEED_COEFFICIENT = 16;

/** Hz of cutoff per radian per second, of heads and of eyes. Raise it for less lag when they turn. */
export const POSE_SPEED_COEFFICIENT = 3;

/** Hz of cutoff per full range of a coefficient and second. Raise it for less lag of blinks. */
export const EXPRESSION_SPEED_COEFFICIENT = 4;

/** Return the cutoff of a still signal for a smoothing in (0, 1]: 8 Hz near 0, 2 Hz at 0.5, 0.5 Hz at 1. */
export function minCutoffHz(smoothing: number): number {
  ensure(smoothing > 0 && smoothing <= 1, `smoothing must lie in (0, 1] here, got ${smoothing}`);
  return 8 * 16 ** -smoothing;
}

/** Return the weight of the new value in a first-order low-pass filter after `dt` seconds. */
export function lowPassWeight(cutoffHz: number, dt: number): number {
  return cutoffHz / (cutoffHz + 1 / (2 * Math.PI * dt));
}

/** Return the fraction of a turn by `angle` radians that a low-pass of this weight makes; see the Python source. */
export function turnFraction(angle: number, weight: number): number {
  if (angle === 0) return weight;
  return Math.atan2(weight * Math.sin(angle), 1 - weight + weight * Math.cos(angle)) / angle;
}

/** Filter of points with one cutoff per point. Speeds are in ROI sizes per second. */
export class OneEuroPoints {
  private readonly minCutoff: number;
  private value: Float64Array | undefined;
  private velocity = new Float64Array(0);
  private time = 0;

  constructor(smoothing: number) {
    this.minCutoff = minCutoffHz(smoothing);
  }

  /** Smooth pixels x0, y0, x1 ... of a face whose ROI has `size` pixels. */
  smooth(points: Float64Array, timestamp: number, size: number): Float64Array {
    const before = this.value;
    const dt = Math.max(timestamp - this.time, MIN_TIME_STEP);
    this.time = timestamp;
    if (before === undefined) {
      this.velocity = new Float64Array(points.length);
      this.value = points;
      return points;
    }
    const weight = lowPassWeight(DERIVATIVE_CUTOFF_HZ, dt);
    const { velocity } = this;
    const after = new Float64Array(points.length);
    for (let i = 0; i < points.length; i += 2) {
      for (let j = i; j < i + 2; j++) velocity[j] += weight * ((points[j] - before[j]) / (dt * size) - velocity[j]);
      const speed = Math.hypot(velocity[i], velocity[i + 1]);
      const fraction = lowPassWeight(this.minCutoff + LANDMARK_SPEED_COEFFICIENT * speed, dt);
      for (let j = i; j < i + 2; j++) after[j] = before[j] + fraction * (points[j] - before[j]);
    }
    this.value = after;
    return after;
  }
}

/** Filter of numbers with one cutoff each. */
export class OneEuroNumbers {
  private readonly minCutoff: number;
  private value: Float64Array | undefined;
  private velocity = new Float64Array(0);
  private time = 0;

  /** `speedCoefficient`: Hz of cutoff per unit of speed. */
  constructor(
    smoothing: number,
    private readonly speedCoefficient: number,
  ) {
    this.minCutoff = minCutoffHz(smoothing);
  }

  smooth(numbers: Float64Array, timestamp: number): Float64Array {
    const before = this.value;
    const dt = Math.max(timestamp - this.time, MIN_TIME_STEP);
    this.time = timestamp;
    if (before === undefined) {
      this.velocity = new Float64Array(numbers.length);
      this.value = numbers;
      return numbers;
    }
    const weight = lowPassWeight(DERIVATIVE_CUTOFF_HZ, dt);
    const moved = numbers.map((value, i) => value - before[i]);
    this.velocity = this.velocity.map((value, i) => value + weight * (moved[i] / dt - value));
    this.value = before.map((value, i) => {
      const cutoff = this.minCutoff + this.speedCoefficient * Math.abs(this.velocity[i]);
      return value + lowPassWeight(cutoff, dt) * moved[i];
    });
    return this.value;
  }
}

/** Filter of rotation matrices, free of angle wrap-around and gimbal lock. */
export class OneEuroRotation {
  private readonly minCutoff: number;
  private value: Float64Array | undefined;
  private velocity = new Float64Array(3);
  private time = 0;

  constructor(smoothing: number) {
    this.minCutoff = minCutoffHz(smoothing);
  }

  /** Smooth a (3, 3) rotation. */
  smooth(rotation: Float64Array, timestamp: number): Float64Array {
    const before = this.value;
    const dt = Math.max(timestamp - this.time, MIN_TIME_STEP);
    this.time = timestamp;
    if (before === undefined) {
      this.value = rotation;
      return rotation;
    }
    // A vector: jitter cancels out, turning accumulates.
    const turn = rotationVector(product(rotation, inverse(before)));
    const weight = lowPassWeight(DERIVATIVE_CUTOFF_HZ, dt);
    this.velocity = this.velocity.map((value, i) => value + weight * (turn[i] / dt - value));
    const fraction = lowPassWeight(this.minCutoff + POSE_SPEED_COEFFICIENT * length(this.velocity), dt);
    this.value = product(rotationOf(scaled(turn, turnFraction(length(turn), fraction))), before);
    return this.value;
  }
}
