/** The page's side of the worker. */

import type { Answer, Opened, Request, Setup, Tracked } from "./messages.js";

/** A request without its number. */
type Unnumbered = Request extends infer Each ? (Each extends Request ? Omit<Each, "number"> : never) : never;

/** Faces are found in a worker; its errors reject the promises. */
export class TrackingClient {
  private readonly worker: Worker;
  private readonly waiting = new Map<number, { resolve: (answer: Answer) => void; reject: (error: Error) => void }>();
  private sent = 0;

  constructor(script: URL) {
    this.worker = new Worker(script);
    this.worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      const pending = this.waiting.get(data.number);
      this.waiting.delete(data.number);
      if ("error" in data) pending?.reject(new Error(data.error));
      else pending?.resolve(data);
    };
    this.worker.onerror = (event) => {
      const error = new Error(`the tracker stopped: ${event.message || "its script did not load"}; reload the page`);
      for (const { reject } of this.waiting.values()) reject(error);
      this.waiting.clear();
    };
  }

  async open(setup: Setup): Promise<Opened> {
    const answer = await this.send({ kind: "open", ...setup });
    if (!("opened" in answer)) throw new Error("unexpected answer");
    return answer.opened;
  }

  /** Track the next frame of a stream (`track`), or find the faces of a picture (`detect`). The bitmap is handed over. */
  async track(kind: "track" | "detect", bitmap: ImageBitmap, time: number, smoothing: number): Promise<Tracked> {
    const answer = await this.send({ kind, bitmap, time, smoothing }, [bitmap]);
    if (!("tracked" in answer)) throw new Error("unexpected answer");
    return answer.tracked;
  }

  /** Begin a new source: its ids count from 0. */
  async begin(): Promise<void> {
    await this.send({ kind: "begin" });
  }

  /** Subtract the expressions of the faces of the stream's next second. */
  async calibrate(): Promise<void> {
    await this.send({ kind: "calibrate" });
  }

  private send(request: Unnumbered, transfer: Transferable[] = []): Promise<Answer> {
    const number = this.sent++;
    return new Promise((resolve, reject) => {
      this.waiting.set(number, { resolve, reject });
      this.worker.postMessage({ ...request, number }, transfer);
    });
  }
}
