/** LiteRT, compiled to WebAssembly, as a `Backend`. It runs in a worker. */

import { loadAndCompile, loadLiteRt, supportsFeature, Tensor, type CompiledModel } from "@litertjs/core";
import {
  matchOutputs,
  ModelFileError,
  readSpec,
  type Backend,
  type ModelSpec,
  type NamedOutputs,
} from "../core/index.js";
import { decompressed } from "./gzip.js";

/** Maximum number of threads: the networks are small, and further ones take cores from the browser. */
const MAX_THREADS = 4;

/** Which build of the engine is loaded. */
export interface Engine {
  /** `relaxed SIMD`, or `SIMD` in browsers without it. */
  readonly instructions: string;
  readonly threads: number;
}

/** Load the engine from a folder with the build's files. Threads are used where the page may share memory. */
export async function loadEngine(folder: URL): Promise<Engine> {
  const relaxed = await supportsFeature("relaxedSimd");
  const threads = relaxed && self.crossOriginIsolated ? threadCount(navigator.hardwareConcurrency) : 1;
  const variant = relaxed ? (threads > 1 ? "_threaded" : "") : "_compat";
  const script = new URL(`litert_wasm${variant}_internal.js`, folder).href;
  const wasmBinary = await decompressed(await fetchBytes(new URL(`litert_wasm${variant}_internal.wasm.gz`, folder)));
  // The loader reads its settings from the global scope.
  const settings = {
    wasmBinary,
    mainScriptUrlOrBlob: script,
    // The engine reports its start there; failures are exceptions.
    printErr: (line: string) => {
      console.debug(line);
    },
  };
  Object.assign(self, { Module: settings });
  hideGpu();
  await loadLiteRt(script);
  return { instructions: relaxed ? "relaxed SIMD" : "SIMD", threads };
}

/** Return the number of threads: half of the cores, at most `MAX_THREADS`. */
export function threadCount(cores: number): number {
  return Math.min(Math.max(Math.floor(cores / 2), 1), MAX_THREADS);
}

/** Keep the engine from opening a graphics device: both networks run on the processor. */
function hideGpu(): void {
  Object.defineProperty(navigator, "gpu", { value: { requestAdapter: () => Promise.resolve(null) } });
  const warn = console.warn.bind(console);
  console.warn = (...message: unknown[]) => {
    if (!String(message[0]).startsWith("Failed to create default WebGPU device")) warn(...message);
  };
}

/** A .tflite file. */
export class LiteRtBackend implements Backend {
  private constructor(
    readonly spec: ModelSpec,
    private readonly model: CompiledModel,
    private readonly order: ReadonlyMap<string, number>,
    private readonly imageFirst: boolean,
  ) {}

  /** Load a file. ModelFileError if it has no spec, or does not match it. */
  static async load(url: URL, { threads }: Engine): Promise<LiteRtBackend> {
    const name = url.pathname.split("/").at(-1) ?? "";
    const file = await fetchBytes(url);
    const spec = readSpec(file, name);
    const model = await loadAndCompile(file, { accelerator: "wasm", cpuOptions: { numThreads: threads } });
    const outputs = model
      .getOutputDetails()
      .map((output) => ({ name: output.name, shape: [...output.shape].slice(1) }));
    const inputs = model.getInputDetails();
    const image = inputs.findIndex(({ dtype }) => dtype === "uint8");
    if (image < 0 || inputs.length !== (spec.prompts > 0 ? 2 : 1)) {
      const given = inputs.map(({ dtype, shape }) => `${dtype} (${shape.join()})`).join(", ");
      throw new ModelFileError(
        `${name} takes ${given}, expected an uint8 image${spec.prompts ? " and query points" : ""}`,
      );
    }
    return new LiteRtBackend(spec, model, matchOutputs(name, spec, outputs), image === 0);
  }

  async run(crop: Uint8Array, queryPoints?: Float32Array): Promise<NamedOutputs> {
    const { inputSize, prompts } = this.spec;
    const inputs = [new Tensor(new Uint8Array(crop), [1, inputSize, inputSize, 3])];
    if (queryPoints !== undefined) inputs.push(new Tensor(repeated(queryPoints, 2 * prompts), [1, prompts, 2]));
    if (!this.imageFirst) inputs.reverse();
    const results = await this.model.run(inputs);
    for (const input of inputs) input.delete();
    const outputs = Object.fromEntries(
      [...this.order].map(([name, i]) => [name, (results[i].toTypedArray() as Float32Array).slice()]),
    );
    for (const result of results) result.delete();
    if (queryPoints === undefined) return outputs;
    const count = queryPoints.length / 2;
    const { points, points_uncertainty: sigmas } = outputs;
    return { ...outputs, points: points.subarray(0, 2 * count), points_uncertainty: sigmas.subarray(0, count) };
  }

  /** Free the model's memory. */
  close(): void {
    this.model.delete();
  }
}

/** The input has a fixed number of points: repeat them. */
function repeated(points: Float32Array, length: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => points[i % points.length]);
}

async function fetchBytes(url: URL): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(url);
  if (!response.ok) throw new ModelFileError(`cannot load ${url.pathname}: the server says ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}
