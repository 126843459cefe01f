/** What the network sees in one crop: edge_runtime/observation.py. */

import type { NamedOutputs } from "./backend.js";
import { extractCrop } from "./crop.js";
import { Rectangle, uprightRoll, type Intrinsics, type Roi } from "./geometry.js";
import type { Size } from "./identity.js";
import type { Image } from "./image.js";
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
}

/** Run the network on an ROI. Return undefined if a result is not finite or not plausible. */
export async function observe(
  frame: Image,
  roi: Roi,
  camera: Intrinsics,
  spec: ModelSpec,
  run: (crop: Uint8Array) => Promise<NamedOutputs>,
): Promise<Observation | undefined> {
  if (roi.size < MIN_ROI_SIZE) return undefined;
  const outputs = await run(extractCrop(frame, roi, spec.inputSize));
  const landmarks = roi.toFrame(outputs.landmarks);
  const { uncertainty } = outputs;
  const [pitch, yaw, turn] = outputs.pose;
  const confidence = outputs.confidence[0];
  const meanSigma = uncertainty.reduce((sum, sigma) => sum + sigma, 0) / uncertainty.length;
  if (![pitch, yaw, turn, confidence, meanSigma, ...landmarks].every(Number.isFinite)) return undefined;
  const roll = spec.upright ? uprightRoll(landmarks, spec.meanShape) : 0;
  const rectangle = Rectangle.around(landmarks, roll);
  if (!isPlausible(rectangle, roi, frame)) return undefined;
  const nextRoi = rectangle.squared(spec.cropMargin);
  const inPixels = (fractions: Float32Array): Float64Array => Float64Array.from(fractions, (value) => value * roi.size);
  const { points, points_uncertainty: pointsUncertainty } = outputs as Partial<NamedOutputs>;
  return {
    roi,
    landmarks,
    uncertainty: inPixels(uncertainty),
    rotation: product(cropToCamera(roi, camera), anglesToMatrix(pitch, yaw, turn)),
    confidence,
    meanSigma,
    nextRoi,
    direction: camera.ray(nextRoi.cx, nextRoi.cy),
    points: points && roi.toFrame(points),
    pointsUncertainty: pointsUncertainty && inPixels(pointsUncertainty),
  };
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
