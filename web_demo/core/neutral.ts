/** Resting faces: what their expression coefficients read is subtracted: edge_runtime/neutral.py. */

import { ensure } from "./errors.js";
import { clamp } from "./numbers.js";

/** Maximum time for which a resting face is watched, seconds. */
export const MAX_CALIBRATION_SECONDS = 60;

/** Maximum that is subtracted of a coefficient, so that the rest of its range can still be reached. */
export const MAX_NEUTRAL = 0.8;

/** Coefficients of resting faces, each the median over the time of a calibration: a blink does not count. */
export class RestingFaces {
  private readonly neutral = new Map<number, Float64Array>();
  /** Length of the calibration; undefined if there is none. */
  private seconds: number | undefined;
  /** Time of its first frame with a face. */
  private start: number | undefined;
  private samples = new Map<number, Float64Array[]>();

  /** Whether a calibration is under way, or waits for a face. */
  get calibrating(): boolean {
    return this.seconds !== undefined;
  }

  /** Begin a calibration with the next frame that has a face. What was subtracted before stays until it ends. */
  begin(seconds: number): void {
    ensure(
      seconds > 0 && seconds <= MAX_CALIBRATION_SECONDS,
      `seconds must lie in (0, ${MAX_CALIBRATION_SECONDS}], got ${seconds}`,
    );
    this.seconds = seconds;
    this.start = undefined;
    this.samples = new Map();
  }

  /** Take the coefficients of one frame's faces, by their keys; `timestamp` in seconds. */
  watch(faces: ReadonlyMap<number, Float64Array>, timestamp: number): void {
    if (this.seconds === undefined) return;
    // Timestamps may decrease.
    if (faces.size > 0 && (this.start === undefined || timestamp < this.start)) this.start = timestamp;
    for (const [key, coefficients] of faces) this.samples.set(key, [...(this.samples.get(key) ?? []), coefficients]);
    if (this.start === undefined || timestamp - this.start < this.seconds) return;
    for (const [key, samples] of this.samples) {
      const medians = samples[0].map((_, i) => median(samples.map((each) => each[i])));
      this.neutral.set(
        key,
        medians.map((value) => clamp(value, 0, MAX_NEUTRAL)),
      );
    }
    this.seconds = undefined;
    this.samples = new Map();
  }

  /** Return coefficients that are 0 for this face at rest; unchanged if it was not calibrated. */
  subtract(key: number, coefficients: Float64Array): Float64Array {
    const neutral = this.neutral.get(key);
    if (neutral === undefined) return coefficients;
    return coefficients.map((value, i) => clamp((value - neutral[i]) / (1 - neutral[i]), 0, 1));
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
