/** The constants equal the Python runtime's, and none is missing. */

import assert from "node:assert/strict";
import { test } from "node:test";
import * as crop from "../../core/crop.js";
import * as detector from "../../core/detector.js";
import * as expressions from "../../core/expressions.js";
import * as geometry from "../../core/geometry.js";
import * as identity from "../../core/identity.js";
import * as motion from "../../core/motion.js";
import * as neutral from "../../core/neutral.js";
import * as observation from "../../core/observation.js";
import * as probation from "../../core/probation.js";
import { SCHEMES } from "../../core/schemes.js";
import * as smoothing from "../../core/smoothing.js";
import * as tracker from "../../core/tracker.js";
import { json } from "./golden.js";

const MODULES: object[] = [
  ...[crop, detector, geometry, identity, motion, observation, probation, smoothing, tracker],
  ...[neutral, expressions],
];

void test("constants equal the runtime's", () => {
  const exported = MODULES.flatMap((module) => Object.entries(module));
  const constants = exported.filter(([name]) => /^[A-Z][A-Z_]+$/.test(name));
  assert.deepEqual(Object.fromEntries(constants), json("constants.json"));
});

void test("schemes equal the runtime's", () => {
  const ours = [...SCHEMES.values()].map(({ name, count, edges }) => [name, { count, edges }]);
  assert.deepEqual(Object.fromEntries(ours), json("schemes.json"));
});
