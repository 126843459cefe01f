/** What the page and its worker send each other. */

import type { Edges, Face } from "../core/index.js";

/** What the tracker is made of. */
export interface Setup {
  /** File in models/. */
  readonly model: string;
  /** JSON of a template, for a model with query points. */
  readonly template: string | undefined;
  readonly maxFaces: number;
}

/** Request to the worker; each is answered by one `Answer` with its number. */
export type Request = { readonly number: number } & (
  | ({ readonly kind: "open" } & Setup)
  /** Track the next frame of a stream, or find all faces of a picture. */
  | {
      readonly kind: "track" | "detect";
      readonly bitmap: ImageBitmap;
      /** Seconds. */
      readonly time: number;
      readonly smoothing: number;
    }
  /** Begin a new source: its ids count from 0. */
  | { readonly kind: "begin" }
  /** Subtract the expressions of the faces of the next second, which should be at rest. */
  | { readonly kind: "calibrate" }
);

/** What the opened model finds. */
export interface Opened {
  readonly name: string;
  readonly precision: string;
  readonly edges: Edges;
  /** Name and edges of the points' template. */
  readonly template: { readonly name: string; readonly edges: Edges } | undefined;
  /** Maximum number of a template's points that the model takes; 0: none. */
  readonly prompts: number;
  /** A template must be chosen before it tracks. */
  readonly needsTemplate: boolean;
  /** It gives expressions and gaze. */
  readonly hasExpressions: boolean;
  readonly engine: string;
}

/** Stages of a frame that the worker times, in order. */
export const STAGES = ["read", "detect", "crop", "network", "rest"] as const;

/** Milliseconds per stage. */
export type StageTimes = Record<(typeof STAGES)[number], number>;

/** Faces of one frame, which is handed back. */
export interface Tracked {
  readonly bitmap: ImageBitmap;
  readonly faces: Face[];
  /** Resting faces are watched, or waited for. */
  readonly calibrating: boolean;
  readonly times: StageTimes;
}

export type Answer = { readonly number: number } & (
  { readonly opened: Opened } | { readonly tracked: Tracked } | { readonly done: true } | { readonly error: string }
);
