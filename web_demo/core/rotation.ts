/** Rotations of edge_runtime/geometry.py and `cv2.Rodrigues`. A rotation is a (3, 3) matrix, row by row. */

import type { Intrinsics, Roi } from "./geometry.js";
import { clamp } from "./numbers.js";

/** Sine of an angle below which OpenCV assumes no turn or half a turn. */
const NO_TURN = 1e-5;

/** Convert pitch, yaw, roll in radians to the rotation from head to camera; signs as in `Face.rotation`. */
export function anglesToMatrix(pitch: number, yaw: number, roll: number): Float64Array {
  const [cp, sp] = [Math.cos(pitch), Math.sin(pitch)];
  const [cy, sy] = [Math.cos(yaw), Math.sin(yaw)];
  const [cr, sr] = [Math.cos(roll), Math.sin(roll)];
  // The nose points along -z in the head frame, so turning it to +x and -y takes negative angles about y and x:
  // Ry(-yaw) * Rx(-pitch) * Rz(roll), written out.
  return Float64Array.of(
    ...[cy * cr + sy * sp * sr, sy * sp * cr - cy * sr, -sy * cp],
    ...[cp * sr, cp * cr, sp],
    ...[sy * cr - cy * sp * sr, -sy * sr - cy * sp * cr, cy * cp],
  );
}

/**
 * Convert a rotation from head to camera to pitch, yaw, roll in radians.
 *
 * Pitch lies in [-pi/2, pi/2]; at its limits (gimbal lock), roll is 0.
 */
export function matrixToAngles(m: Float64Array): [pitch: number, yaw: number, roll: number] {
  const pitch = Math.asin(clamp(m[5], -1, 1));
  if (Math.abs(m[5]) > 1 - 1e-9) return [pitch, Math.atan2(m[6], m[0]), 0];
  return [pitch, Math.atan2(-m[2], m[8]), Math.atan2(m[3], m[4])];
}

/**
 * Return the rotation from the crop's frame to the camera frame.
 *
 * It is the smallest one from the optical axis to the ray through the crop's center, after the crop's roll.
 */
export function cropToCamera(roi: Roi, intrinsics: Intrinsics): Float64Array {
  const [x, y, z] = intrinsics.ray(roi.cx, roi.cy);
  // Rodrigues' formula for z-axis -> (x, y, z); z > 0 always, so 1 + z never vanishes.
  const toRay = Float64Array.of(
    ...[1 - (x * x) / (1 + z), (-x * y) / (1 + z), x],
    ...[(-x * y) / (1 + z), 1 - (y * y) / (1 + z), y],
    ...[-x, -y, z],
  );
  const c = Math.cos(roi.roll);
  const s = Math.sin(roi.roll);
  return product(toRay, Float64Array.of(c, -s, 0, s, c, 0, 0, 0, 1));
}

/** Return the matrix product. */
export function product(first: Float64Array, second: Float64Array): Float64Array {
  return new Float64Array(9).map((_, i) => {
    const row = i - (i % 3);
    const column = i % 3;
    return first[row] * second[column] + first[row + 1] * second[column + 3] + first[row + 2] * second[column + 6];
  });
}

/** Return the inverse, the transpose. */
export function inverse(rotation: Float64Array): Float64Array {
  return rotation.map((_, i) => rotation[(i % 3) * 3 + Math.floor(i / 3)]);
}

/** Convert a rotation to its axis times its angle in radians: `cv2.Rodrigues`. */
export function rotationVector(r: Float64Array): Float64Array {
  const axis = Float64Array.of(r[7] - r[5], r[2] - r[6], r[3] - r[1]);
  const sine = length(axis) / 2;
  const cosine = clamp((r[0] + r[4] + r[8] - 1) / 2, -1, 1);
  if (sine >= NO_TURN) return scaled(axis, Math.acos(cosine) / (2 * sine));
  return cosine > 0 ? new Float64Array(3) : scaled(halfTurnAxis(r), Math.PI);
}

/** Convert the result of `rotationVector` to a rotation. */
export function rotationOf(vector: Float64Array): Float64Array {
  const angle = length(vector);
  if (angle === 0) return Float64Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1);
  const [x, y, z] = scaled(vector, 1 / angle);
  const c = Math.cos(angle);
  const s = Math.sin(angle);
  const d = 1 - c;
  return Float64Array.of(
    ...[c + d * x * x, d * x * y - s * z, d * x * z + s * y],
    ...[d * x * y + s * z, c + d * y * y, d * y * z - s * x],
    ...[d * x * z - s * y, d * y * z + s * x, c + d * z * z],
  );
}

/** Return the length of a vector. */
export function length(vector: Float64Array): number {
  return Math.hypot(...vector);
}

/** Return the vector times a factor. */
export function scaled(vector: Float64Array, factor: number): Float64Array {
  return vector.map((value) => value * factor);
}

/** Return the axis of a rotation by pi, which is 2 * axis * axis^T - 1: its longest column. */
function halfTurnAxis(rotation: Float64Array): Float64Array {
  const column = [0, 1, 2].reduce((best, i) => (rotation[4 * i] > rotation[4 * best] ? i : best));
  const axis = new Float64Array(3).map((_, i) => rotation[3 * i + column] + (i === column ? 1 : 0));
  return scaled(axis, 1 / length(axis));
}
