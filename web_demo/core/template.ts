/** Custom points in canonical face space: edge_runtime/template.py. */

import { TemplateError } from "./errors.js";
import { isObject, isWhole } from "./json.js";
import { SCHEMES, type Edges } from "./schemes.js";

/** Maximum number of points. */
export const MAX_POINTS = 256;

/** Named set of points. */
export interface Template {
  readonly name: string;
  /** x0, y0, x1 ... in [0, 1]. */
  readonly points: Float32Array;
  readonly edges: Edges;
}

/** Read a template from its JSON. TemplateError if it is none. */
export function parseTemplate(text: string): Template {
  let values: unknown;
  try {
    values = JSON.parse(text);
  } catch (error) {
    throw new TemplateError(`the template is not JSON: ${String(error)}`);
  }
  return templateOf(values);
}

/** Create a template from its JSON values. TemplateError names an invalid field. */
export function templateOf(values: unknown): Template {
  if (!isObject(values) || !("points" in values)) {
    throw new TemplateError("a template is a JSON object with `name` and `points`");
  }
  const { name } = values;
  if (typeof name !== "string" || name.trim() === "") {
    throw new TemplateError("a template needs a name, got " + JSON.stringify(name));
  }
  const invalid = (message: string): TemplateError => new TemplateError(`template ${name}: ${message}`);
  if (SCHEMES.has(name)) throw invalid("this is the name of a landmark scheme; rename the template");
  const points = pointsOf(values.points);
  if (points === undefined || points.length === 0) throw invalid("points must be pairs of finite numbers, one or more");
  const count = points.length / 2;
  if (count > MAX_POINTS) throw invalid(`got ${count} points, expected at most ${MAX_POINTS}`);
  const outside = points.findIndex((value) => value < 0 || value > 1);
  if (outside >= 0) throw invalid(`point ${Math.floor(outside / 2)} lies outside [0, 1]`);
  const edges = edgesOf(values.edges ?? [], count);
  if (edges === undefined) throw invalid(`edges must be pairs of two of its ${count} points`);
  return { name, points, edges };
}

/** Convert (N, 2) finite numbers of a JSON value to flat points; undefined if they are not. */
export function pointsOf(values: unknown): Float32Array | undefined {
  const isPoint = (row: unknown): row is number[] =>
    Array.isArray(row) && row.length === 2 && row.every((value) => Number.isFinite(value));
  if (!Array.isArray(values) || !values.every(isPoint)) return undefined;
  return Float32Array.from(values.flat());
}

/** Convert pairs of different indices below `count` of a JSON value; undefined if they are not. */
export function edgesOf(values: unknown, count: number): Edges | undefined {
  const isIndex = (value: unknown): boolean => isWhole(value) && value >= 0 && value < count;
  const isEdge = (row: unknown): row is [number, number] =>
    Array.isArray(row) && row.length === 2 && row.every(isIndex) && row[0] !== row[1];
  return Array.isArray(values) && values.every(isEdge) ? values : undefined;
}
