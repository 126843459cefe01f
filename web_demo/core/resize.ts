/** `cv2.resize`, equal to the byte: by area to shrink, bilinear to enlarge. */

import type { Image } from "./image.js";
import { clamp, rint } from "./numbers.js";

/** Fraction bits of a bilinear weight. */
const WEIGHT_BITS = 11;

/** Resize an image to width x height RGB pixels, row by row. */
export function resize(image: Image, width: number, height: number): Uint8Array {
  const scaleX = 1 / (width / image.width);
  const scaleY = 1 / (height / image.height);
  const stepX = Math.round(scaleX);
  const stepY = Math.round(scaleY);
  if (width === image.width && height === image.height) return blocks(image, width, height, 1, 1);
  if (scaleX < 1 || scaleY < 1) return bilinear(image, width, height);
  const whole = Math.max(Math.abs(scaleX - stepX), Math.abs(scaleY - stepY)) < Number.EPSILON;
  return whole ? blocks(image, width, height, stepX, stepY) : areas(image, width, height, scaleX, scaleY);
}

/** Average blocks of whole pixels. */
function blocks(image: Image, width: number, height: number, stepX: number, stepY: number): Uint8Array {
  const { pixels, offset, pixelStride, rowStride } = image;
  const result = new Uint8Array(width * height * 3);
  const scale = Math.fround(1 / (stepX * stepY));
  const pairs = stepX === 2 && stepY === 2;
  let at = 0;
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const start = offset + row * stepY * rowStride + column * stepX * pixelStride;
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0;
        for (let y = 0; y < stepY; y++) {
          const line = start + y * rowStride + channel;
          for (let x = 0; x < stepX; x++) sum += pixels[line + x * pixelStride];
        }
        // 2 x 2 rounds half up, other blocks half to even.
        result[at++] = pairs ? (sum + 2) >> 2 : rint(Math.fround(sum * scale));
      }
    }
  }
  return result;
}

/** Weights of a line's pixels, from `first`, in one pixel of a shorter line. */
interface Cell {
  readonly first: number;
  readonly weights: Float32Array;
}

function cells(from: number, to: number, scale: number): Cell[] {
  return Array.from({ length: to }, (_, i) => {
    const begin = i * scale;
    const end = begin + scale;
    const width = Math.min(scale, from - begin);
    const lastWhole = Math.min(Math.floor(end), from - 1);
    const firstWhole = Math.min(Math.ceil(begin), lastWhole);
    const before = firstWhole - begin > 1e-3;
    const weights: number[] = before ? [(firstWhole - begin) / width] : [];
    for (let whole = firstWhole; whole < lastWhole; whole++) weights.push(1 / width);
    if (end - lastWhole > 1e-3) weights.push(Math.min(end - lastWhole, 1, width) / width);
    return { first: before ? firstWhole - 1 : firstWhole, weights: Float32Array.from(weights) };
  });
}

/** Average areas of fractional pixels, in OpenCV's single precision. */
function areas(image: Image, width: number, height: number, scaleX: number, scaleY: number): Uint8Array {
  const { pixels, offset, pixelStride, rowStride } = image;
  const columns = cells(image.width, width, scaleX);
  const result = new Uint8Array(width * height * 3);
  const sums = new Float32Array(width * 3);
  for (const [row, lines] of cells(image.height, height, scaleY).entries()) {
    sums.fill(0);
    for (const [k, weight] of lines.weights.entries()) {
      const line = offset + (lines.first + k) * rowStride;
      for (let column = 0; column < width; column++) {
        const { first, weights } = columns[column];
        for (let channel = 0; channel < 3; channel++) {
          let at = line + first * pixelStride + channel;
          let sum = 0;
          for (let i = 0; i < weights.length; i++, at += pixelStride) {
            sum = Math.fround(sum + Math.fround(pixels[at] * weights[i]));
          }
          sums[3 * column + channel] += Math.fround(weight * sum);
        }
      }
    }
    for (let i = 0; i < sums.length; i++) result[row * width * 3 + i] = clamp(rint(sums[i]), 0, 255);
  }
  return result;
}

/** The two pixels of a line that are interpolated, and the weight of the second in 1/2048. */
interface Neighbors {
  readonly first: number;
  readonly second: number;
  readonly weight: number;
}

function neighbors(from: number, to: number): Neighbors[] {
  const scale = 1 / (to / from);
  return Array.from({ length: to }, (_, i) => {
    const position = Math.fround((i + 0.5) * scale - 0.5);
    const first = Math.floor(position);
    const weight = rint(Math.fround(position - first) * (1 << WEIGHT_BITS));
    return { first: clamp(first, 0, from - 1), second: clamp(first + 1, 0, from - 1), weight };
  });
}

function bilinear(image: Image, width: number, height: number): Uint8Array {
  const { pixels, offset, pixelStride, rowStride } = image;
  const columns = neighbors(image.width, width);
  const one = 1 << WEIGHT_BITS;
  const result = new Uint8Array(width * height * 3);
  let at = 0;
  for (const row of neighbors(image.height, height)) {
    for (const column of columns) {
      for (let channel = 0; channel < 3; channel++) {
        const line = (y: number): number => {
          const start = offset + y * rowStride + channel;
          const left = pixels[start + column.first * pixelStride];
          const right = pixels[start + column.second * pixelStride];
          return (left * (one - column.weight) + right * column.weight) >> 4;
        };
        const upper = (line(row.first) * (one - row.weight)) >> 16;
        const lower = (line(row.second) * row.weight) >> 16;
        result[at++] = (upper + lower + 2) >> 2;
      }
    }
  }
  return result;
}
