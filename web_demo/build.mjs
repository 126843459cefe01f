/**
 * Build the page into a folder that any static server serves: node build.mjs [FOLDER [MODEL.tflite ...]].
 *
 * FOLDER is by default ../dist/web. Models beside the shipped ones are offered by the page, too.
 */

import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(here);
const out = process.argv[2] ?? join(root, "dist", "web");
const more = process.argv.slice(3);
const SHIPPED = join(root, "edge_runtime", "models");
const TEMPLATES = join(root, "atpn", "templates");
const ENGINE = join(here, "node_modules", "@litertjs", "core", "wasm");
/** Builds of the engine: for browsers with relaxed SIMD, the same with threads, and for those without. */
const VARIANTS = ["", "_threaded", "_compat"];
const LABELS = {
  "atpn_int8.tflite": "fast (int8)",
  "atpn_fp16.tflite": "precise (fp16)",
  "atpn_lite_int8.tflite": "lite, for slow devices (int8)",
  "atpn_lite_fp16.tflite": "lite (fp16)",
};

rmSync(out, { recursive: true, force: true });
for (const folder of ["models", "templates", "engine"]) mkdirSync(join(out, folder), { recursive: true });

const common = { bundle: true, minify: true, target: "es2022", logLevel: "warning" };
await build({ ...common, entryPoints: [join(here, "page", "main.ts")], outdir: out, format: "esm" });
// The engine's loader needs a classic worker.
await build({ ...common, entryPoints: [join(here, "page", "worker.ts")], outdir: out, format: "iife" });
for (const name of ["index.html", "style.css", "icon.svg", "service_worker.js"])
  copyFileSync(join(here, "page", name), join(out, name));

for (const variant of VARIANTS) {
  const name = `litert_wasm${variant}_internal`;
  copyFileSync(join(ENGINE, `${name}.js`), join(out, "engine", `${name}.js`));
  writeFileSync(
    join(out, "engine", `${name}.wasm.gz`),
    gzipSync(readFileSync(join(ENGINE, `${name}.wasm`)), { level: 9 }),
  );
}

copyFileSync(join(SHIPPED, "detector_fp32.tflite"), join(out, "models", "detector_fp32.tflite"));
const models = [...Object.keys(LABELS).map((name) => join(SHIPPED, name)), ...more];
for (const path of models) copyFileSync(path, join(out, "models", basename(path)));
const templates = readdirSync(TEMPLATES).filter((name) => name.endsWith(".json"));
for (const name of templates) copyFileSync(join(TEMPLATES, name), join(out, "templates", name));
const listing = {
  models: models.map((path) => ({ file: basename(path), label: LABELS[basename(path)] ?? basename(path) })),
  templates: templates.map((name) => name.replace(/\.json$/, "")),
};
writeFileSync(join(out, "models.json"), JSON.stringify(listing, null, 1));

const sizes = readdirSync(out, { recursive: true })
  .map((name) => [name, statSync(join(out, name))])
  .filter(([, stat]) => stat.isFile());
for (const [name, { size }] of sizes) console.log(`${String(Math.ceil(size / 1024)).padStart(6)} KiB  ${name}`);
console.log(`${out}: serve this folder`);
