import assert from "node:assert/strict";
import { test } from "node:test";
import { cameraError } from "../../page/sources.js";

void test("each camera error says what to do", () => {
  const said = (name: string): string => cameraError(Object.assign(new Error("why"), { name }));
  assert.match(said("NotAllowedError"), /Allow it for this page/);
  assert.match(said("NotFoundError"), /Connect one, or open a video or a picture/);
  assert.match(said("NotReadableError"), /Another program may be using it/);
  assert.equal(said("AbortError"), "The camera does not start: why");
  assert.equal(cameraError("why"), "The camera does not start: why");
});
