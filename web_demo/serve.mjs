/**
 * Serve the built page on localhost: node serve.mjs [FOLDER [PORT]] [--isolated].
 *
 * `--isolated` lets the page share memory between threads; other servers need the same two headers for that.
 */

import { join } from "node:path";
import { serve } from "./server.mjs";

const isolated = process.argv.includes("--isolated");
const places = process.argv.slice(2).filter((each) => !each.startsWith("--"));
const [folder = join(import.meta.dirname, "..", "dist", "web"), port = "8000"] = places;
try {
  const server = await serve(folder, Number(port), isolated);
  console.log(`open http://localhost:${server.address().port}/ (Ctrl-C ends)`);
} catch (error) {
  console.error(
    `error: cannot serve on port ${port}: ${error.message}; give another one: node serve.mjs ${folder} 8001`,
  );
  process.exitCode = 1;
}
