/** The page: connects source, worker, and view. */

import { faceRecord } from "../core/index.js";
import { TrackingClient } from "./client.js";
import { FrameRate, RunningMeans } from "./means.js";
import { STAGES, type Opened, type Tracked } from "./messages.js";
import { drawFrame } from "./overlay.js";
import { ExpressionBars, legendText, showFaces, showTimes } from "./panel.js";
import { closeVideo, grabFrame, openCamera, openPicture, openVideo } from "./sources.js";

/** What models.json lists: written by the build. */
interface Listing {
  readonly models: readonly { readonly file: string; readonly label: string }[];
  readonly templates: readonly string[];
}

/** What is shown now, to copy it, and to draw it again with another setting. */
type Shown = Pick<Tracked, "bitmap" | "faces"> & { readonly time: number };

const OWN_FILE = "file …";
const COPY_LABEL = "Copy results as JSON";
const COPIED_MILLISECONDS = 1500;
const CALIBRATE_LABEL = "Calibrate: relax your face";
const CALIBRATING_LABEL = "Calibrating: keep it relaxed …";

const byId = <Type extends HTMLElement>(id: string): Type => {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no element ${id}`);
  return found as Type;
};

const view = byId<HTMLCanvasElement>("view");
const video = byId<HTMLVideoElement>("video");
const fileInput = byId<HTMLInputElement>("file");
const modelSelect = byId<HTMLSelectElement>("model");
const templateSelect = byId<HTMLSelectElement>("template");
const templateFile = byId<HTMLInputElement>("template-file");
const maxFaces = byId<HTMLSelectElement>("max-faces");
const smoothing = byId<HTMLInputElement>("smoothing");
const mirror = byId<HTMLInputElement>("mirror");
const pauseButton = byId<HTMLButtonElement>("pause");
const stopButton = byId<HTMLButtonElement>("stop");
const copyButton = byId<HTMLButtonElement>("copy");
const expressions = byId<HTMLDetailsElement>("expressions");
const calibrateButton = byId<HTMLButtonElement>("calibrate");
const expressionBars = new ExpressionBars(byId("expression-bars"));

const client = new TrackingClient(new URL("worker.js", document.baseURI));
const means = new RunningMeans();
const rate = new FrameRate();
let listing: Listing = { models: [], templates: [] };
let opened: Opened | undefined;
let shown: Shown | undefined;
/** The picture that is shown, to find its faces again with other settings. */
let picture: File | undefined;
/** Number of the source; a loop ends when another source has begun. */
let source = 0;
let paused = false;

function isPaused(): boolean {
  return paused;
}

function say(text: string): void {
  byId("status").textContent = text;
}

function showError(error: unknown): void {
  const message = byId("message");
  message.textContent = error instanceof Error ? error.message : String(error);
  message.hidden = false;
  message.scrollIntoView({ block: "nearest" });
}

function hideError(): void {
  byId("message").hidden = true;
}

/** Run an action of the user's; its errors are shown. */
function run(action: () => Promise<void>): void {
  hideError();
  action().catch(showError);
}

/** Say what the page waits for while no source runs. */
function sayIdle(): void {
  if (opened === undefined) say("Loading the networks …");
  else say(opened.needsTemplate ? "Choose the points to find." : "Ready.");
}

/** Load the chosen model and template. */
async function openModel(): Promise<void> {
  means.clear();
  setCalibrating(false);
  opened = undefined; // frames wait
  sayIdle();
  opened = await client.open({
    model: modelSelect.value,
    template: await chosenTemplate(),
    maxFaces: Number(maxFaces.value),
  });
  byId("engine").textContent = `${opened.engine}. Model: ${opened.name}, ${opened.precision}.`;
  listTemplates(opened);
  expressions.hidden = !opened.hasExpressions;
  sayIdle();
  if (picture !== undefined && !opened.needsTemplate) await showPicture(picture);
}

/** Return the JSON of the chosen template. */
async function chosenTemplate(): Promise<string | undefined> {
  const name = templateSelect.value;
  if (name === OWN_FILE) return templateFile.files?.[0]?.text();
  return listing.templates.includes(name) ? (await fetch(`templates/${name}.json`)).text() : undefined;
}

/** Offer what the model takes: templates if it has query points, else what it finds. */
function listTemplates({ prompts, template }: Opened): void {
  const takes = prompts > 0;
  const names = takes ? ["choose …", ...listing.templates, OWN_FILE] : [template?.name ?? "98 landmarks"];
  const before = templateSelect.value;
  templateSelect.replaceChildren(...names.map((name) => new Option(name)));
  if (names.includes(before)) templateSelect.value = before;
  templateSelect.disabled = !takes;
  byId("template-file-row").hidden = templateSelect.value !== OWN_FILE;
}

/** End the present source and return the next one's number. */
function nextSource(): number {
  closeVideo(video);
  clearView();
  picture = undefined;
  paused = false;
  pauseButton.textContent = "Pause";
  setCalibrating(false);
  calibrateButton.disabled = true;
  return ++source;
}

/** Run a source. An error ends it; if nothing was shown yet, settings and status are as before it. */
async function runSource(mirrored: boolean, body: (isCurrent: () => boolean) => Promise<void>): Promise<void> {
  const mine = nextSource();
  const isCurrent = (): boolean => mine === source;
  const wasMirrored = mirror.checked;
  mirror.checked = mirrored;
  setRunning(true);
  try {
    await body(isCurrent);
  } catch (error) {
    if (!isCurrent()) return; // the user has gone on
    const ran = shown !== undefined;
    stop();
    if (!ran) {
      mirror.checked = wasMirrored;
      sayIdle();
    }
    throw error;
  }
}

async function startStream(open: (isCurrent: () => boolean) => Promise<void>, isCamera: boolean): Promise<void> {
  await runSource(isCamera, async (isCurrent) => {
    await open(isCurrent);
    if (isCurrent()) await client.begin();
    if (isCurrent()) calibrateButton.disabled = false;
    while (isCurrent()) await nextStreamFrame(isCurrent, isCamera);
  });
}

/** Wait for the video's next frame, track it, and show it. */
async function nextStreamFrame(isCurrent: () => boolean, isCamera: boolean): Promise<void> {
  await newFrame();
  if (paused || opened === undefined || opened.needsTemplate || video.videoWidth === 0 || !isCurrent()) return;
  const time = isCamera ? performance.now() / 1000 : video.currentTime;
  const tracked = await client.track("track", await grabFrame(video), time, Number(smoothing.value));
  // The user may have paused or stopped meanwhile.
  if (!isCurrent() || isPaused()) return;
  show(tracked, time);
  setCalibrating(tracked.calibrating);
}

/** Wait until the video has a new frame, or the screen is drawn if it has none. */
function newFrame(): Promise<unknown> {
  return new Promise((resolve) => {
    if (!paused && !video.paused && "requestVideoFrameCallback" in video) video.requestVideoFrameCallback(resolve);
    else requestAnimationFrame(resolve);
  });
}

async function showPicture(file: File): Promise<void> {
  const mine = source;
  const bitmap = await openPicture(file);
  const tracked = await client.track("detect", bitmap, 0, 0);
  if (mine === source) show(tracked, 0);
}

async function openFile(file: File): Promise<void> {
  if (file.type.startsWith("image/")) {
    await runSource(false, () => {
      pauseButton.disabled = true;
      picture = file;
      return showPicture(file);
    });
  } else {
    await startStream(() => openVideo(video, file), false);
  }
}

function show({ bitmap, faces, times }: Tracked, time: number): void {
  const start = performance.now();
  shown?.bitmap.close();
  shown = { time, bitmap, faces };
  copyButton.disabled = false;
  draw();
  const rows = STAGES.map((stage) => [stage, means.add(stage, times[stage])] as const);
  showTimes(byId("times"), [...rows, ["draw", means.add("draw", performance.now() - start)]]);
  const count = faces.length === 1 ? "1 face" : `${faces.length || "no"} faces`;
  // Browsers decode no more of it than that.
  const where = picture?.type === "image/gif" ? " in the first picture of the GIF" : "";
  say(picture ? `Found ${count}${where}.` : `Tracking ${count}, ${rate.add(start).toFixed(0)} frames per second.`);
}

/** Draw what is shown; its words are those of the picture, mirrored or not. */
function draw(): void {
  byId("legend").textContent = legendText(mirror.checked, opened?.hasExpressions ?? false);
  if (shown === undefined) return;
  const edges = { edges: opened?.edges ?? [], templateEdges: opened?.template?.edges ?? [] };
  drawFrame(view, shown.bitmap, shown.faces, { ...edges, mirror: mirror.checked });
  showFaces(byId("faces"), shown.faces, mirror.checked);
  if (expressions.open) expressionBars.show(shown.faces.at(0)?.expressions);
}

function clearView(): void {
  shown?.bitmap.close();
  shown = undefined;
  copyButton.disabled = true;
  view.getContext("2d")?.clearRect(0, 0, view.width, view.height);
  showFaces(byId("faces"), [], false);
  expressionBars.show(undefined);
}

function setRunning(running: boolean): void {
  byId("welcome").hidden = running;
  pauseButton.disabled = !running;
  stopButton.disabled = !running;
}

function stop(): void {
  nextSource();
  setRunning(false);
  say("Stopped.");
}

function togglePause(): void {
  paused = !paused;
  pauseButton.textContent = paused ? "Continue" : "Pause";
  if (paused) video.pause();
  else run(() => video.play());
}

function setCalibrating(calibrating: boolean): void {
  calibrateButton.textContent = calibrating ? CALIBRATING_LABEL : CALIBRATE_LABEL;
}

async function calibrate(): Promise<void> {
  const mine = source;
  await client.calibrate();
  if (mine === source) setCalibrating(true);
}

async function copyResults(): Promise<void> {
  if (shown === undefined) return;
  const { time, bitmap, faces } = shown;
  const model = opened && `${opened.name} ${opened.precision}`;
  const record = {
    time,
    width: bitmap.width,
    height: bitmap.height,
    model,
    template: opened?.template?.name,
    faces: faces.map(faceRecord),
  };
  if (!("clipboard" in navigator)) {
    throw new Error("This browser copies from https pages and localhost only. Open the page by one of these.");
  }
  await navigator.clipboard.writeText(JSON.stringify(record));
  copyButton.textContent = "Copied";
  setTimeout(() => {
    copyButton.textContent = COPY_LABEL;
  }, COPIED_MILLISECONDS);
}

async function begin(): Promise<void> {
  draw();
  // Both came later than the WebAssembly instructions that the engine needs.
  if (!("DecompressionStream" in window && "OffscreenCanvas" in window)) {
    throw new Error("This browser is too old. Use Chrome or Edge 91, Firefox 113, Safari 16.4, or a newer one.");
  }
  const response = await fetch("models.json");
  if (!response.ok) throw new Error("The page is not complete: it has no models.json. Run `make web` again.");
  listing = (await response.json()) as Listing;
  modelSelect.replaceChildren(...listing.models.map(({ file, label }) => new Option(label, file)));
  await openModel();
}

byId("start-camera").onclick = () => {
  run(() => startStream((isCurrent) => openCamera(video, isCurrent), true));
};
fileInput.onchange = () => {
  const file = fileInput.files?.[0];
  fileInput.value = "";
  if (file) run(() => openFile(file));
};
modelSelect.onchange =
  templateFile.onchange =
  maxFaces.onchange =
    () => {
      run(openModel);
    };
templateSelect.onchange = () => {
  byId("template-file-row").hidden = templateSelect.value !== OWN_FILE;
  if (templateSelect.value !== OWN_FILE) run(openModel);
};
mirror.onchange = draw;
expressions.ontoggle = draw;
pauseButton.onclick = togglePause;
stopButton.onclick = stop;
copyButton.onclick = () => {
  run(copyResults);
};
calibrateButton.onclick = () => {
  run(calibrate);
};
run(begin);
// Pages of plain http have no service workers, localhost excepted.
if ("serviceWorker" in navigator) {
  navigator.serviceWorker.register("service_worker.js").catch((error: unknown) => {
    console.info("the page will not open without a network:", error);
  });
}
