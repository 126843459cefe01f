/**
 * Compare inference engines in Chromium, in one run: node benchmark/engines.mjs > engines.json
 *
 * LiteRT runs the shipped .tflite files, onnxruntime-web the .onnx files of `make export-onnx` (dist/). onnxruntime-web is
 * not among the demo's packages: `npm install --no-save onnxruntime-web@1.30.0` first. Engines take turns, so that a
 * change of the clock affects all alike; milliseconds per run in a worker, one thread.
 */

import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { buildFolder, launch } from "../tests/browser/browser.mjs";
import { serve } from "../server.mjs";

const ROUNDS = 5;
const RUNS = 60;
const WARM_UP = 10;

const demo = join(import.meta.dirname, "..");
const root = join(demo, "..");
const site = buildFolder("engines");
const packages = join(demo, "node_modules");
const wasm = {
  litert: join(packages, "@litertjs", "core", "wasm", "litert_wasm_internal.wasm"),
  onnxruntime: join(packages, "onnxruntime-web", "dist", "ort-wasm-simd-threaded.wasm"),
};
const models = [
  ...["atpn_int8", "atpn_fp16", "atpn_lite_int8", "atpn_lite_fp16", "detector_fp32"].map((name) => [
    "litert",
    join(root, "edge_runtime", "models", `${name}.tflite`),
  ]),
  ...["atpn_fp32", "atpn_lite_fp32", "detector_fp32"].map((name) => [
    "onnxruntime",
    join(root, "dist", `${name}.onnx`),
  ]),
];

const WORKERS = {
  litert: `
    import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";
    self.Module = { locateFile: (name) => "/" + name, printErr: () => {} };
    const ready = loadLiteRt("/litert_wasm_internal.js");
    self.load = async (url) => { await ready; const model = await loadAndCompile(url, { accelerator: "wasm" });
      return async (data, shape) => { const input = new Tensor(data, shape); const results = await model.run([input]);
        input.delete(); for (const each of results) { each.toTypedArray(); each.delete(); } }; };`,
  onnxruntime: `
    import * as ort from "onnxruntime-web/wasm";
    ort.env.wasm.wasmPaths = "/"; ort.env.wasm.numThreads = 1;
    self.load = async (url) => { const session = await ort.InferenceSession.create(url);
      return async (data, shape) => { await session.run({ [session.inputNames[0]]: new ort.Tensor("uint8", data, shape) }); }; };`,
};
const COMMON = `
  let run;
  // An error of an asynchronous handler is one of the worker only if it is thrown again outside.
  self.onunhandledrejection = ({ reason }) => setTimeout(() => { throw reason; });
  self.onmessage = async ({ data: { url, side, runs } }) => {
    run ??= await self.load(url);
    const pixels = new Uint8Array(side * side * 3).map((_, i) => (i * 7919) % 256);
    const times = [];
    for (let i = 0; i < runs; i++) {
      const start = performance.now();
      await run(pixels, [1, side, side, 3]);
      times.push(performance.now() - start);
    }
    self.postMessage(times);
  };`;

rmSync(site, { recursive: true, force: true });
mkdirSync(site, { recursive: true });
for (const [name, source] of Object.entries(WORKERS)) {
  const entry = join(site, `${name}_source.js`);
  writeFileSync(entry, source + COMMON);
  await build({
    entryPoints: [entry],
    nodePaths: [packages],
    bundle: true,
    format: "iife",
    outfile: join(site, `${name}.js`),
  });
}
for (const path of Object.values(wasm)) {
  const glue = path.replace(/wasm$/, path.includes("litert") ? "js" : "mjs");
  for (const file of [path, glue]) cpSync(file, join(site, file.split("/").at(-1)));
}
for (const [, path] of models) copyFileSync(path, join(site, path.split("/").at(-1)));
writeFileSync(join(site, "index.html"), "<!doctype html><title>engines</title>");

const server = await serve(site, 0, true);
const browser = await launch("");
const page = await browser.newPage();
await page.goto(`http://localhost:${server.address().port}/`);
const jobs = models.map(([engine, path]) => {
  const name = path.split("/").at(-1);
  return { engine, name, url: `/${name}`, side: name.startsWith("detector") ? 192 : 112 };
});
const times = await page.evaluate(
  async ({ jobs, rounds, runs }) => {
    const workers = jobs.map(({ engine }) => new Worker(`/${engine}.js`));
    const all = jobs.map(() => []);
    for (let round = 0; round < rounds; round++) {
      for (const [i, job] of jobs.entries()) {
        const found = await new Promise((resolve, reject) => {
          workers[i].onmessage = ({ data }) => resolve(data);
          workers[i].onerror = ({ message }) => reject(new Error(`${job.name}: ${message}`));
          workers[i].postMessage({ ...job, runs });
        });
        all[i].push(...found);
      }
    }
    return all;
  },
  { jobs, rounds: ROUNDS, runs: RUNS },
);
const results = jobs.map(({ engine, name }, i) => {
  const sorted = times[i].slice(WARM_UP).sort((a, b) => a - b);
  const at = (fraction) => Number(sorted[Math.floor(fraction * (sorted.length - 1))].toFixed(2));
  return { engine, name, least_ms: at(0), median_ms: at(0.5), p95_ms: at(0.95) };
});
const sizes = Object.entries(wasm).map(([engine, path]) => ({
  engine,
  wasm_bytes: statSync(path).size,
  gzip_bytes: gzipSync(readFileSync(path), { level: 9 }).length,
}));
console.log(JSON.stringify({ browser: browser.version(), sizes, results }, null, 1));
await browser.close();
server.close();
