import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { decompressed } from "../../engine/gzip.js";

const FILE = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0);

void test("files are decompressed, whether or not the server has done it", async () => {
  assert.deepEqual(await decompressed(new Uint8Array(gzipSync(FILE))), FILE);
  assert.deepEqual(await decompressed(FILE), FILE);
});

void test("a truncated file is an error", async () => {
  await assert.rejects(decompressed(new Uint8Array(gzipSync(FILE)).subarray(0, 20)));
});
