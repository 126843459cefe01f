/** Whether a track is a face: edge_runtime/probation.py, which states the rules and explains the constants. */

import type { Roi } from "./geometry.js";

/** Number of frames of a track's probation, and of the running means. */
export const PROBATION_FRAMES = 10;

/** Number of frames from which the means decide. */
export const MIN_EVIDENCE_FRAMES = 3;

/** Mean confidence below which a track is in doubt, as a fraction of the way from the tracking threshold to 1. */
export const DOUBT_CONFIDENCE_MARGIN = 1 / 3;

/** Mean uncertainty above which a track is in doubt, relative to a new face's threshold. */
export const DOUBT_UNCERTAINTY_FACTOR = 0.83;

/** The same as `DOUBT_CONFIDENCE_MARGIN` for the one crop of a sure face. */
export const SURE_CONFIDENCE_MARGIN = 5 / 6;

/** The same as `DOUBT_UNCERTAINTY_FACTOR` for a sure face. */
export const SURE_UNCERTAINTY_FACTOR = 0.8;

/** Time for which a place is rejected. */
export const REJECTED_SECONDS = 5;

/** IoU from which a face is at a rejected place. */
export const REJECTED_IOU_THRESHOLD = 0.3;

/** Maximum number of rejected places; the oldest is forgotten. */
export const MAX_REJECTED = 8;

/** Minimum confidence and maximum mean uncertainty, crop widths. */
export class Limits {
  constructor(
    readonly confidence: number,
    readonly uncertainty: number,
  ) {}

  /** Return limits whose confidence is a fraction of the way to 1, and whose uncertainty is scaled. */
  stricter(margin: number, factor: number): Limits {
    return new Limits(this.confidence + margin * (1 - this.confidence), factor * this.uncertainty);
  }

  /** Return whether both are within the limits: prints and hands may have a high confidence. */
  accept(confidence: number, uncertainty: number): boolean {
    return confidence >= this.confidence && uncertainty <= this.uncertainty;
  }
}

/** Running means of a track's confidence and uncertainty. */
export class Evidence {
  frames = 1;

  constructor(
    public confidence: number,
    public uncertainty: number,
  ) {}

  /** Add the next frame: means of all frames at first, then exponential ones over `PROBATION_FRAMES`. */
  add(confidence: number, uncertainty: number): void {
    this.frames++;
    const weight = 1 / Math.min(this.frames, PROBATION_FRAMES);
    this.confidence += weight * (confidence - this.confidence);
    this.uncertainty += weight * (uncertainty - this.uncertainty);
  }

  /** Whether the track is new. */
  get onProbation(): boolean {
    return this.frames <= PROBATION_FRAMES;
  }

  /** Return whether the means are within any of the limits. */
  supports(limits: readonly Limits[]): boolean {
    return limits.some((each) => each.accept(this.confidence, this.uncertainty));
  }
}

/** Places of a stream's false alarms, each for `REJECTED_SECONDS`. */
export class RejectedPlaces {
  private places: { readonly roi: Roi; readonly time: number }[] = [];

  /** Number of places. */
  get size(): number {
    return this.places.length;
  }

  /** Return whether an ROI is at a rejected place. */
  has(roi: Roi): boolean {
    return this.places.some((place) => roi.iou(place.roi) >= REJECTED_IOU_THRESHOLD);
  }

  /** Reject a place from `timestamp` (seconds) on. */
  add(roi: Roi, timestamp: number): void {
    this.places = [...this.places, { roi, time: timestamp }].slice(-MAX_REJECTED);
  }

  /** Forget places rejected too long before `timestamp`, or after it if the clock was set back. */
  removeExpired(timestamp: number): void {
    this.places = this.places.filter(({ time }) => timestamp >= time && timestamp - time < REJECTED_SECONDS);
  }
}
