/** Which of a file's outputs is which of its spec's: `match_outputs` of edge_runtime/backends.py. */

import { ModelFileError } from "./errors.js";
import type { ModelSpec } from "./spec.js";

/** Output of a model file: its own name, and the shape without the batch axis. */
export interface FileOutput {
  readonly name: string;
  readonly shape: readonly number[];
}

/**
 * Return the index of the file's output for each known output of the spec, by name.
 *
 * Outputs are matched by name if the file has the spec's names, else by shape if all shapes differ, else by the number at
 * the end of the names, else by position. ModelFileError if the shapes do not match the spec.
 */
export function matchOutputs(file: string, spec: ModelSpec, outputs: readonly FileOutput[]): Map<string, number> {
  const declared = [...spec.outputs].map(([name, shape]) => ({ name, shape: String(shape) }));
  const given = outputs.map(({ name, shape }) => ({ name, shape: String(shape) }));
  const shapesOf = (each: readonly { shape: string }[]): string[] => each.map(({ shape }) => shape);
  if (String(shapesOf(given).sort()) !== String(shapesOf(declared).sort())) {
    throw new ModelFileError(`${file} gives ${written(given)}, its spec declares ${written(declared)}`);
  }
  const known = declared.slice(0, spec.knownOutputs.length);
  const pick = (same: (ours: Named, theirs: Named) => boolean): Map<string, number> =>
    new Map(known.map((ours) => [ours.name, given.findIndex((theirs) => same(ours, theirs))]));
  const equal = (ours: Named, theirs: Named): boolean => ours.name === theirs.name && ours.shape === theirs.shape;
  if (declared.every((ours) => given.some((theirs) => equal(ours, theirs)))) return pick(equal);
  if (new Set(shapesOf(declared)).size === declared.length) return pick((ours, theirs) => ours.shape === theirs.shape);
  const numbers = given.map(({ name }) => /\d+$/.exec(name)?.[0]);
  const order = given.map((_, i) => i);
  if (!numbers.includes(undefined)) order.sort((a, b) => Number(numbers[a]) - Number(numbers[b]));
  if (String(order.map((i) => given[i].shape)) !== String(shapesOf(declared))) {
    throw new ModelFileError(`${file}: cannot tell which of ${written(given)} is which of ${written(declared)}`);
  }
  // The known outputs come first.
  return new Map(known.map(({ name }, i) => [name, order[i]]));
}

interface Named {
  readonly name: string;
  readonly shape: string;
}

function written(outputs: readonly Named[]): string {
  return outputs.map(({ name, shape }) => `${name} (${shape})`).join(", ");
}
