import assert from "node:assert/strict";
import { test } from "node:test";
import { ModelFileError } from "../../core/errors.js";
import { parseSpec, readSpec } from "../../core/spec.js";
import { bytes, detectorSpec, networkSpec } from "./golden.js";

const VALUES = {
  name: "lips",
  scheme: "pair",
  mean_shape: [
    [0.25, 0.5],
    [0.75, 0.5],
  ],
  format_version: 1,
  outputs: { landmarks: [2, 2], uncertainty: [2], pose: [3], confidence: [1] },
};

const parse = (changes: object): ReturnType<typeof parseSpec> => parseSpec(JSON.stringify({ ...VALUES, ...changes }));

void test("the exported files' specs are read", () => {
  assert.equal(networkSpec.scheme?.name, "wflw98");
  assert.deepEqual(networkSpec.outputs.get("landmarks"), [98, 2]);
  assert.equal(networkSpec.meanShape.length, 98 * 2);
  assert.equal(networkSpec.inputSize, 112);
  assert.ok(networkSpec.upright && !networkSpec.isDetector);
  assert.ok(detectorSpec.isDetector);
  assert.equal(detectorSpec.inputSize, 192);
  assert.deepEqual(detectorSpec.knownOutputs, ["scores", "rois", "roll"]);
});

void test("omitted fields have the runtime's defaults", () => {
  const spec = parse({});
  assert.deepEqual([spec.trackThreshold, spec.lostThreshold], [0.7, 0.4]);
  assert.deepEqual([spec.uncertaintyThreshold, spec.cropMargin], [0.07, 0.25]);
  assert.deepEqual([...spec.meanShape], [0.25, 0.5, 0.75, 0.5]);
  assert.equal(spec.scheme, undefined);
});

void test("the definition of a scheme is read", () => {
  assert.deepEqual(parse({ scheme_definition: { name: "pair", count: 2, edges: [[0, 1]] } }).scheme?.edges, [[0, 1]]);
});

void test("names of earlier specs are read", () => {
  assert.equal(parse({ most_uncertain: 0.05 }).uncertaintyThreshold, 0.05);
  const detector = { scheme: "", mean_shape: [], outputs: { scores: [2, 2], regions: [2, 2, 3] } };
  assert.deepEqual([...parse(detector).outputs.keys()], ["scores", "rois"]);
});

void test("what later versions add is ignored", () => {
  const later = { ...VALUES.outputs, hair: [3], tongue: [2, 2] };
  const spec = parse({ outputs: later, checksum: "ab" });
  assert.deepEqual(spec.knownOutputs, ["landmarks", "uncertainty", "pose", "confidence"]);
  assert.throws(() => parse({ outputs: { hair: [3], ...VALUES.outputs } }), /others only after them/);
});

void test("expressions and gaze come last", () => {
  const outputs = { ...VALUES.outputs, expressions: [52], gaze: [2, 2] };
  assert.deepEqual(parse({ outputs }).knownOutputs.slice(-2), ["expressions", "gaze"]);
  assert.deepEqual(parse({ outputs: { ...outputs, hair: [3] } }).knownOutputs.slice(-2), ["expressions", "gaze"]);
  const points = { points: [3, 2], points_uncertainty: [3] };
  assert.equal(
    parse({ outputs: { ...VALUES.outputs, ...points, expressions: [52], gaze: [2, 2] }, prompts: 3 }).knownOutputs
      .length,
    8,
  );
  const rejects = (wrong: object): void => {
    assert.throws(() => parse({ outputs: wrong, prompts: "points" in wrong ? 3 : 0 }), /outputs must be/);
  };
  rejects({ ...VALUES.outputs, expressions: [51], gaze: [2, 2] });
  rejects({ ...VALUES.outputs, expressions: [52] });
  rejects({ ...VALUES.outputs, gaze: [2, 2], expressions: [52] });
  rejects({ landmarks: [2, 2], uncertainty: [2], expressions: [52], gaze: [2, 2] });
  rejects({ ...outputs, ...points });
});

void test("invalid fields are named", () => {
  const rejects = (changes: object, expected: RegExp): void => {
    assert.throws(() => parse(changes), expected);
  };
  rejects({ format_version: 2 }, /format_version is 2, this runtime reads 1/);
  rejects({ outputs: null }, /lacks outputs/);
  rejects({ outputs: { landmarks: "x" } }, /output landmarks has no shape/);
  rejects({ outputs: { landmarks: [2, 2] } }, /outputs must be/);
  rejects({ mean_shape: [[1]] }, /finite \(N, 2\) points/);
  rejects({ name: 3 }, /wrong type: name is 3/);
  rejects({ input_size: 4 }, /input_size must be a whole number from 8, got 4/);
  rejects({ input_size: 8.5 }, /input_size must be a whole number from 8, got 8.5/);
  rejects({ lost_threshold: 0.8 }, /got 0.8 and 0.7/);
  rejects({ uncertainty_threshold: 0 }, /uncertainty_threshold must be positive/);
  rejects({ scheme: "ibug68" }, /scheme ibug68 has 68 points, mean_shape has 2/);
  rejects({ template: { name: "x", points: [[2, 0]] } }, /point 0 lies outside/);
  rejects({ prompts: -1 }, /prompts must be a whole number/);
  assert.throws(() => parseSpec("[]"), /must be a JSON object/);
  assert.throws(() => parseSpec("{"), /is not JSON/);
});

void test("invalid files are refused, with their name", () => {
  const rejects = (file: Uint8Array, expected: string): void => {
    assert.throws(
      () => readSpec(file, "face.tflite"),
      (error) =>
        error instanceof ModelFileError && error.message.startsWith("face.tflite") && error.message.includes(expected),
      expected,
    );
  };
  const whole = bytes("network.tflite");
  rejects(new Uint8Array(0), "is empty");
  rejects(new TextEncoder().encode("<html>not found</html>"), "is not a TFLite file");
  rejects(whole.subarray(0, 8), "no model spec");
  rejects(whole.subarray(0, whole.length / 2), "no model spec");
  rejects(whole.subarray(0, whole.length - 1), "no model spec");
  const begin = whole.length - 22;
  const directory = new DataView(whole.buffer).getUint32(begin + 16, true);
  const compressed = whole.slice();
  compressed[directory + 10] = 8;
  rejects(compressed, "is compressed");
  const elsewhere = whole.slice();
  elsewhere[directory + 44] = 255;
  rejects(elsewhere, "no model spec");
  const endless = whole.slice();
  new DataView(endless.buffer).setUint32(begin + 16, 0xffffffff, true);
  rejects(endless, "no model spec");
});
