/** Openings of eyes and mouth as ratios of landmark distances: edge_runtime/expression.py. */

import { clamp } from "./numbers.js";

/** A part's corners, and its pairs of upper and lower points. */
interface Part {
  readonly corners: readonly [number, number];
  readonly pairs: readonly (readonly [number, number])[];
}

const eye = (corners: Part["corners"], ...pairs: Part["pairs"]): Part => ({ corners, pairs });
const mouth = eye;

/** Parts of the image by scheme. */
const PARTS: Readonly<Record<string, Readonly<Record<string, Part>>>> = {
  wflw98: {
    left_eye: eye([60, 64], [61, 67], [62, 66], [63, 65]),
    right_eye: eye([68, 72], [69, 75], [70, 74], [71, 73]),
    mouth: mouth([88, 92], [89, 95], [90, 94], [91, 93]),
  },
  ibug68: {
    left_eye: eye([36, 39], [37, 41], [38, 40]),
    right_eye: eye([42, 45], [43, 47], [44, 46]),
    mouth: mouth([60, 64], [61, 67], [62, 66], [63, 65]),
  },
};

/** Return the landmarks' indices of `left_eye` or `right_eye` (the image's); none if the scheme has no lids. */
export function eyeLandmarks(eye: "left_eye" | "right_eye", scheme: string): readonly number[] {
  const parts = PARTS[scheme] ?? {};
  return eye in parts ? [parts[eye].corners, ...parts[eye].pairs].flat() : [];
}

/** Mean gap over the part's width at which it counts as shut, and as wide open. */
const EYE_LIMITS = [0.1, 0.27] as const;
const MOUTH_LIMITS = [0, 0.6] as const;

/**
 * Return how open the eyes (the image's left and right) and the mouth are, from flat landmarks.
 *
 * 0 is shut and 1 wide open. A scheme without lids and inner lips gives nothing.
 */
export function openings(landmarks: Float64Array, scheme: string): Record<string, number> {
  const distance = ([i, j]: readonly [number, number]): number =>
    Math.hypot(landmarks[2 * i] - landmarks[2 * j], landmarks[2 * i + 1] - landmarks[2 * j + 1]);
  const found: Record<string, number> = {};
  for (const [name, { corners, pairs }] of Object.entries(PARTS[scheme] ?? {})) {
    const [low, high] = name === "mouth" ? MOUTH_LIMITS : EYE_LIMITS;
    const gap = pairs.reduce((sum, pair) => sum + distance(pair), 0) / pairs.length;
    found[name] = clamp((gap / Math.max(distance(corners), 1e-6) - low) / (high - low), 0, 1);
  }
  return found;
}
