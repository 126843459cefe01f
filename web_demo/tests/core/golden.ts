/** Golden vectors of `edge_runtime`, written by `python -m export golden`. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Intrinsics, Roi } from "../../core/geometry.js";
import { imageOf, type Image } from "../../core/image.js";
import { readSpec } from "../../core/spec.js";

/** Maximum difference from the runtime's results, in their unit. */
export const TOLERANCE = 1e-4;

/** Interval of recorded pixels. */
const SAMPLE_STEP = 16;

/** The tests run in web_demo. */
const FOLDER = "../android_demo/core/src/test/resources/golden";

/** Recorded pixels of an image. */
export interface Pixels {
  readonly crc: number;
  readonly samples: readonly number[];
}

/** [face, left, top, scale] of a face in a frame. */
export type Sprite = readonly [number, number, number, number];

export function bytes(name: string): Uint8Array {
  return new Uint8Array(readFileSync(`${FOLDER}/${name}`));
}

export function json(name: string): unknown {
  return JSON.parse(readFileSync(`${FOLDER}/${name}`, "utf8"));
}

export const networkSpec = readSpec(bytes("network.tflite"), "network.tflite");
export const detectorSpec = readSpec(bytes("detector.tflite"), "detector.tflite");
const faces = [ppm("face_0.ppm"), ppm("face_1.ppm")];

function ppm(name: string): Image {
  const content = bytes(name);
  const header = new TextDecoder().decode(content.subarray(0, 20)).split("\n");
  const [width, height] = header[1].split(" ").map(Number);
  return imageOf(content.subarray(content.length - 3 * width * height), width, height, 3);
}

export function roiOf(values: readonly number[]): Roi {
  const [cx, cy, size, roll] = values;
  return new Roi(cx, cy, size, roll);
}

export function valuesOf({ cx, cy, size, roll }: Roi): number[] {
  return [cx, cy, size, roll];
}

export function intrinsicsOf(values: readonly number[]): Intrinsics {
  const [fx, fy, cx, cy] = values;
  return new Intrinsics(fx, fy, cx, cy);
}

/** Convert recorded numbers; null is NaN. */
export function doubles(values: readonly (number | null)[]): Float64Array {
  return Float64Array.from(values, (value) => value ?? NaN);
}

export function floats(values: readonly (number | null)[]): Float32Array {
  return Float32Array.from(values, (value) => value ?? NaN);
}

/** Render frame `number` of a sequence by the rule of export/testing/golden/scenes.py, as a canvas has it: RGBA. */
export function composite(width: number, height: number, number: number, sprites: readonly Sprite[]): Image {
  const pixels = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      // Integer arithmetic modulo 2^32.
      let mixed = Math.imul(x, 0x9e3779b1) ^ Math.imul(y, 0x85ebca77) ^ Math.imul(number, 0xc2b2ae3d);
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d);
      const noise = ((mixed ^ (mixed >>> 12)) >>> 8) & 7;
      const sprite = sprites.findLast(([face, left, top, scale]) => {
        const { width: columns, height: rows } = faces[face];
        return x >= left && y >= top && x < left + scale * columns && y < top + scale * rows;
      });
      for (let channel = 0; channel < 3; channel++) {
        let base = 60 + (Math.floor((x + 2 * y) / 8) % 64) + 20 * channel;
        if (sprite !== undefined) {
          const [face, left, top, scale] = sprite;
          const { pixels: own, rowStride } = faces[face];
          base = own[Math.floor((y - top) / scale) * rowStride + Math.floor((x - left) / scale) * 3 + channel];
        }
        pixels[(y * width + x) * 4 + channel] = Math.min(base + noise, 255);
      }
      pixels[(y * width + x) * 4 + 3] = 255;
    }
  }
  return imageOf(pixels, width, height, 4);
}

export function assertClose(what: string, expected: readonly (number | null)[], actual: ArrayLike<number>): void {
  assert.equal(actual.length, expected.length, `${what}: how many`);
  expected.forEach((value, i) => {
    const close = Math.abs((value ?? NaN) - actual[i]) <= TOLERANCE;
    assert.ok(close, `${what}[${i}]: expected ${value}, got ${actual[i]}`);
  });
}

/** Assert that size x size RGB pixels equal the recorded ones. */
export function assertPixels(what: string, expected: Pixels, pixels: Uint8Array, size: number): void {
  const samples: number[] = [];
  for (let y = SAMPLE_STEP / 2; y < size; y += SAMPLE_STEP) {
    for (let x = SAMPLE_STEP / 2; x < size; x += SAMPLE_STEP) {
      samples.push(...pixels.subarray((y * size + x) * 3, (y * size + x) * 3 + 3));
    }
  }
  assert.deepEqual(samples, expected.samples, `${what}: sampled pixels`);
  assert.equal(crc32(pixels), expected.crc, `${what}: checksum`);
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function crc32(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
