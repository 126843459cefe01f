/** Options and counts of the tracker: edge_runtime/options.py and stats.py. */

import type { Intrinsics } from "./geometry.js";
import type { Template } from "./template.js";

/** Options of a `FaceTracker`. */
export interface TrackerOptions {
  /** Maximum number of tracked faces. Each costs one run of the network per frame. */
  readonly maxFaces?: number;
  /** In [0, 1]. Raise it for less jitter and more lag; 0 returns the network's results. */
  readonly smoothing?: number;
  /** Points to find besides the landmarks, for a model with query points. */
  readonly template?: Template | undefined;
  /** Camera; default: a field of view of 60 degrees along the longer side. */
  readonly intrinsics?: Intrinsics | undefined;
  /** Clock in milliseconds that times the stages; without it, they are not timed. */
  readonly clock?: () => number;
}

/** Counts and times since the tracker was created; `reset` keeps them. */
export class TrackerStats {
  frames = 0;
  detectorRuns = 0;
  /** Tracks started, and faces found in pictures. */
  detections = 0;
  /** Tracks lost; `reset` is not counted. */
  lostCount = 0;
  /** Tracks lost as false alarms soon after their start. */
  rejectedCount = 0;
  networkRuns = 0;
  /** Total milliseconds per stage. */
  readonly milliseconds = { detect: 0, crop: 0, network: 0 };
}
