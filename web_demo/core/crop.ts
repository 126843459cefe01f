/**
 * `geometry.extract_crop`, equal to the byte: like OpenCV's `warpAffine`, it rounds coordinates to 1/32 px and uses
 * weights of 5 bits.
 */

import type { Roi } from "./geometry.js";
import { imageOf, type Image } from "./image.js";
import { clamp, rint } from "./numbers.js";
import { resize } from "./resize.js";

/** Fraction bits of intermediate and of final coordinates. */
const FINE_BITS = 10;
const FRACTION_BITS = 5;
const ONE = 1 << FRACTION_BITS;

/** Maximum number of samples per crop pixel and axis; bounds the cost of very large faces. */
export const MAX_OVERSAMPLING = 8;

/**
 * Crop an image to the ROI: cropSize x cropSize RGB pixels, row by row; border pixels are replicated.
 *
 * If the crop shrinks the image more than twofold, it is sampled on a k times finer grid and averaged in k x k blocks.
 */
export function extractCrop(image: Image, roi: Roi, cropSize: number): Uint8Array {
  const k = clamp(Math.ceil(roi.size / (2 * cropSize)), 1, MAX_OVERSAMPLING);
  const fine = warpAffine(image, roi.cropMatrix(cropSize * k), cropSize * k);
  return k === 1 ? fine : resize(imageOf(fine, cropSize * k, cropSize * k, 3), cropSize, cropSize);
}

/** Return size x size RGB pixels, row by row; `matrix` (2, 3) maps image pixels to crop pixels. */
function warpAffine(image: Image, matrix: Float64Array, size: number): Uint8Array {
  const { pixels, offset, pixelStride, rowStride } = image;
  const lastX = image.width - 1;
  const lastY = image.height - 1;
  const inverse = inverseAffine(matrix);
  const unit = 1 << FINE_BITS;
  const stepsX = Int32Array.from({ length: size }, (_, i) => rint(inverse[0] * i * unit));
  const stepsY = Int32Array.from({ length: size }, (_, i) => rint(inverse[3] * i * unit));
  const half = 1 << (FINE_BITS - FRACTION_BITS - 1);
  const crop = new Uint8Array(size * size * 3);
  let at = 0;
  for (let row = 0; row < size; row++) {
    const startX = rint((inverse[1] * row + inverse[2]) * unit) + half;
    const startY = rint((inverse[4] * row + inverse[5]) * unit) + half;
    for (let column = 0; column < size; column++) {
      const x = (startX + stepsX[column]) >> (FINE_BITS - FRACTION_BITS);
      const y = (startY + stepsY[column]) >> (FINE_BITS - FRACTION_BITS);
      const right = x & (ONE - 1);
      const down = y & (ONE - 1);
      const left = clamp(x >> FRACTION_BITS, 0, lastX) * pixelStride;
      const nextX = clamp((x >> FRACTION_BITS) + 1, 0, lastX) * pixelStride;
      const top = clamp(y >> FRACTION_BITS, 0, lastY) * rowStride + offset;
      const nextY = clamp((y >> FRACTION_BITS) + 1, 0, lastY) * rowStride + offset;
      for (let channel = 0; channel < 3; channel++) {
        const upper = pixels[top + left + channel] * (ONE - right) + pixels[top + nextX + channel] * right;
        const lower = pixels[nextY + left + channel] * (ONE - right) + pixels[nextY + nextX + channel] * right;
        crop[at++] = (upper * (ONE - down) + lower * down + (ONE * ONE) / 2) >> (2 * FRACTION_BITS);
      }
    }
  }
  return crop;
}

/** Invert an affine matrix, in OpenCV's order of operations. */
function inverseAffine(m: Float64Array): Float64Array {
  const scale = 1 / (m[0] * m[4] - m[1] * m[3]);
  const [a, b, c, d] = [m[4] * scale, m[1] * -scale, m[3] * -scale, m[0] * scale];
  return Float64Array.of(a, b, -a * m[2] - b * m[5], c, d, -c * m[2] - d * m[5]);
}
