/**
 * Check the page in Chromium: node tests/browser/check.mjs [MODEL.tflite]. Exit code 77 if there is no Chromium.
 *
 * MODEL is checked beside the shipped models: one with expressions, where those have none.
 * The fake camera plays a rendered clip, and Python has tracked the same frames. PYTHON is the interpreter; by default,
 * that of the checkout's environment. Screenshots are in build.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { buildFolder, DemoPage, findChromium, launch } from "./browser.mjs";

/** Maximum distance of a landmark from Python's on the same frame of the camera, pixels. */
const CAMERA_TOLERANCE = 1;

/** The same in a picture, which both read without loss. */
const PICTURE_TOLERANCE = 0.01;

/** What the clip's frames carry (clip.py), and how many of them are compared. */
const RECORD = { bits: 8, side: 16, most: 100 };

/** One gray pixel. */
const GIF = "R0lGODlhAQABAIAAAICAgAAAACwAAAAAAQABAAACAkQBADs=";
const PYTHON = process.env.PYTHON ?? join(import.meta.dirname, "..", "..", "..", ".venv", "bin", "python");

const demo = join(import.meta.dirname, "..", "..");
const root = join(demo, "..");
const more = process.argv.slice(2, 3).map((path) => resolve(path));
const site = buildFolder("site");
const clip = buildFolder("clip");

function run(command, args, cwd) {
  const environment = { ...process.env, PYTHONPATH: root };
  const { status } = spawnSync(command, args, { cwd, env: environment, stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed`);
}

function readJson(name) {
  return JSON.parse(readFileSync(join(clip, name), "utf8"));
}

/** Return the largest distance between two lists of points. */
function largestDistance(first, second) {
  assert.equal(first.length, second.length);
  return Math.max(...first.map(([x, y], i) => Math.hypot(x - second[i][0], y - second[i][1])));
}

/** The page finds the face and keeps it, and finds on each frame what Python finds on it. */
async function checkCamera(browser) {
  const demoPage = await DemoPage.open(browser, site, { record: RECORD });
  const { page } = demoPage;
  await demoPage.waitFor(/Ready/);
  // The int8 file turns one gray level, which the camera's colors may differ by, into pixels.
  await page.selectOption("#model", "atpn_fp16.tflite");
  await page.selectOption("#max-faces", "1");
  await page.fill("#smoothing", "0");
  await page.click("#start-camera");
  await demoPage.waitFor(/Tracking 1 face/);
  await page.waitForFunction((most) => globalThis.recorded.length >= most, RECORD.most, { timeout: 300_000 });
  const seen = await page.evaluate(() => globalThis.recorded);
  writeFileSync(join(clip, "seen.json"), JSON.stringify(seen.map(({ number, time }) => [number, time])));
  run(PYTHON, [join(import.meta.dirname, "clip.py"), "replay", clip], root);
  const replayed = readJson("replayed.json");
  let farthest = 0;
  seen.forEach(({ faces }, i) => {
    const ids = (list) => list.map(({ id, age }) => [id, age]);
    assert.deepEqual(ids(faces), ids(replayed[i]), `ids and ages of frame ${i}`);
    faces.forEach(({ landmarks }, k) => {
      const points = landmarks.flatMap((x, at) => (at % 2 === 0 ? [[x, landmarks[at + 1]]] : []));
      farthest = Math.max(farthest, largestDistance(points, replayed[i][k].landmarks));
    });
  });
  assert.deepEqual(
    seen.at(-1).faces.map(({ id }) => id),
    [0],
    "the face keeps its id",
  );
  assert.ok(farthest <= CAMERA_TOLERANCE, `landmarks are ${farthest} px from Python's`);
  console.log(`camera: ${seen.length} frames, ids equal, landmarks within ${farthest.toFixed(2)} px of Python's`);
  await page.fill("#smoothing", "0.5");
  await page.waitForTimeout(500);
  await page.screenshot({ path: buildFolder("page.png") });
  await demoPage.context.setOffline(true);
  await page.waitForTimeout(500);
  await demoPage.waitFor(/Tracking 1 face/);
  const before = await demoPage.copied();
  await page.waitForTimeout(500);
  assert.ok((await demoPage.copied()).time > before.time, "it tracks without a network");
  await demoPage.context.setOffline(false);
  await page.selectOption("#model", "atpn_int8.tflite");
  await page.waitForFunction(() => document.getElementById("engine").textContent.includes("int8"));
  await demoPage.waitFor(/Tracking 1 face/);
  assert.equal((await demoPage.copied()).model, "atpn int8");
  assert.match(await page.textContent("#legend"), /red left/, "the camera is shown as a mirror does");
  await page.uncheck("#mirror");
  assert.match(await page.textContent("#legend"), /red right/);
  await page.click("#stop");
  assert.ok(await page.isDisabled("#copy"), "nothing is shown, so nothing can be copied");
  await page.click("#start-camera");
  await demoPage.waitFor(/Tracking 1 face/);
  assert.deepEqual(
    (await demoPage.copied()).faces.map(({ id }) => id),
    [0],
    "ids of a new source begin at 0",
  );
  await page.click("#stop");
  await checkLateCamera(page);
  await finish(demoPage);
}

/** A camera that is allowed only after Stop is released at once. */
async function checkLateCamera(page) {
  await page.evaluate(() => {
    const getUserMedia = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wanted) => {
      globalThis.lateStream = await getUserMedia(wanted);
      await new Promise((resolve) => (globalThis.allowCamera = resolve));
      return globalThis.lateStream;
    };
  });
  await page.click("#start-camera");
  await page.waitForFunction(() => globalThis.allowCamera);
  await page.click("#stop");
  await page.evaluate(() => globalThis.allowCamera());
  await page.waitForFunction(() => globalThis.lateStream.getTracks().every(({ readyState }) => readyState === "ended"));
}

/** The page finds in a picture what Python finds, with one of the page's models. */
async function checkPicture(browser, model, expectedName) {
  const [expected] = readJson(expectedName);
  const demoPage = await DemoPage.open(browser, site);
  const { page } = demoPage;
  await choose(demoPage, model);
  await page.setInputFiles("#file", join(clip, "picture.png"));
  await demoPage.waitFor(/Found 1 face/);
  const [face] = (await demoPage.copied()).faces;
  const distance = largestDistance(face.landmarks, expected.landmarks);
  assert.ok(distance <= PICTURE_TOLERANCE, `landmarks are ${distance} px from Python's`);
  assert.deepEqual(Object.keys(face), Object.keys(expected));
  for (const [name, value] of Object.entries(expected.openings))
    assert.ok(Math.abs(face.openings[name] - value) < 1e-3);
  for (const [name, value] of Object.entries(expected.pose.angles)) {
    assert.ok(
      Math.abs(face.pose.angles[name] - value) < 1e-3,
      `${name} is ${face.pose.angles[name]}, expected ${value}`,
    );
  }
  for (const [name, value] of Object.entries(expected.expressions ?? {}))
    assert.ok(Math.abs(face.expressions[name] - value) < 1e-3, `${name} is ${face.expressions[name]}, not ${value}`);
  assert.ok(expected.gaze === undefined || largestDistance(face.gaze, expected.gaze) < 1e-3, "gaze");
  console.log(`picture, ${model}: landmarks within ${distance.toFixed(4)} px of Python's`);
  await finish(demoPage);
}

/** Wait until the page is ready with this model. */
async function choose(demoPage, model) {
  await demoPage.waitFor(/Ready/);
  await demoPage.page.selectOption("#model", model);
  await demoPage.waitFor(/Ready/);
}

/** A model with expressions has a bar per coefficient, readable on a phone, and a calibration. */
async function checkExpressions(browser, model) {
  const demoPage = await DemoPage.open(browser, site, { viewport: { width: 390, height: 800 } });
  const { page } = demoPage;
  await choose(demoPage, model);
  if (await page.isHidden("#expressions")) {
    console.log(`expressions: ${model} gives none; give a model that does`);
    return finish(demoPage);
  }
  assert.ok(await page.isDisabled("#calibrate"), "without a stream, there is nothing to calibrate");
  await page.click("#start-camera");
  await demoPage.waitFor(/Tracking 1 face/);
  const bars = page.locator(".expression");
  assert.equal(await bars.count(), 52);
  const cut = await bars.evaluateAll((all) => all.filter((bar) => bar.scrollWidth > bar.clientWidth).length);
  assert.equal(cut, 0, "all names are readable");
  const sum = (face) => Object.values(face.expressions).reduce((total, value) => total + value);
  const [before] = (await demoPage.copied()).faces;
  assert.deepEqual([Object.keys(before.expressions).length, before.gaze.flat().length], [52, 4]);
  await page.click("#calibrate");
  await page.waitForFunction(() => document.getElementById("calibrate").textContent.startsWith("Calibrating"));
  await page.waitForFunction(() => document.getElementById("calibrate").textContent.startsWith("Calibrate:"));
  const [after] = (await demoPage.copied()).faces;
  assert.ok(sum(after) < sum(before), `at rest, the coefficients sum to ${sum(after)}; before, to ${sum(before)}`);
  await page.screenshot({ path: buildFolder("expressions_phone.png"), fullPage: true });
  await page.click("#expressions summary");
  assert.ok(await bars.first().isHidden(), "the bars can be folded");
  await page.click("#expressions summary");
  await page.setViewportSize({ width: 1180, height: 900 });
  await page.waitForTimeout(500);
  await page.screenshot({ path: buildFolder("expressions.png") });
  console.log(`expressions: 52 bars, calibrated from ${sum(before).toFixed(2)} to ${sum(after).toFixed(2)}`);
  await finish(demoPage);
}

/** From the second visit on, the page opens without its server. */
async function checkOffline(browser) {
  const demoPage = await DemoPage.open(browser, site);
  const { page } = demoPage;
  await demoPage.waitFor(/Ready/);
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
  await page.reload();
  await demoPage.waitFor(/Ready/);
  await finish(demoPage, false);
  demoPage.server.closeAllConnections();
  await page.reload();
  await demoPage.waitFor(/Ready/);
  await page.setInputFiles("#file", join(clip, "picture.png"));
  await demoPage.waitFor(/Found 1 face/);
  console.log("offline: the page opens and finds the face");
  await demoPage.context.close();
}

/** Return those of an element's corners and its center that something else covers. */
function coveredPoints(page, selector) {
  return page.$eval(selector, (element) => {
    const { left, right, top, bottom } = element.getBoundingClientRect();
    const inset = 5; // within the rounded corners
    const corners = [left + inset, right - inset].flatMap((x) => [top + inset, bottom - inset].map((y) => [x, y]));
    const points = [...corners, [(left + right) / 2, (top + bottom) / 2]];
    return points.filter(([x, y]) => document.elementFromPoint(x, y) !== element);
  });
}

/** What goes wrong is said, and the page goes on. */
async function checkErrors(browser) {
  const demoPage = await DemoPage.open(browser, site, { viewport: { width: 390, height: 800 } });
  const { page } = demoPage;
  await demoPage.waitFor(/Ready/);
  await page.setInputFiles("#file", { name: "clip.mp4", mimeType: "video/mp4", buffer: Buffer.from("no video") });
  assert.match(await demoPage.message(), /clip.mp4 cannot be read.*damaged/);
  assert.deepEqual(await coveredPoints(page, "#message"), [], "the error is readable");
  assert.equal(await page.textContent("#status"), "Ready.", "nothing ran, so nothing stopped");
  assert.ok(await page.isChecked("#mirror"), "a file that does not open leaves the settings");
  await page.setInputFiles("#file", { name: "a.png", mimeType: "image/png", buffer: Buffer.from("no picture") });
  await page.waitForFunction(() => document.getElementById("message").textContent.startsWith("a.png"));
  await page.click("#start-camera");
  await page.waitForFunction(() => document.getElementById("message").textContent.includes("camera"));
  assert.match(await demoPage.message(), /The camera is not allowed|No camera was found/);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(overflow <= 0, `the page is ${overflow} px wider than a phone's screen`);
  await page.setInputFiles("#file", join(clip, "picture.png"));
  await demoPage.waitFor(/Found 1 face/);
  await page.screenshot({ path: buildFolder("phone.png") });
  assert.ok(await page.isEnabled("#copy"));
  await page.setInputFiles("#file", { name: "b.png", mimeType: "image/png", buffer: Buffer.from("no picture") });
  await page.waitForFunction(() => document.getElementById("message").textContent.startsWith("b.png"));
  assert.ok(await page.isDisabled("#copy"), "a failed file leaves nothing to copy");
  await page.setInputFiles("#file", { name: "a.gif", mimeType: "image/gif", buffer: Buffer.from(GIF, "base64") });
  await demoPage.waitFor(/Found no faces in the first picture of the GIF/);
  console.log("errors: said, and the page goes on");
  await finish(demoPage);
}

async function finish(demoPage, closing = true) {
  assert.deepEqual(demoPage.problems, [], "no request elsewhere, no error in the console");
  demoPage.server.close();
  if (closing) await demoPage.context.close();
}

if (findChromium() === undefined) {
  console.log("no Chromium: apt-get install chromium, or set CHROMIUM to its path; the browser check is skipped");
  process.exit(77);
}
mkdirSync(clip, { recursive: true });
run(PYTHON, [join(import.meta.dirname, "clip.py"), "write", clip, ...more], root);
run(process.execPath, ["build.mjs", site, ...more], demo);
const camera = join(clip, "clip.y4m");
const browser = await launch(camera);
try {
  await checkCamera(browser);
  await checkPicture(browser, "atpn_int8.tflite", "expected.json");
  for (const path of more) await checkPicture(browser, basename(path), "expected_more.json");
  await checkExpressions(browser, basename(more.at(0) ?? "atpn_int8.tflite"));
  await checkOffline(browser);
} finally {
  await browser.close();
}
const refusing = await launch(camera, false);
try {
  await checkErrors(refusing);
} finally {
  await refusing.close();
}
