/** Duplicate tracks and re-identification of lost ones: edge_runtime/identity.py, which states the rules. */

import { Rectangle, type Roi } from "./geometry.js";
import { MAX_GAP_SECONDS, type RoiMotion } from "./motion.js";

/** Mean distance of two tracks' landmarks below which they are the same face, in sizes of the smaller face. */
export const DUPLICATE_DISTANCE_THRESHOLD = 0.2;

/** Time within which a face that appears where another was lost takes its id. */
export const REID_SECONDS = 2;

/** Maximum time over which the motion of a lost track is extrapolated. */
export const EXTRAPOLATION_SECONDS = 1;

/** Maximum distance from the extrapolated position, in ROI sizes. */
export const REID_MAX_DISTANCE = 1;

/** Maximum ratio of the ROIs' sizes. */
export const REID_MAX_SIZE_RATIO = 1.5;

/** Time over which the motion of a lost track is extrapolated to tell whether it left the frame. */
export const EXIT_SECONDS = 0.25;

/** Distance from a border within which a lost track left there, in ROI sizes. */
export const EXIT_DISTANCE = 0.5;

/** Distance from a border within which a face appears there, in ROI sizes. */
export const RETURN_DISTANCE = 1.5;

/** Way over the border, in ROI sizes, on which a face is in sight but not tracked, out and in. */
export const CROSSING_DISTANCE = 1;

/** Maximum time for that way. */
export const MAX_CROSSING_SECONDS = 1;

/** Maximum distance along the border between leaving and returning, in ROI sizes. */
export const RETURN_MAX_SHIFT = 3;

/** Width and height of a frame, pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Return whether two sets of landmarks in pixels are of the same face. */
export function sameFace(first: Float64Array, second: Float64Array): boolean {
  let sum = 0;
  for (let i = 0; i < first.length; i += 2) sum += Math.hypot(first[i] - second[i], first[i + 1] - second[i + 1]);
  const distance = sum / (first.length / 2);
  return [first, second].every((points) => {
    const { width, height } = Rectangle.around(points, 0);
    return distance < DUPLICATE_DISTANCE_THRESHOLD * Math.max(width, height);
  });
}

/** A face that was lost at `time` seconds. */
export class LostTrack {
  constructor(
    readonly id: number,
    readonly motion: RoiMotion,
    readonly time: number,
  ) {}

  /** Return for each border of `borderDistances` whether the face left the frame there. */
  leftBy(frame: Size): boolean[] {
    const last = this.motion.roi;
    const ahead = borderDistances(this.motion.extrapolate(this.time + EXIT_SECONDS, EXIT_SECONDS), frame);
    return borderDistances(last, frame).map((distance, i) => Math.min(distance, ahead[i]) < EXIT_DISTANCE * last.size);
  }

  /** Return the time in which the face crosses the border by which it left, out and in; 0 if it did not leave. */
  crossingSeconds(frame: Size): number {
    if (!this.leftBy(frame).includes(true)) return 0;
    return CROSSING_DISTANCE / Math.max(this.motion.speed, CROSSING_DISTANCE / MAX_CROSSING_SECONDS);
  }
}

/** Return the distances of an ROI's center from the left, right, top, and bottom border; negative outside. */
export function borderDistances(roi: Roi, { width, height }: Size): number[] {
  return [roi.cx, width - roi.cx, roi.cy, height - roi.cy];
}

/** Lost tracks of one stream, each for `REID_SECONDS` after its loss. */
export class LostTrackBuffer {
  private tracks: LostTrack[] = [];

  /** Number of tracks. */
  get size(): number {
    return this.tracks.length;
  }

  /** Add a lost track. */
  add(track: LostTrack): void {
    this.tracks.push(track);
  }

  /**
   * Remove tracks lost too long before the last search, or after `timestamp` if the clock was set back.
   *
   * A search, at `searched` seconds, that was long ago counts as one `MAX_GAP_SECONDS` ago. The time in which a face
   * crosses the border does not count.
   */
  removeExpired(timestamp: number, searched: number, frame: Size): void {
    const returned = Math.max(searched, timestamp - MAX_GAP_SECONDS);
    this.tracks = this.tracks.filter(
      (track) =>
        track.time <= timestamp && Math.max(returned - track.time, 0) < REID_SECONDS + track.crossingSeconds(frame),
    );
  }

  /** Remove the lost track that matches `roi` (frame pixels) and return its id, or undefined. */
  match(roi: Roi, timestamp: number, frame: Size): number | undefined {
    const found = this.nearest(roi, timestamp) ?? this.returned(roi, frame);
    this.tracks = this.tracks.filter((track) => track !== found);
    return found?.id;
  }

  /** Return the lost track whose extrapolated position is nearest, within one ROI size. */
  private nearest(roi: Roi, timestamp: number): LostTrack | undefined {
    let nearest: LostTrack | undefined;
    let least = Infinity;
    for (const track of this.tracks) {
      const expected = track.motion.extrapolate(timestamp, EXTRAPOLATION_SECONDS);
      const distance = Math.hypot(roi.cx - expected.cx, roi.cy - expected.cy) / Math.max(roi.size, expected.size);
      if (similarSize(roi, expected) && distance <= REID_MAX_DISTANCE && distance < least) {
        nearest = track;
        least = distance;
      }
    }
    return nearest;
  }

  /** Return the lost track that left the frame by the border where `roi` is, or undefined if it is not the only one. */
  private returned(roi: Roi, frame: Size): LostTrack | undefined {
    const here = borderDistances(roi, frame).map((distance) => distance < RETURN_DISTANCE * roi.size);
    const candidates: { readonly track: LostTrack; readonly shift: number }[] = [];
    for (const track of this.tracks) {
      const last = track.motion.roi;
      const larger = Math.max(roi.size, last.size);
      const [alongY, alongX] = [Math.abs(roi.cy - last.cy) / larger, Math.abs(roi.cx - last.cx) / larger];
      const left = track.leftBy(frame);
      const shared = [alongY, alongY, alongX, alongX].filter(
        (along, i) => here[i] && left[i] && along <= RETURN_MAX_SHIFT,
      );
      if (shared.length > 0 && similarSize(roi, last)) candidates.push({ track, shift: Math.min(...shared) });
    }
    const near = candidates.length > 1 ? candidates.filter(({ shift }) => shift <= REID_MAX_DISTANCE) : candidates;
    return near.length === 1 ? near[0].track : undefined;
  }
}

function similarSize(first: Roi, second: Roi): boolean {
  return Math.max(first.size, second.size) / Math.min(first.size, second.size) <= REID_MAX_SIZE_RATIO;
}
