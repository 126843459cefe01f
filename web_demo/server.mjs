/** A static server on localhost, for the built page. */

import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

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

/** Return the file that a request means, or undefined if the folder has none. */
function fileOf(folder, url) {
  let path;
  try {
    path = normalize(decodeURIComponent(new URL(url, "http://localhost").pathname));
  } catch {
    return undefined;
  }
  if (path.includes("\0")) return undefined;
  const file = join(folder, path.endsWith("/") ? join(path, "index.html") : path);
  return statSync(file, { throwIfNoEntry: false })?.isFile() ? file : undefined;
}

/** Serve a folder on localhost; return the server once it listens. Port 0: any free one. */
export function serve(folder, port = 0, isolated = false) {
  const server = createServer((request, response) => {
    const file = fileOf(folder, request.url);
    if (file === undefined) {
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
