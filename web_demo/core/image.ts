/** Pixels in plain arrays. */

import { ensure } from "./errors.js";

/** Maximum side, pixels: the limit of the crop's fixed-point arithmetic. */
export const MAX_SIDE = 32766;

/** A rectangle of RGB pixels in an array, such as an `ImageData`'s RGBA. Red, green, and blue follow each other. */
export interface Image {
  readonly pixels: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
  /** Index of the first pixel's red. */
  readonly offset: number;
  /** Distance of two pixels of a row in the array: 3 for RGB, 4 for RGBA. */
  readonly pixelStride: number;
  /** Distance of two rows in the array. */
  readonly rowStride: number;
}

/** Wrap (height, width, channels) pixels, 3 channels for RGB or 4 for RGBA. RangeError if the array is too short. */
export function imageOf(pixels: Uint8Array | Uint8ClampedArray, width: number, height: number, channels: 3 | 4): Image {
  const whole = Number.isInteger(width) && Number.isInteger(height);
  ensure(
    whole && Math.min(width, height) >= 1 && Math.max(width, height) <= MAX_SIDE,
    `image sides must be 1 to ${MAX_SIDE} px, got ${width} x ${height}`,
  );
  const needed = width * height * channels;
  ensure(pixels.length >= needed, `an image of ${width} x ${height} px needs ${needed} values, got ${pixels.length}`);
  return { pixels, width, height, offset: 0, pixelStride: channels, rowStride: width * channels };
}

/** Return a view of `side` x `side` pixels (fewer at the right and lower edge) from (x, y). */
export function view(image: Image, x: number, y: number, side: number): Image {
  return {
    ...image,
    width: Math.min(side, image.width - x),
    height: Math.min(side, image.height - y),
    offset: image.offset + y * image.rowStride + x * image.pixelStride,
  };
}
