/** Results of the tracker: edge_runtime/face.py. */

import type { Roi } from "./geometry.js";
import { openings } from "./openings.js";
import { matrixToAngles } from "./rotation.js";

/** One face in one frame. */
export interface Face {
  /** Constant while the face is tracked. */
  readonly id: number;
  /** `detected`: found by the detector in this frame; `tracked`: from the previous frame's landmarks. */
  readonly state: "detected" | "tracked";
  /** x0, y0, x1 ...: pixels of the frame, pixel centers at integers; smoothed if smoothing is on. */
  readonly landmarks: Float64Array;
  /** Standard deviation of each landmark, pixels of the frame. */
  readonly uncertainty: Float64Array;
  /**
   * (3, 3) rotation from head to camera (x right, y down, z forward), row by row: Ry(-yaw) * Rx(-pitch) * Rz(roll).
   *
   * Pitch > 0 looks up; yaw > 0 turns to the subject's left (the image's right); roll > 0 tilts the head clockwise as
   * seen in the image.
   */
  readonly rotation: Float64Array;
  /** Probability in [0, 1] that the crop holds a face. */
  readonly confidence: number;
  /** Input crop of the network. */
  readonly roi: Roi;
  /** Unit vector from the camera to the center of the face, camera frame. */
  readonly direction: Float64Array;
  /** Frames since this face was detected. */
  readonly age: number;
  /** Name of the landmarks' scheme. */
  readonly scheme: string;
  /** Points of the template as `landmarks`; undefined without a template. */
  readonly points: Float64Array | undefined;
  /** Standard deviation of each point, pixels of the frame. */
  readonly pointsUncertainty: Float64Array | undefined;
  /**
   * Expression coefficients in [0, 1] by ARKit's names, less the resting face's after `FaceTracker.calibrateNeutral`;
   * undefined if the model gives none.
   */
  readonly expressions: Readonly<Record<string, number>> | undefined;
  /** Yaw and pitch of the subject's left eye, then of the right one: radians, camera frame; undefined as above. */
  readonly gaze: Float64Array | undefined;
}

/** Return a face as JSON, in the form of Python's `Face.to_dict`. */
export function faceRecord(face: Face): Record<string, unknown> {
  const [pitch, yaw, roll] = matrixToAngles(face.rotation).map((angle) => rounded(angle, 6));
  const record: Record<string, unknown> = {
    id: face.id,
    state: face.state,
    confidence: rounded(face.confidence, 5),
    age: face.age,
    roi: {
      cx: rounded(face.roi.cx, 3),
      cy: rounded(face.roi.cy, 3),
      size: rounded(face.roi.size, 3),
      roll: rounded(face.roi.roll, 6),
    },
    bbox: boundingBox(face.landmarks).map((value) => rounded(value, 3)),
    pose: { angles: { pitch, yaw, roll }, matrix: rows(face.rotation, 3, 6) },
    direction: numbers(face.direction, 6),
    openings: Object.fromEntries(
      Object.entries(openings(face.landmarks, face.scheme)).map(([name, value]) => [name, rounded(value, 4)]),
    ),
    landmarks: rows(face.landmarks, 2, 3),
    uncertainty: numbers(face.uncertainty, 4),
  };
  if (face.points !== undefined && face.pointsUncertainty !== undefined) {
    record.points = rows(face.points, 2, 3);
    record.points_uncertainty = numbers(face.pointsUncertainty, 4);
  }
  if (face.expressions !== undefined) {
    const values = Object.entries(face.expressions).map(([name, value]) => [name, rounded(value, 4)]);
    record.expressions = Object.fromEntries(values) as Record<string, number>;
  }
  if (face.gaze !== undefined) record.gaze = rows(face.gaze, 2, 4);
  return record;
}

/** Return x, y, width, height of the points' upright rectangle. */
function boundingBox(points: Float64Array): number[] {
  const xs = points.filter((_, i) => i % 2 === 0);
  const ys = points.filter((_, i) => i % 2 === 1);
  const [x, y] = [Math.min(...xs), Math.min(...ys)];
  return [x, y, Math.max(...xs) - x, Math.max(...ys) - y];
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits)) + 0; // no -0
}

function numbers(values: Float64Array, digits: number): number[] {
  return Array.from(values, (value) => rounded(value, digits));
}

function rows(values: Float64Array, width: number, digits: number): number[][] {
  const flat = numbers(values, digits);
  return Array.from({ length: flat.length / width }, (_, i) => flat.slice(i * width, (i + 1) * width));
}
