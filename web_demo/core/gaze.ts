/**
 * Gaze: the direction in which an eye looks, as two angles with the signs of the head's pose: edge_runtime/gaze.py.
 *
 * Angles are flat, yaw and pitch in radians of each eye; directions x, y, z. An eye that looks along -z, into the camera,
 * has yaw and pitch 0. Yaw is positive toward the image's right, the subject's left; pitch is positive upward.
 */

import { clamp } from "./numbers.js";

/** Convert directions to angles. */
export function gazeAngles(directions: Float64Array): Float64Array {
  const angles = new Float64Array((directions.length / 3) * 2);
  for (let eye = 0; eye < angles.length / 2; eye++) {
    const [x, y, z] = directions.subarray(3 * eye, 3 * eye + 3);
    angles[2 * eye] = Math.atan2(x, -z);
    angles[2 * eye + 1] = Math.asin(clamp(-y / Math.hypot(x, y, z), -1, 1));
  }
  return angles;
}

/** Convert angles to unit directions; the inverse of `gazeAngles`. */
export function gazeDirections(angles: ArrayLike<number>): Float64Array {
  const directions = new Float64Array((angles.length / 2) * 3);
  for (let eye = 0; eye < angles.length / 2; eye++) {
    const [yaw, pitch] = [angles[2 * eye], angles[2 * eye + 1]];
    directions[3 * eye] = Math.sin(yaw) * Math.cos(pitch);
    directions[3 * eye + 1] = -Math.sin(pitch);
    directions[3 * eye + 2] = -Math.cos(yaw) * Math.cos(pitch);
  }
  return directions;
}

/** Return the angles in another frame, to which a (3, 3) rotation leads. */
export function turnGaze(angles: ArrayLike<number>, rotation: Float64Array): Float64Array {
  const directions = gazeDirections(angles);
  const turned = directions.map((_, i) => {
    const eye = i - (i % 3);
    const row = 3 * (i % 3);
    return [0, 1, 2].reduce((sum, axis) => sum + rotation[row + axis] * directions[eye + axis], 0);
  });
  return gazeAngles(turned);
}
