import assert from "node:assert/strict";
import { test } from "node:test";
import { EXPRESSIONS } from "../../core/expressions.js";
import { legendText, namedBars, pairedExpressions } from "../../page/panel.js";

const openings = { left_eye: 0.1, right_eye: 0.9, mouth: 0.5 };

void test("bars name the sides of the picture that is shown", () => {
  const bars = namedBars(openings, false);
  assert.deepEqual(bars, [
    ["eye, left", 0.1],
    ["eye, right", 0.9],
    ["mouth", 0.5],
  ]);
  assert.deepEqual(namedBars({}, false), [], "a scheme without lids");
});

void test("a mirror swaps the sides of the bars and of the axes", () => {
  const bars = namedBars(openings, true);
  assert.deepEqual(bars, [
    ["eye, left", 0.9],
    ["eye, right", 0.1],
    ["mouth", 0.5],
  ]);
  assert.match(legendText(false, false), /red right/);
  assert.match(legendText(true, true), /red left.*where the eyes look.*not mirrored/);
  assert.doesNotMatch(legendText(true, false), /eyes look/);
});

void test("left and right coefficients stand side by side", () => {
  const names = pairedExpressions();
  assert.deepEqual(names.slice(0, 4), ["eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight"]);
  assert.deepEqual(names.slice(-2), ["cheekPuff", "tongueOut"]);
  assert.deepEqual(names.sort(), [...EXPRESSIONS].sort());
});
