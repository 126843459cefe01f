/** Inputs, outputs, and thresholds of a model, read from its file: edge_runtime/spec.py, which explains the fields. */

import { associatedFile } from "./archive.js";
import { ModelFileError } from "./errors.js";
import { EXPRESSIONS } from "./expressions.js";
import { ROI_MARGIN } from "./geometry.js";
import { isObject, isWhole } from "./json.js";
import { SCHEMES, type LandmarkScheme } from "./schemes.js";
import { edgesOf, pointsOf, templateOf, type Template } from "./template.js";

/** Supported version of the spec. Fields and outputs that this reader does not know do not change it. */
export const FORMAT_VERSION = 1;

const SPEC_FILE = "model_spec.json";
const HOW_TO_MAKE = "make one with `make export-tflite`";
const RENAMED: Readonly<Record<string, string>> = { most_uncertain: "uncertainty_threshold" };
const RENAMED_OUTPUTS: Readonly<Record<string, string>> = { regions: "rois" };

/** Name to shape without the batch axis, in the file's order. */
export type Outputs = ReadonlyMap<string, readonly number[]>;

/** Specification of one exported model. */
export interface ModelSpec {
  readonly name: string;
  readonly isDetector: boolean;
  /** Those of `knownOutputs`, then any of later versions. */
  readonly outputs: Outputs;
  /** Names of the outputs that this version knows: those that a `Backend` returns. */
  readonly knownOutputs: readonly string[];
  /** Side of the square RGB input, pixels. */
  readonly inputSize: number;
  /** Margin of the crop rule in training. */
  readonly cropMargin: number;
  /** The model was trained on upright crops; see `uprightRoll`. */
  readonly upright: boolean;
  /** Minimum confidence for a crop to count as a face. For a detector: minimum score of a detection. */
  readonly trackThreshold: number;
  /** Confidence below which a tracked face is lost at once. */
  readonly lostThreshold: number;
  /** Maximum mean standard deviation of a new face's landmarks, crop widths. */
  readonly uncertaintyThreshold: number;
  /** Storage of weights and activations: `fp32`, `fp16`, or `int8`. */
  readonly precision: string;
  /** Upright mean face, x0, y0, x1 ... in [0, 1] of the crop; empty for a detector. */
  readonly meanShape: Float32Array;
  /** Name of the landmarks' scheme; empty for a detector. */
  readonly schemeName: string;
  /** Names and edges of the landmarks; undefined for an unknown scheme. */
  readonly scheme: LandmarkScheme | undefined;
  /** Template that the model was exported with. */
  readonly template: Template | undefined;
  /** Number of query points of the second input; 0: none. */
  readonly prompts: number;
}

/**
 * Return the outputs of a landmark model in order; `points` are those of a template or query points. Expressions are in
 * the order of `EXPRESSIONS`, and each eye's gaze is in the pose's frame.
 */
export function standardOutputs(
  landmarks: number,
  withHeads = true,
  points = 0,
  withExpressions = false,
): [string, number[]][] {
  const heads: [string, number[]][] = [
    ["pose", [3]],
    ["confidence", [1]],
  ];
  const extra: [string, number[]][] = [
    ["points", [points, 2]],
    ["points_uncertainty", [points]],
  ];
  const expressions: [string, number[]][] = [
    ["expressions", [EXPRESSIONS.length]],
    ["gaze", [2, 2]],
  ];
  return [
    ["landmarks", [landmarks, 2]],
    ["uncertainty", [landmarks]],
    ...(withHeads ? heads : []),
    ...(points > 0 ? extra : []),
    ...(withExpressions ? expressions : []),
  ];
}

/** Return the outputs of a face detector with `grid` cells per side. Earlier versions have no roll. */
export function detectorOutputs(grid: number, withRoll = true): [string, number[]][] {
  const roll: [string, number[]][] = [["roll", [grid, grid, 2]]];
  return [["scores", [grid, grid]], ["rois", [grid, grid, 3]], ...(withRoll ? roll : [])];
}

const KNOWN_OUTPUTS = new Set([...standardOutputs(1, true, 1, true), ...detectorOutputs(1)].map(([name]) => name));

/** Read the spec of a .tflite file. ModelFileError, with the file's name, if it has none or cannot be used. */
export function readSpec(file: Uint8Array, name: string): ModelSpec {
  const fail = (message: string): ModelFileError => new ModelFileError(`${name}${message}; ${HOW_TO_MAKE}`);
  if (file.length === 0) throw fail(" is empty");
  // Bytes 4 to 8 of every TFLite file.
  if (String.fromCharCode(...file.subarray(4, 8)) !== "TFL3") throw fail(" is not a TFLite file or is damaged");
  try {
    const text = associatedFile(file, SPEC_FILE);
    if (text === undefined) {
      throw new ModelFileError("no model spec: it was not exported by this project or is truncated");
    }
    return parseSpec(text);
  } catch (error) {
    if (error instanceof Error) throw fail(`: ${error.message}`);
    throw error;
  }
}

/** Parse a spec's JSON, of this or another version; unknown fields are ignored. Error names an invalid field. */
export function parseSpec(text: string): ModelSpec {
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch (error) {
    throw new ModelFileError(`the model spec is not JSON: ${String(error)}`);
  }
  check(isObject(given), "the model spec must be a JSON object");
  const values = Object.fromEntries(Object.entries(given).map(([key, value]) => [RENAMED[key] ?? key, value]));
  // First: another version may have other fields.
  check(
    values.format_version === FORMAT_VERSION,
    `the model spec's format_version is ${JSON.stringify(values.format_version)}, this runtime reads ` +
      `${FORMAT_VERSION}: update the page, or export the model again`,
  );
  return specOf(values);
}

function specOf(values: Record<string, unknown>): ModelSpec {
  const take = fieldsOf(values);
  const outputs = outputsOf(values.outputs);
  const isDetector = outputs.has("scores");
  const missing = ["name", ...(isDetector ? [] : ["scheme", "mean_shape"])].filter((name) => !(name in values));
  check(missing.length === 0, `the model spec lacks ${missing.join(", ")}`);
  const meanShape = pointsOf(values.mean_shape ?? []);
  check(meanShape !== undefined, "mean_shape must hold finite (N, 2) points");
  const schemeName = take("scheme", "");
  const trackThreshold = take("track_threshold", 0.7);
  const spec: ModelSpec = {
    name: take("name", ""),
    isDetector,
    outputs,
    knownOutputs: [...outputs.keys()].filter((name) => KNOWN_OUTPUTS.has(name)),
    inputSize: take("input_size", 112),
    cropMargin: take("crop_margin", ROI_MARGIN),
    upright: take("upright", true),
    trackThreshold,
    lostThreshold: isDetector ? trackThreshold : take("lost_threshold", 0.4),
    uncertaintyThreshold: take("uncertainty_threshold", 0.07),
    precision: take("precision", "fp32"),
    meanShape,
    schemeName,
    scheme: definedScheme(values.scheme_definition) ?? SCHEMES.get(schemeName),
    template: values.template == null ? undefined : templateOf(values.template),
    prompts: take("prompts", 0),
  };
  checkSpec(spec);
  return spec;
}

/** Return a reader of fields with the type of their default. */
function fieldsOf(values: Record<string, unknown>) {
  return <T extends string | number | boolean>(name: string, initial: T): Widened<T> => {
    const value = values[name] ?? initial;
    const wrong = `the model spec has a field of the wrong type: ${name} is ${JSON.stringify(value)}`;
    check(typeof value === typeof initial, wrong);
    return value as Widened<T>;
  };
}

type Widened<T> = T extends string ? string : T extends number ? number : boolean;

function outputsOf(values: unknown): Outputs {
  check(isObject(values), "the model spec lacks outputs");
  return new Map(
    Object.entries(values).map(([name, shape]) => {
      check(Array.isArray(shape) && shape.every(isWhole), `output ${name} has no shape`);
      return [RENAMED_OUTPUTS[name] ?? name, shape];
    }),
  );
}

function definedScheme(values: unknown): LandmarkScheme | undefined {
  if (!isObject(values)) return undefined;
  const { name, count, edges } = values;
  check(typeof name === "string" && isWhole(count), "scheme_definition needs name and count");
  const pairs = edgesOf(edges ?? [], count);
  check(pairs !== undefined, `scheme ${name}: edges must be pairs of two of its ${count} landmarks`);
  return { name, count, edges: pairs };
}

function checkSpec(spec: ModelSpec): void {
  const landmarks = spec.meanShape.length / 2;
  const points = spec.template === undefined ? spec.prompts : spec.template.points.length / 2;
  check(isWhole(spec.prompts) && spec.prompts >= 0, `prompts must be a whole number, got ${spec.prompts}`);
  check(spec.prompts === 0 || spec.template === undefined, "a model has a template or query points");
  if (!spec.isDetector) check(landmarks > 0, "mean_shape must hold finite (N, 2) points, got none");
  const grid = spec.outputs.get("scores")?.[0] ?? 0;
  const expected = spec.isDetector
    ? [detectorOutputs(grid), detectorOutputs(grid, false)]
    : [
        standardOutputs(landmarks, true, points),
        standardOutputs(landmarks, false, points),
        standardOutputs(landmarks, true, points, true),
      ];
  const known = JSON.stringify([...spec.outputs].slice(0, spec.knownOutputs.length));
  check(
    expected.some((each) => JSON.stringify(each) === known),
    `outputs must be ${expected.map((each) => JSON.stringify(each)).join(" or ")} in this order, ` +
      `others only after them, got ${JSON.stringify([...spec.outputs])}`,
  );
  const { scheme, inputSize, cropMargin, lostThreshold, trackThreshold } = spec;
  if (scheme !== undefined && !spec.isDetector) {
    check(scheme.count === landmarks, `scheme ${scheme.name} has ${scheme.count} points, mean_shape has ${landmarks}`);
  }
  check(isWhole(inputSize) && inputSize >= 8, `input_size must be a whole number from 8, got ${inputSize}`);
  check(Number.isFinite(cropMargin) && cropMargin >= 0, `crop_margin must be 0 or more, got ${cropMargin}`);
  check(
    0 < lostThreshold && lostThreshold <= trackThreshold && trackThreshold < 1,
    `thresholds must satisfy 0 < lost_threshold <= track_threshold < 1, got ${lostThreshold} and ${trackThreshold}`,
  );
  check(spec.uncertaintyThreshold > 0, `uncertainty_threshold must be positive, got ${spec.uncertaintyThreshold}`);
}

function check(condition: boolean, message: string): asserts condition {
  if (!condition) throw new ModelFileError(message);
}
