/**
 * Regions of interest, the crop rule, and cameras: edge_runtime/geometry.py.
 *
 * Pixels: x right, y down, pixel centers at integers. Camera frame: x right, y down, z forward. Crop coordinates are
 * normalized: u in [0, 1] across the crop, and crop pixel = u * crop size - 0.5. Points are flat: x0, y0, x1, y1 ...
 */

import { ensure } from "./errors.js";

/** Margin added to each side of the landmarks' rectangle, as a fraction of its width or height. */
export const ROI_MARGIN = 0.25;

/** Limits of a camera's field of view, degrees: the focal length stays a sensible number. */
const MIN_FIELD_OF_VIEW = 0.1;
const MAX_FIELD_OF_VIEW = 179;

/** Field of view along the longer side, degrees: typical of webcams and phones. */
export const DEFAULT_FOV = 60;

/** Flat points: x0, y0, x1, y1 ... */
export type Points = Float64Array | Float32Array;

/** Region of interest: an oriented square of the frame, the input of the network. Immutable. */
export class Roi {
  constructor(
    readonly cx: number,
    readonly cy: number,
    /** Side in pixels. */
    readonly size: number,
    /** Radians, clockwise in the image. */
    readonly roll = 0,
  ) {
    ensure(
      [cx, cy, size, roll].every(Number.isFinite) && size > 0,
      `an ROI needs finite numbers and a positive size, got (${cx}, ${cy}), ${size}, ${roll}`,
    );
  }

  /** Return the ROI turned by `angle` radians. */
  turned(angle: number): Roi {
    return new Roi(this.cx, this.cy, this.size, this.roll + angle);
  }

  /** Return the ROI moved by (x, y) pixels. */
  moved(x: number, y: number): Roi {
    return new Roi(this.cx + x, this.cy + y, this.size, this.roll);
  }

  /** Return the (2, 3) affine matrix from frame pixels to crop pixels, row by row. */
  cropMatrix(cropSize: number): Float64Array {
    const scale = cropSize / this.size;
    const c = scale * Math.cos(this.roll);
    const s = scale * Math.sin(this.roll);
    const center = (cropSize - 1) / 2;
    return Float64Array.of(c, s, center - c * this.cx - s * this.cy, -s, c, center + s * this.cx - c * this.cy);
  }

  /** Convert points in crop coordinates to frame pixels. */
  toFrame(points: Points): Float64Array {
    const c = this.size * Math.cos(this.roll);
    const s = this.size * Math.sin(this.roll);
    const x0 = this.cx - (c - s) / 2;
    const y0 = this.cy - (s + c) / 2;
    const found = new Float64Array(points.length);
    for (let i = 0; i < points.length; i += 2) {
      const u = points[i];
      const v = points[i + 1];
      found[i] = u * c - v * s + x0;
      found[i + 1] = u * s + v * c + y0;
    }
    return found;
  }

  /** Return the four corners in frame pixels, clockwise from the square's own top left. */
  corners(): Float64Array {
    return new Rectangle(this.cx, this.cy, this.size, this.size, this.roll).corners();
  }

  /** Return the intersection over union with another ROI of any roll. */
  iou(other: Roi): number {
    const area = intersectionArea(this.corners(), other.corners());
    return area / (this.size ** 2 + other.size ** 2 - area);
  }
}

/** Oriented bounding rectangle of landmarks, in pixels and radians. */
export class Rectangle {
  constructor(
    readonly cx: number,
    readonly cy: number,
    readonly width: number,
    readonly height: number,
    readonly roll: number,
  ) {}

  /** Return the smallest rectangle of this roll around pixel landmarks. */
  static around(landmarks: Points, roll: number): Rectangle {
    const c = Math.cos(roll);
    const s = Math.sin(roll);
    let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
    for (let i = 0; i < landmarks.length; i += 2) {
      const x = c * landmarks[i] + s * landmarks[i + 1];
      const y = c * landmarks[i + 1] - s * landmarks[i];
      x0 = Math.min(x0, x);
      x1 = Math.max(x1, x);
      y0 = Math.min(y0, y);
      y1 = Math.max(y1, y);
    }
    const x = (x0 + x1) / 2;
    const y = (y0 + y1) / 2;
    return new Rectangle(c * x - s * y, s * x + c * y, x1 - x0, y1 - y0, roll);
  }

  /** Return the square of the same center whose side is the longer one, widened by `margin` at each end. */
  squared(margin: number): Roi {
    return new Roi(this.cx, this.cy, Math.max(this.width, this.height) * (1 + 2 * margin), this.roll);
  }

  /** Return the fraction of the area that lies inside a frame of this size. */
  fractionInside(frameWidth: number, frameHeight: number): number {
    // Pixels extend half a pixel beyond their centers.
    const right = frameWidth - 0.5;
    const low = frameHeight - 0.5;
    const frame = Float64Array.of(-0.5, -0.5, right, -0.5, right, low, -0.5, low);
    return intersectionArea(this.corners(), frame) / (this.width * this.height);
  }

  /** Return the four corners, clockwise from the rectangle's own top left. */
  corners(): Float64Array {
    const c = Math.cos(this.roll) / 2;
    const s = Math.sin(this.roll) / 2;
    const [ax, ay] = [c * this.width, s * this.width];
    const [bx, by] = [-s * this.height, c * this.height];
    const { cx, cy } = this;
    return Float64Array.of(
      ...[cx - ax - bx, cy - ay - by],
      ...[cx + ax - bx, cy + ay - by],
      ...[cx + ax + bx, cy + ay + by],
      ...[cx - ax + bx, cy - ay + by],
    );
  }
}

/** Return the clockwise rotation of landmarks against an upright mean shape, radians (least squares). */
export function uprightRoll(landmarks: Points, meanShape: Points): number {
  const count = landmarks.length / 2;
  let centerX = 0;
  let centerY = 0;
  for (let i = 0; i < landmarks.length; i += 2) {
    centerX += landmarks[i] / count;
    centerY += landmarks[i + 1] / count;
  }
  let along = 0;
  let across = 0;
  // Centering one of the two is enough: the other's mean cancels in the products.
  for (let i = 0; i < landmarks.length; i += 2) {
    const x = landmarks[i] - centerX;
    const y = landmarks[i + 1] - centerY;
    along += meanShape[i] * x + meanShape[i + 1] * y;
    across += meanShape[i] * y - meanShape[i + 1] * x;
  }
  return Math.atan2(across, along);
}

/** Pinhole camera: focal lengths and principal point in pixels. */
export class Intrinsics {
  constructor(
    readonly fx: number,
    readonly fy: number,
    readonly cx: number,
    readonly cy: number,
  ) {
    ensure(
      [fx, fy, cx, cy].every(Number.isFinite) && Math.min(fx, fy) > 0,
      `intrinsics need finite numbers and positive focal lengths, got ${fx}, ${fy}, ${cx}, ${cy}`,
    );
  }

  /** Return a centered camera with this field of view along the longer side. */
  static fromFov(width: number, height: number, degrees = DEFAULT_FOV): Intrinsics {
    ensure(
      degrees >= MIN_FIELD_OF_VIEW && degrees <= MAX_FIELD_OF_VIEW,
      `the field of view must lie between ${MIN_FIELD_OF_VIEW} and ${MAX_FIELD_OF_VIEW} degrees, got ${degrees}`,
    );
    const focal = Math.max(width, height) / 2 / Math.tan((degrees * Math.PI) / 360);
    return new Intrinsics(focal, focal, (width - 1) / 2, (height - 1) / 2);
  }

  /** Return the unit direction (x, y, z) of the viewing ray through a pixel, camera frame. */
  ray(x: number, y: number): Float64Array {
    const right = (x - this.cx) / this.fx;
    const down = (y - this.cy) / this.fy;
    const length = Math.hypot(right, down, 1);
    return Float64Array.of(right / length, down / length, 1 / length);
  }
}

/** Return the intersection area of two convex polygons, clockwise in the image: `first` is clipped by `second`. */
export function intersectionArea(first: Float64Array, second: Float64Array): number {
  let polygon: ArrayLike<number> = first;
  for (let i = 0; i < second.length; i += 2) {
    const j = (i + 2) % second.length;
    polygon = clipped(polygon, second[i], second[i + 1], second[j], second[j + 1]);
  }
  return area(polygon);
}

/** Return the part of a polygon to the right of the line from a to b, the inside of clockwise polygons. */
function clipped(polygon: ArrayLike<number>, ax: number, ay: number, bx: number, by: number): number[] {
  const side = (i: number): number => (bx - ax) * (polygon[i + 1] - ay) - (by - ay) * (polygon[i] - ax);
  const kept: number[] = [];
  for (let i = 0; i < polygon.length; i += 2) {
    const j = (i + 2) % polygon.length;
    const here = side(i);
    const next = side(j);
    if (here >= 0) kept.push(polygon[i], polygon[i + 1]);
    if ((here > 0 && next < 0) || (here < 0 && next > 0)) {
      const fraction = here / (here - next);
      kept.push(
        polygon[i] + fraction * (polygon[j] - polygon[i]),
        polygon[i + 1] + fraction * (polygon[j + 1] - polygon[i + 1]),
      );
    }
  }
  return kept;
}

function area(polygon: ArrayLike<number>): number {
  let twice = 0;
  for (let i = 0; i < polygon.length; i += 2) {
    const j = (i + 2) % polygon.length;
    twice += polygon[i] * polygon[j + 1] - polygon[j] * polygon[i + 1];
  }
  return Math.abs(twice) / 2;
}
