import assert from "node:assert/strict";
import { test } from "node:test";
import { matchOutputs, type FileOutput } from "../../core/outputs.js";
import { standardOutputs, type ModelSpec } from "../../core/spec.js";
import { networkSpec } from "./golden.js";

const STANDARD = standardOutputs(98);

/** Return a spec with the standard outputs, and with those that follow them. */
function specWith(later: [string, number[]][] = [], known = STANDARD): ModelSpec {
  return { ...networkSpec, outputs: new Map([...known, ...later]), knownOutputs: known.map(([name]) => name) };
}
const plain = specWith();
const withPoints = specWith([], standardOutputs(98, true, 3));

/** Return outputs of the spec's shapes in this order, with these names. */
function outputsOf(spec: ModelSpec, order: number[], name: (i: number) => string): FileOutput[] {
  const declared = [...spec.outputs.values()];
  return order.map((i) => ({ name: name(i), shape: declared[i] }));
}

const indices = (spec: ModelSpec, outputs: FileOutput[]): number[] => [...matchOutputs("a", spec, outputs).values()];

void test("names win", () => {
  const names = [...plain.outputs.keys()];
  assert.deepEqual(
    indices(
      plain,
      outputsOf(plain, [1, 3, 2, 0], (i) => names[i]),
    ),
    [3, 0, 2, 1],
  );
});

void test("shapes tell where they differ", () => {
  assert.deepEqual(
    indices(
      plain,
      outputsOf(plain, [1, 3, 2, 0], () => "x"),
    ),
    [3, 0, 2, 1],
  );
});

void test("numbers tell where shapes do not", () => {
  const outputs = outputsOf(withPoints, [5, 4, 3, 2, 1, 0], (i) => `StatefulPartitionedCall:${i}`);
  const same: FileOutput[] = outputs.map((output) => output);
  assert.deepEqual(indices(withPoints, same), [5, 4, 3, 2, 1, 0]);
  const equal = specWith([["points", [98, 2]]]);
  assert.deepEqual(
    indices(
      equal,
      outputsOf(equal, [4, 3, 2, 1, 0], (i) => `output_${i}`),
    ),
    [4, 3, 2, 1],
  );
});

void test("position tells the rest", () => {
  const equal = specWith([["points", [98, 2]]]);
  assert.deepEqual(
    indices(
      equal,
      outputsOf(equal, [0, 1, 2, 3, 4], () => "x"),
    ),
    [0, 1, 2, 3],
  );
});

void test("outputs of later versions are left out", () => {
  const later = specWith([["hair", [2, 2]]]);
  assert.deepEqual(
    indices(
      later,
      outputsOf(later, [4, 1, 3, 2, 0], () => "x"),
    ),
    [4, 1, 3, 2],
  );
});

void test("files that do not match the spec are refused", () => {
  const fewer = outputsOf(plain, [0, 1, 2], () => "x");
  assert.throws(() => matchOutputs("face.tflite", plain, fewer), /face.tflite gives x/);
  const equal = specWith([["points", [98, 2]]]);
  assert.throws(
    () =>
      indices(
        equal,
        outputsOf(equal, [1, 0, 2, 3, 4], () => "x"),
      ),
    /cannot tell/,
  );
});
