import type { ModelSpec } from "./spec.js";

/** Outputs of one run, flattened, by name. */
export type NamedOutputs = Readonly<Record<string, Float32Array>>;

/** A loaded model. */
export interface Backend {
  readonly spec: ModelSpec;

  /**
   * Run the model on inputSize x inputSize RGB pixels, row by row.
   *
   * `queryPoints` are x0, y0, x1 ... in canonical face space, for a model with query points: as many as it takes, or
   * fewer.
   */
  run(crop: Uint8Array, queryPoints?: Float32Array): Promise<NamedOutputs>;
}
