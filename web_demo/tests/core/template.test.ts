import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_POINTS, parseTemplate } from "../../core/template.js";

void test("a template's points and edges are read", () => {
  const template = parseTemplate('{"name": "lips", "points": [[0.25, 0.5], [0.75, 1]], "edges": [[0, 1]]}');
  assert.equal(template.name, "lips");
  assert.deepEqual([...template.points], [0.25, 0.5, 0.75, 1]);
  assert.deepEqual(template.edges, [[0, 1]]);
  assert.deepEqual(parseTemplate('{"name": "a", "points": [[0, 0]], "edges": null, "names": ["x"]}').edges, []);
});

void test("invalid templates are refused", () => {
  const rejects = (values: unknown, expected: RegExp): void => {
    assert.throws(() => parseTemplate(JSON.stringify(values)), expected);
  };
  assert.throws(() => parseTemplate("{"), /is not JSON/);
  rejects([], /a JSON object with `name` and `points`/);
  rejects({ points: [[0, 0]] }, /needs a name/);
  rejects({ name: "wflw98", points: [[0, 0]] }, /rename the template/);
  rejects({ name: "a", points: [] }, /one or more/);
  rejects({ name: "a", points: [[0, "x"]] }, /pairs of finite numbers/);
  rejects(
    {
      name: "a",
      points: [
        [0, 0],
        [0, 1.5],
      ],
    },
    /point 1 lies outside/,
  );
  rejects({ name: "a", points: [[0, 0]], edges: [[0, 1]] }, /pairs of two of its 1 points/);
  rejects({ name: "a", points: Array(MAX_POINTS + 1).fill([0, 0]) }, /got 257 points, expected at most 256/);
});
