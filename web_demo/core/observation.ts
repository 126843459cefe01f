/** What the network sees in one crop: edge_runtime/observation.py. */

import type { NamedOutputs } from "./backend.js";
import { extractCrop } from "./crop.js";
import { turnGaze } from "./gaze.js";
import { Rectangle, uprightRoll, type Intrinsics, type Roi } from "./geometry.js";
import type { Size } from "./identity.js";
import type { Image } from "./image.js";
import { clamp } from "./numbers.js";
import { anglesToMatrix, cropToCamera, product } from "./rotation.js";
import type { ModelSpec } from "./spec.js";

/** Minimum side of an ROI, pixels. */
export const MIN_ROI_SIZE = 8;

/** Minimum fraction of the landmarks' rectangle inside the frame. */
export const MIN_INSIDE_FRACTION = 0.5;

/** Limits of the landmarks' longer extent, as a fraction of the crop. The crop rule makes it 0.67. */
export const EXTENT_LIMITS = [0.25, 1.25] as const;

/** Maximum aspect ratio of the landmarks; a profile with an open mouth stays below 2.5. */
export const MAX_ASPECT = 3;

/** Maximum side of a detected ROI, longer sides of the frame. A face of which half is inside needs less. */
export const MAX_ROI_FRACTION = 4;

/** Ranges of the outputs: crop widths, radians, and what lies in [0, 1] with what rounding adds. */
const RANGES: Readonly<Record<string, readonly [low: number, high: number]>> = {
  landmarks: [-10, 10],
  uncertainty: [0, 10],
  pose: [-2 * Math.PI, 2 * Math.PI],
  confidence: [-1e-3, 1 + 1e-3],
  points: [-10, 10],
  points_uncertainty: [0, 10],
  expressions: [-1e-3, 1 + 1e-3],
  gaze: [-2 * Math.PI, 2 * Math.PI],
};

/** The network's results for one crop, in frame pixels and the camera frame. */
export interface Observation {
  readonly roi: Roi;
  readonly landmarks: Float64Array;
  readonly uncertainty: Float64Array;
  /** Head to camera, with the crop's viewing ray. */
  readonly rotation: Float64Array;
  readonly confidence: number;
  /** Mean standard deviation of the landmarks, crop widths. */
  readonly meanSigma: number;
  /** Crop around these landmarks. */
  readonly nextRoi: Roi;
  readonly direction: Float64Array;
  readonly points: Float64Array | undefined;
  readonly pointsUncertainty: Float64Array | undefined;
  /** Coefficients in [0, 1], in the order of `EXPRESSIONS`. */
  readonly expressions: Float64Array | undefined;
  /** Yaw and pitch of the subject's left eye, then of the right one: radians, camera frame. */
  readonly gaze: Float64Array | undefined;
}

/** Run the network on an ROI. Return undefined if a result is not possible or not plausible. */
export async function observe(
  frame: Image,
  roi: Roi,
  camera: Intrinsics,
  spec: ModelSpec,
  run: (crop: Uint8Array) => Promise<NamedOutputs>,
): Promise<Observation | undefined> {
  if (roi.size < MIN_ROI_SIZE) return undefined;
  const outputs = await run(extractCrop(frame, roi, spec.inputSize));
  if (!isPossible(outputs)) return undefined;
  const landmarks = roi.toFrame(outputs.landmarks);
  const { uncertainty } = outputs;
  const [pitch, yaw, turn] = outputs.pose;
  const confidence = clamp(outputs.confidence[0], 0, 1);
  const meanSigma = uncertainty.reduce((sum, sigma) => sum + sigma, 0) / uncertainty.length;
  const roll = spec.upright ? uprightRoll(landmarks, spec.meanShape) : 0;
  const rectangle = Rectangle.around(landmarks, roll);
  if (!isPlausible(rectangle, roi, frame)) return undefined;
  const nextRoi = rectangle.squared(spec.cropMargin);
  const inPixels = (fractions: Float32Array): Float64Array => Float64Array.from(fractions, (value) => value * roi.size);
  const toCamera = cropToCamera(roi, camera);
  const { points, points_uncertainty: pointsUncertainty, expressions, gaze } = outputs as Partial<NamedOutputs>;
  return {
    roi,
    landmarks,
    uncertainty: inPixels(uncertainty),
    rotation: product(toCamera, anglesToMatrix(pitch, yaw, turn)),
    confidence,
    meanSigma,
    nextRoi,
    direction: camera.ray(nextRoi.cx, nextRoi.cy),
    points: points && roi.toFrame(points),
    pointsUncertainty: pointsUncertainty && inPixels(pointsUncertainty),
    expressions: expressions && Float64Array.from(expressions, (value) => clamp(value, 0, 1)),
    gaze: gaze && turnGaze(gaze, toCamera),
  };
}

/** Return whether all outputs of a landmark model are finite and in their ranges; if one is not, all are worthless. */
export function isPossible(outputs: NamedOutputs): boolean {
  return Object.entries(outputs).every(([name, values]) => {
    const [low, high] = RANGES[name] ?? [-Infinity, Infinity];
    return values.every((value) => value >= low && value <= high);
  });
}

/** Return whether a detector's ROI has a possible size and touches the frame. */
export function mayHoldFace({ cx, cy, size }: Roi, { width, height }: Size): boolean {
  return (
    size >= MIN_ROI_SIZE &&
    size <= MAX_ROI_FRACTION * Math.max(width, height) &&
    Math.abs(cx - width / 2) <= width / 2 + size &&
    Math.abs(cy - height / 2) <= height / 2 + size
  );
}

/** Return whether size, aspect, and position of the landmarks' rectangle, found in crop `roi`, can be a face's. */
export function isPlausible(rectangle: Rectangle, roi: Roi, frame: Size): boolean {
  const longer = Math.max(rectangle.width, rectangle.height);
  const shorter = Math.min(rectangle.width, rectangle.height);
  const extent = longer / roi.size;
  return (
    extent >= EXTENT_LIMITS[0] &&
    extent <= EXTENT_LIMITS[1] &&
    longer <= MAX_ASPECT * shorter &&
    rectangle.fractionInside(frame.width, frame.height) >= MIN_INSIDE_FRACTION
  );
}
