/**
 * Measure the built page in Chromium with a fake camera: node benchmark/page.mjs [MINUTES] > page.json
 *
 * Needs `tests/browser/check.mjs` once, for the clip and build/site. Time from opening to the first face, milliseconds
 * per frame by stage, what was downloaded, and memory: of the page's scripts after collection, and of its process.
 */

import { readFileSync, readdirSync, statSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { buildFolder, DemoPage, launch } from "../tests/browser/browser.mjs";

const SECONDS_PER_SAMPLE = 15;

const minutes = Number(process.argv[2] ?? 1);
const site = buildFolder("site");

/** Return the resident memory of Chromium's largest renderer, MiB: page and worker are one process. */
function rendererMemory() {
  const sizes = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
        if (!command.includes("--type=renderer")) return 0;
        return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024;
      } catch {
        return 0; // ended meanwhile
      }
    });
  return Math.round(Math.max(...sizes));
}

/** Return the bytes of the requested files as sent, and without the build's compression. */
function downloaded(urls) {
  const files = [...new Set(urls)].filter((url) => url.startsWith("http")).map((url) => new URL(url).pathname);
  const paths = files.map((path) => site + (path === "/" ? "/index.html" : path));
  const sent = paths.reduce((sum, path) => sum + statSync(path).size, 0);
  const whole = paths.reduce(
    (sum, path) => sum + (path.endsWith(".gz") ? gunzipSync(readFileSync(path)).length : statSync(path).size),
    0,
  );
  return { files: files.length, sent_bytes: sent, whole_bytes: whole };
}

function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

const browser = await launch(buildFolder("clip", "clip.y4m"));
const start = performance.now();
const demo = await DemoPage.open(browser, site);
await demo.waitFor(/Ready/);
const ready = performance.now() - start;
await demo.page.click("#start-camera");
await demo.waitFor(/Tracking [1-9]/);
const firstFace = performance.now() - start;
const session = await demo.context.newCDPSession(demo.page);
const memory = [];
const times = {};
const rates = [];
const end = performance.now() + 60_000 * minutes;
do {
  await demo.page.waitForTimeout(SECONDS_PER_SAMPLE * 1000);
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  memory.push({ heap_mib: Number((usedSize / 2 ** 20).toFixed(2)), process_mib: rendererMemory() });
  const rows = await demo.page.$$eval("#times tr", (all) =>
    all.map((row) => [...row.cells].map((cell) => cell.textContent)),
  );
  for (const [name, value] of rows) (times[name] ??= []).push(parseFloat(value));
  rates.push(Number(/(\d+) frames/.exec(await demo.page.textContent("#status"))?.[1] ?? NaN));
} while (performance.now() < end);
console.log(
  JSON.stringify(
    {
      browser: browser.version(),
      engine: await demo.page.textContent("#engine"),
      ready_ms: Math.round(ready),
      first_face_ms: Math.round(firstFace),
      downloaded: downloaded(demo.requests),
      stage_ms: Object.fromEntries(Object.entries(times).map(([name, values]) => [name, median(values)])),
      frames_per_second: median(rates),
      memory,
      problems: demo.problems,
    },
    null,
    1,
  ),
);
await demo.close();
await browser.close();
