import assert from "node:assert/strict";
import { test } from "node:test";
import { labelText, opacity } from "../../page/overlay.js";

void test("uncertain points are transparent", () => {
  assert.equal(opacity(0, 200), 1);
  assert.equal(opacity(0.005 * 200, 200), 1);
  assert.ok(Math.abs(opacity(1, 200) - opacity(2, 400)) < 1e-12, "in units of the face");
  assert.ok(opacity(2, 200) > opacity(4, 200));
  assert.ok(Math.abs(opacity(100, 200) - 0.12) < 1e-12);
});

void test("labels of several faces are short", () => {
  const face = { id: 3, confidence: 0.987, rotation: Float64Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1) };
  assert.equal(labelText(face, 1), "#3  0.99  pitch +0° yaw +0° roll +0°");
  assert.equal(labelText(face, 2), "#3  0.99");
});
