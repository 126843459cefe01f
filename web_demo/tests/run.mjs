/** Compile the unit tests into build/tests and run them: node tests/run.mjs. */

import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const out = join(root, "build", "tests");
const names = readdirSync(join(root, "tests"), { recursive: true }).filter((name) => /\.test\.(ts|mjs)$/.test(name));
rmSync(out, { recursive: true, force: true });
await build({
  entryPoints: names.map((name) => join(root, "tests", name)),
  outdir: out,
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  sourcemap: "inline",
  logLevel: "warning",
});
const files = readdirSync(out, { recursive: true }).filter((name) => name.endsWith(".js"));
const node = ["--enable-source-maps", "--test", ...files.map((name) => join(out, name))];
const { status } = spawnSync(process.execPath, node, { stdio: "inherit", cwd: root });
process.exit(status ?? 1);
