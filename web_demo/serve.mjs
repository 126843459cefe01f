/**
 * Serve the built page on localhost: node serve.mjs [FOLDER [PORT [--isolated]]].
 *
 * `--isolated` lets the page share memory between threads; other servers need the same two headers for that.
 */

import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const TYPES = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".json": "application/json",
  ".mjs": "text/javascript",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};
const ISOLATION = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

/** Serve a folder on localhost; return the server once it listens. Port 0: any free one. */
export function serve(folder, port = 0, isolated = false) {
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://localhost").pathname));
    const file = join(folder, path.endsWith("/") ? join(path, "index.html") : path);
    if (!statSync(file, { throwIfNoEntry: false })?.isFile()) {
      response.writeHead(404, { "Content-Type": "text/plain" }).end("not found");
      return;
    }
    response.writeHead(200, {
      "Content-Type": TYPES[extname(file)] ?? "application/octet-stream",
      "Cache-Control": "no-cache",
      ...(isolated ? ISOLATION : {}),
    });
    createReadStream(file).pipe(response);
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "localhost", () => resolve(server));
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const here = dirname(fileURLToPath(import.meta.url));
  const isolated = process.argv.includes("--isolated");
  const [folder = join(here, "..", "dist", "web"), port = "8000"] = process.argv
    .slice(2)
    .filter((each) => !each.startsWith("--"));
  const server = await serve(folder, Number(port), isolated);
  console.log(`open http://localhost:${server.address().port}/ (Ctrl-C ends)`);
}
