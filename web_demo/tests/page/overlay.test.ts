import assert from "node:assert/strict";
import { test } from "node:test";
import { Roi } from "../../core/geometry.js";
import { gazeRays, labelText, opacity } from "../../page/overlay.js";

void test("uncertain points are transparent", () => {
  assert.equal(opacity(0, 200), 1);
  assert.equal(opacity(0.005 * 200, 200), 1);
  assert.ok(Math.abs(opacity(1, 200) - opacity(2, 400)) < 1e-12, "in units of the face");
  assert.ok(opacity(2, 200) > opacity(4, 200));
  assert.ok(Math.abs(opacity(100, 200) - 0.12) < 1e-12);
});

void test("rays leave the middles of both eyes, the subject's left one first", () => {
  const landmarks = new Float64Array(2 * 98);
  for (let i = 60; i < 68; i++) landmarks.set([100, 50], 2 * i); // the image's left eye
  for (let i = 68; i < 76; i++) landmarks.set([160, 50], 2 * i);
  const gaze = Float64Array.of(Math.PI / 6, 0, 0, -Math.PI / 6); // to the image's right; down
  const face = { landmarks, gaze, scheme: "wflw98", roi: new Roi(130, 60, 200) };
  const [left, right] = gazeRays(face).map((ray) => ray.map((value) => Number(value.toFixed(9))));
  assert.deepEqual(left, [160, 50, 200, 50]);
  assert.deepEqual(right, [100, 50, 100, 90]);
  assert.deepEqual(gazeRays({ ...face, gaze: undefined }), []);
  assert.deepEqual(gazeRays({ ...face, scheme: "celeba5" }), [], "no lids");
});

void test("labels of several faces are short", () => {
  const face = { id: 3, confidence: 0.987, rotation: Float64Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1) };
  assert.equal(labelText(face, 1), "#3  0.99  pitch +0° yaw +0° roll +0°");
  assert.equal(labelText(face, 2), "#3  0.99");
});
