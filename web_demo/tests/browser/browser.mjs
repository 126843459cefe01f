/** Chromium with a fake camera, and the page in it. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { serve } from "../../server.mjs";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const QUIET = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"];

/** Return the path of Chromium, or undefined if there is none; CHROMIUM names another one. */
export function findChromium() {
  return [process.env.CHROMIUM, ...PLACES].find((path) => path && existsSync(path));
}

/** Start Chromium with a fake camera that plays a clip. Without `allow`, it refuses the camera. */
export function launch(clip, allow = true) {
  const camera = ["--use-fake-device-for-media-stream", `--use-file-for-fake-video-capture=${clip}`];
  const permission = allow ? "--use-fake-ui-for-media-stream" : "--deny-permission-prompts";
  const args = ["--no-sandbox", "--disable-gpu", "--disable-sync", permission, ...QUIET, ...camera];
  return chromium.launch({ executablePath: findChromium(), args });
}

/** Runs in the page: note each frame that the worker tracked, by the number in the squares of its lower left corner. */
function recordFrames({ bits, side, most }) {
  const canvas = new OffscreenCanvas(bits * side, 1);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const numberIn = (bitmap) => {
    context.drawImage(bitmap, 0, bitmap.height - side / 2, bits * side, 1, 0, 0, bits * side, 1);
    const { data } = context.getImageData(0, 0, bits * side, 1);
    return Array.from({ length: bits }, (_, bit) => (data[(bit + 0.5) * side * 4] > 127 ? 2 ** bit : 0)).reduce(
      (a, b) => a + b,
    );
  };
  globalThis.recorded = [];
  globalThis.Worker = class extends Worker {
    times = new Map();

    constructor(...script) {
      super(...script);
      this.addEventListener("message", ({ data: { number, tracked } }) => {
        if (tracked === undefined || recorded.length >= most) return;
        const faces = tracked.faces.map(({ id, age, landmarks }) => ({ id, age, landmarks: [...landmarks] }));
        recorded.push({ number: numberIn(tracked.bitmap), time: this.times.get(number), faces });
      });
    }

    postMessage(message, options) {
      if (message.kind === "track") this.times.set(message.number, message.time);
      super.postMessage(message, options);
    }
  };
}

/** A page on its own server; it collects what must not happen. */
export class DemoPage {
  problems = [];
  requests = [];

  static async open(browser, folder, { isolated = false, record, ...options } = {}) {
    const demo = new DemoPage();
    demo.server = await serve(folder, 0, isolated);
    demo.origin = `http://localhost:${demo.server.address().port}`;
    const permissions = ["clipboard-read", "clipboard-write"];
    demo.context = await browser.newContext({ viewport: { width: 1180, height: 900 }, permissions, ...options });
    demo.context.on("request", (request) => {
      const url = request.url();
      demo.requests.push(url);
      if (!url.startsWith(`${demo.origin}/`) && !url.startsWith("blob:")) demo.problems.push(`request to ${url}`);
    });
    if (record) await demo.context.addInitScript(recordFrames, record);
    demo.page = await demo.context.newPage();
    demo.page.setDefaultTimeout(120_000); // on two slow cores, beside other work
    demo.page.on("pageerror", (error) => demo.problems.push(`error: ${error.message}`));
    demo.page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) demo.problems.push(`console: ${message.text()}`);
    });
    await demo.page.goto(`${demo.origin}/`);
    return demo;
  }

  /** Wait until the status matches, or an error is shown: that is an error here, too. */
  async waitFor(pattern) {
    await this.page.waitForFunction(
      (source) => {
        const text = (id) => document.getElementById(id)?.textContent ?? "";
        return new RegExp(source).test(text("status")) || !document.getElementById("message")?.hidden;
      },
      pattern.source,
      { timeout: 60_000 },
    );
    const message = this.page.locator("#message");
    if (await message.isVisible()) throw new Error(`the page says: ${await message.textContent()}`);
  }

  /** Wait for the error that the page shows, and return it. */
  async message() {
    await this.page.waitForSelector("#message:not([hidden])", { timeout: 60_000 });
    return this.page.textContent("#message");
  }

  /** Press the button that copies the results, and return them. */
  async copied() {
    await this.page.evaluate(() => navigator.clipboard.writeText(""));
    await this.page.click("#copy");
    await this.page.waitForFunction(() => navigator.clipboard.readText(), null, { timeout: 10_000 });
    return JSON.parse(await this.page.evaluate(() => navigator.clipboard.readText()));
  }

  async close() {
    await this.context.close();
    this.server.close();
  }
}

/** Return the folder of this demo's build output. */
export function buildFolder(...parts) {
  return join(import.meta.dirname, "..", "..", "build", ...parts);
}
