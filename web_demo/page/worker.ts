/** The worker: pixels, networks, and the loop, so that the page never waits for them. */

import {
  FaceTracker,
  imageOf,
  NetworkDetector,
  parseTemplate,
  TemplateError,
  type Face,
  type Image,
} from "../core/index.js";
import { LiteRtBackend, loadEngine, type Engine } from "../engine/litert.js";
import type { Answer, Opened, Request, Setup, StageTimes, Tracked } from "./messages.js";

const HERE = new URL(self.location.href);
const DETECTOR = new URL("models/detector_fp32.tflite", HERE);

const NO_TIMES: StageTimes = { read: 0, detect: 0, crop: 0, network: 0, rest: 0 };

/** What is loaded once, whatever the model. */
interface Parts {
  readonly engine: Engine;
  readonly detector: NetworkDetector;
}

/** Reads pixels and runs the tracker. */
class Session {
  private parts: Promise<Parts> | undefined;
  private model: { readonly file: string; readonly backend: LiteRtBackend } | undefined;
  private tracker: FaceTracker | undefined;
  /** Make a tracker of the opened model; undefined until it has its template. */
  private newTracker: (() => FaceTracker) | undefined;
  private readonly canvas = new OffscreenCanvas(1, 1);
  private readonly context = this.canvas.getContext("2d", { willReadFrequently: true });

  /** Load the model, unless it is, and make a tracker. */
  async open({ model, template, maxFaces }: Setup): Promise<Opened> {
    this.tracker = undefined;
    this.newTracker = undefined;
    this.parts ??= loadParts();
    const { engine, detector } = await this.parts;
    if (this.model?.file !== model) {
      const backend = await LiteRtBackend.load(new URL(`models/${model}`, HERE), engine);
      this.model?.backend.close();
      this.model = { file: model, backend };
    }
    const { backend } = this.model;
    const { spec } = backend;
    const chosen = template !== undefined && spec.prompts > 0 ? parseTemplate(template) : undefined;
    const needsTemplate = spec.prompts > 0 && chosen === undefined;
    if (!needsTemplate) {
      const options = { maxFaces, template: chosen, clock: () => performance.now() };
      this.newTracker = () => new FaceTracker(backend, detector, options);
      this.tracker = this.newTracker();
    }
    const { threads, instructions } = engine;
    return {
      name: spec.name,
      precision: spec.precision,
      edges: spec.scheme?.edges ?? [],
      template: this.tracker?.template && { name: this.tracker.template.name, edges: this.tracker.template.edges },
      prompts: spec.prompts,
      needsTemplate,
      hasExpressions: spec.outputs.has("expressions"),
      engine: `LiteRT, ${threads === 1 ? "one thread" : `${threads} threads`}, ${instructions}`,
    };
  }

  /** Begin a new source: a tracker that was reset would not count its ids from 0 again. */
  begin(): void {
    this.tracker = this.newTracker?.();
  }

  /** Watch the resting faces of the stream's next second; nothing while a model is loaded. */
  calibrate(): void {
    this.tracker?.calibrateNeutral();
  }

  /** Track the next frame of a stream, or find all faces of a picture. */
  async track(request: Request & { readonly kind: "track" | "detect" }): Promise<Tracked> {
    const { tracker } = this;
    if (tracker === undefined) {
      // A frame that was under way when the model changed.
      if (request.kind === "track") return { bitmap: request.bitmap, faces: [], calibrating: false, times: NO_TIMES };
      throw new TemplateError("this model finds the points of a template: choose one");
    }
    const start = performance.now();
    const frame = this.pixels(request.bitmap);
    const read = performance.now() - start;
    const before = { ...tracker.stats.milliseconds };
    let faces: Face[];
    if (request.kind === "detect") {
      faces = await tracker.detect(frame);
    } else {
      tracker.smoothing = request.smoothing;
      faces = await tracker.update(frame, request.time);
    }
    const after = tracker.stats.milliseconds;
    const [detect, crop, network] = (["detect", "crop", "network"] as const).map(
      (stage) => after[stage] - before[stage],
    );
    const rest = performance.now() - start - read - detect - crop - network;
    const times: StageTimes = { read, detect, crop, network, rest };
    return { bitmap: request.bitmap, faces, calibrating: tracker.calibrating, times };
  }

  private pixels(bitmap: ImageBitmap): Image {
    const { width, height } = bitmap;
    if (this.context === null) throw new Error("this browser gives no access to pixels in a worker");
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    this.context.drawImage(bitmap, 0, 0);
    return imageOf(this.context.getImageData(0, 0, width, height).data, width, height, 4);
  }
}

async function loadParts(): Promise<Parts> {
  const engine = await loadEngine(new URL("engine/", HERE));
  return { engine, detector: new NetworkDetector(await LiteRtBackend.load(DETECTOR, engine)) };
}

const session = new Session();
// One request at a time: the next one waits for its turn.
let last: Promise<void> = Promise.resolve();

self.onmessage = ({ data }: MessageEvent<Request>) => {
  last = last.then(() => answer(data));
};

async function answer(request: Request): Promise<void> {
  const { number } = request;
  const send = (message: Answer, transfer: Transferable[] = []): void => {
    self.postMessage(message, { transfer });
  };
  try {
    if (request.kind === "open") {
      send({ number, opened: await session.open(request) });
    } else if (request.kind === "begin" || request.kind === "calibrate") {
      session[request.kind]();
      send({ number, done: true });
    } else {
      const tracked = await session.track(request);
      send({ number, tracked }, [tracked.bitmap]);
    }
  } catch (error) {
    send({ number, error: error instanceof Error ? error.message : String(error) });
  }
}
