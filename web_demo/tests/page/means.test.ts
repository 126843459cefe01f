import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameRate, RunningMeans } from "../../page/means.js";

void test("means begin with the first value and follow the next ones", () => {
  const means = new RunningMeans();
  assert.equal(means.add("a", 10), 10);
  assert.equal(means.add("a", 20), 11);
  assert.equal(means.add("b", 1), 1);
  means.clear();
  assert.equal(means.add("a", 3), 3);
});

void test("the rate is that of the last two seconds", () => {
  const rate = new FrameRate();
  assert.equal(rate.add(0), 0);
  assert.equal(rate.add(0), 0);
  for (let time = 5000; time < 7000; time += 100) rate.add(time);
  assert.equal(rate.add(7000), 10);
});
