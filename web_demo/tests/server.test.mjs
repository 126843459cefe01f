import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { serve } from "../server.mjs";

/** Ask for a path as it is; `fetch` would tidy it. */
function ask(port, path) {
  return new Promise((resolve, reject) => {
    const asked = request({ host: "localhost", port, path }, (response) => {
      let text = "";
      response.on("data", (part) => (text += part));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, text }));
    });
    asked.on("error", reject).end();
  });
}

test("the folder's files are served, and no others", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "served-"));
  context.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, "web"));
  writeFileSync(join(folder, "web", "index.html"), "the page");
  writeFileSync(join(folder, "secret"), "not served");
  const server = await serve(join(folder, "web"), 0, true);
  context.after(() => server.close());
  const { port } = server.address();
  const page = await ask(port, "/");
  assert.deepEqual([page.status, page.text], [200, "the page"]);
  assert.equal(page.headers["content-type"], "text/html; charset=utf-8");
  assert.equal(page.headers["cross-origin-opener-policy"], "same-origin");
  for (const path of ["/absent", "/../secret", "/..%2fsecret", "/%2e%2e%2fsecret", "/%", "/a%00", "//["]) {
    assert.equal((await ask(port, path)).status, 404, path);
  }
});
