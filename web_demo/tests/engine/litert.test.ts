import assert from "node:assert/strict";
import { test } from "node:test";
import { threadCount } from "../../engine/litert.js";

void test("threads are half of the cores, one to four", () => {
  assert.deepEqual([1, 2, 4, 7, 8, 64].map(threadCount), [1, 1, 2, 3, 4, 4]);
});
