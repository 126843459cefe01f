/** Face detection: edge_runtime/detector without other projects' detectors. */

import type { Backend } from "./backend.js";
import { ModelFileError } from "./errors.js";
import { Roi } from "./geometry.js";
import { view, type Image } from "./image.js";
import { rint } from "./numbers.js";
import { resize } from "./resize.js";

/** Maximum number of detections of a network's run, and of a frame; the best ones are kept. Bounds the time of NMS. */
export const MAX_DETECTIONS = 300;

/** IoU from which the lower-scored of two detections is suppressed. */
export const NMS_IOU_THRESHOLD = 0.3;

/** Ratio of a frame's longer side to the network's input from which it is searched in tiles, too; likewise of a tile. */
export const LARGE_FRAME_RATIO = 2.5;

/** Maximum number of divisions. */
export const MAX_TILE_LEVELS = 2;

/** Side of a tile, as a fraction of the longer side of what it divides. */
export const TILE_FRACTION = 0.5;

/** Minimum overlap of adjacent tiles, as a fraction of their side. */
export const TILE_OVERLAP = 0.25;

/** Number of tiles per search of a stream. */
export const TILES_PER_SEARCH = 4;

/** Maximum score: 1, and what rounding adds. */
export const MAX_SCORE = 1.001;

/** Maximum magnitude of an ROI's center and size, pixels: beyond any frame. */
export const MAX_COORDINATE = 1e6;

/** Gray level of the letterbox's padding: the middle of the range. */
export const PAD_VALUE = 127;

/** Face detector. */
export interface Detector {
  /** Return the ROIs of the faces, by the crop rule, best first. */
  detect(frame: Image): Promise<Roi[]>;

  /** Search the part of a stream's frame whose turn it is, at a bounded cost; `turn` counts searches from 0. */
  search(frame: Image, turn: number): Promise<Roi[]>;
}

/** A detected ROI and its score. */
export interface Detection {
  readonly score: number;
  readonly roi: Roi;
}

/** Square tile of a frame, in pixels. */
export interface Tile {
  readonly x: number;
  readonly y: number;
  readonly side: number;
}

/** Detector network of this project. Large frames are also searched in overlapping tiles, for small faces. */
export class NetworkDetector implements Detector {
  /** ModelFileError if the model is not a detector. */
  constructor(private readonly backend: Backend) {
    const { spec } = backend;
    if (!spec.isDetector) {
      throw new ModelFileError(
        `model "${spec.name}" is not a detector: its outputs are ${[...spec.outputs.keys()].join(", ")}, expected ` +
          "scores and rois",
      );
    }
  }

  /** Search the frame and all its tiles. */
  detect(frame: Image): Promise<Roi[]> {
    return this.find(frame, this.tilesOf(frame));
  }

  /** Search the frame and the next `TILES_PER_SEARCH` of its tiles. */
  search(frame: Image, turn: number): Promise<Roi[]> {
    const parts = this.tilesOf(frame);
    const count = Math.min(TILES_PER_SEARCH, parts.length);
    const first = turn * TILES_PER_SEARCH;
    return this.find(
      frame,
      Array.from({ length: count }, (_, i) => parts[(first + i) % parts.length]),
    );
  }

  private tilesOf(frame: Image): Tile[] {
    return tiles(frame.width, frame.height, this.backend.spec.inputSize);
  }

  private async find(frame: Image, parts: readonly Tile[]): Promise<Roi[]> {
    const found = await this.scored(frame);
    for (const { x, y, side } of parts) {
      for (const { score, roi } of await this.scored(view(frame, x, y, side))) {
        found.push({ score, roi: roi.moved(x, y) });
      }
    }
    return suppressOverlaps(found.sort((a, b) => b.score - a.score)).map(({ roi }) => roi);
  }

  private async scored(frame: Image): Promise<Detection[]> {
    const { spec } = this.backend;
    const { pixels, square } = letterbox(frame, spec.inputSize);
    const { scores, rois, roll } = await this.backend.run(pixels);
    return decodeDetections(scores, rois, square, spec.trackThreshold, roll);
  }
}

/** Return overlapping square tiles that cover a frame, larger ones first; none for a small frame. */
export function tiles(width: number, height: number, inputSize: number): Tile[] {
  const found: Tile[] = [];
  let side = Math.max(width, height);
  for (let level = 0; level < MAX_TILE_LEVELS && side >= LARGE_FRAME_RATIO * inputSize; level++) {
    side = rint(TILE_FRACTION * side);
    for (const y of starts(height, side)) {
      for (const x of starts(width, side)) found.push({ x, y, side });
    }
  }
  return found;
}

function starts(extent: number, side: number): number[] {
  const steps = Math.ceil(Math.max(extent - side, 0) / (side * (1 - TILE_OVERLAP)));
  if (steps === 0) return [0];
  return Array.from({ length: steps + 1 }, (_, i) => rint((i * (extent - side)) / steps));
}

/** Scale a frame into a padded square of `size` RGB pixels; return it and its square in the frame. */
export function letterbox(frame: Image, size: number): { readonly pixels: Uint8Array; readonly square: Roi } {
  const scale = size / Math.max(frame.width, frame.height);
  const width = Math.max(1, rint(frame.width * scale));
  const height = Math.max(1, rint(frame.height * scale));
  const left = Math.floor((size - width) / 2);
  const top = Math.floor((size - height) / 2);
  const inner = resize(frame, width, height);
  const pixels = new Uint8Array(size * size * 3).fill(PAD_VALUE);
  for (let row = 0; row < height; row++) {
    pixels.set(inner.subarray(row * width * 3, (row + 1) * width * 3), ((top + row) * size + left) * 3);
  }
  // Pixel centers at integers: the frame's edges are half a pixel outside the outermost centers.
  const side = size / scale;
  return { pixels, square: new Roi(-left / scale - 0.5 + side / 2, -top / scale - 0.5 + side / 2, side) };
}

/**
 * Decode the outputs of a detector network to detections, best first, after NMS.
 *
 * Cells with a number that no network that works gives are left out. Of many detections, `MAX_DETECTIONS` are decoded.
 *
 * @param scores (G, G) scores of the cells in [0, 1]. A detection is a local maximum of 3 x 3 cells.
 * @param rois (G, G, 3) center x, center y, and size per cell, in sides of `square` from its top left.
 * @param square The letterbox's square in the frame.
 * @param threshold Minimum score.
 * @param roll (G, G, 2) sine and cosine of the roll, times any positive factor; without it, 0.
 */
export function decodeDetections(
  scores: Float32Array,
  rois: Float32Array,
  square: Roi,
  threshold: number,
  roll?: Float32Array,
): Detection[] {
  const least = Math.fround(threshold);
  const side = Math.fround(square.size);
  const corner = [square.cx - square.size / 2, square.cy - square.size / 2, 0];
  const place = (cell: number): number[] => corner.map((start, i) => Math.fround(rois[3 * cell + i] * side) + start);
  const isPossible = (cell: number): boolean =>
    scores[cell] <= MAX_SCORE &&
    place(cell).every((value) => Math.abs(value) <= MAX_COORDINATE) &&
    rois[3 * cell + 2] > 0 &&
    (roll === undefined || (Number.isFinite(roll[2 * cell]) && Number.isFinite(roll[2 * cell + 1])));
  const possible = scores.map((score, cell) => (score >= least && isPossible(cell) ? score : 0));
  const found = [...possible.keys()]
    .filter((cell) => possible[cell] > 0 && isPeak(possible, cell))
    .sort((a, b) => scores[b] - scores[a])
    .slice(0, MAX_DETECTIONS)
    .map((cell) => {
      const [x, y, size] = place(cell);
      const angle = roll === undefined ? 0 : Math.atan2(roll[2 * cell], roll[2 * cell + 1]);
      return { score: scores[cell], roi: new Roi(x, y, size, angle) };
    });
  return suppressOverlaps(found);
}

/** Return whether no neighbor of a cell has a higher score. */
function isPeak(scores: Float32Array, cell: number): boolean {
  const grid = Math.round(Math.sqrt(scores.length));
  const row = Math.floor(cell / grid);
  const column = cell % grid;
  for (let y = Math.max(row - 1, 0); y <= Math.min(row + 1, grid - 1); y++) {
    for (let x = Math.max(column - 1, 0); x <= Math.min(column + 1, grid - 1); x++) {
      if (scores[y * grid + x] > scores[cell]) return false;
    }
  }
  return true;
}

/** Suppress detections whose ROI overlaps an earlier one's; `found` is sorted, best first. Keep `MAX_DETECTIONS`. */
function suppressOverlaps(found: readonly Detection[]): Detection[] {
  const kept: Detection[] = [];
  for (const detection of found) {
    if (kept.length === MAX_DETECTIONS) break;
    if (kept.every((other) => detection.roi.iou(other.roi) < NMS_IOU_THRESHOLD)) kept.push(detection);
  }
  return kept;
}
