/** Sequences: the network's outputs are recorded, everything else is computed here and compared. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Backend, NamedOutputs } from "../../core/backend.js";
import { NetworkDetector } from "../../core/detector.js";
import type { Face } from "../../core/face.js";
import { Intrinsics } from "../../core/geometry.js";
import type { Image } from "../../core/image.js";
import { observe } from "../../core/observation.js";
import { matrixToAngles } from "../../core/rotation.js";
import type { ModelSpec } from "../../core/spec.js";
import { FaceTracker } from "../../core/tracker.js";
import {
  assertClose,
  assertPixels,
  composite,
  detectorSpec,
  floats,
  intrinsicsOf,
  json,
  networkSpec,
  roiOf,
  valuesOf,
  type Pixels,
  type Sprite,
} from "./golden.js";

type Numbers = (number | null)[];

/** Only of a model that gives them. */
interface Expressions {
  readonly expressions?: Numbers;
  readonly gaze?: Numbers;
}

interface Run {
  readonly roi: number[];
  readonly crop: Pixels | null;
  readonly outputs: Readonly<Record<string, Numbers>> | null;
  readonly observation: Expressions &
    Readonly<Record<"landmarks" | "rotation" | "next_roi" | "direction", Numbers>> & {
      readonly mean_sigma: number;
    };
}

interface RecordedFace extends Expressions {
  readonly id: number;
  readonly state: string;
  readonly age: number;
  readonly confidence: number;
  readonly landmarks: Numbers;
  readonly uncertainty: Numbers;
  readonly matrix: Numbers;
  readonly angles: Numbers;
  readonly roi: Numbers;
  readonly direction: Numbers;
}

interface Frame {
  readonly time: number;
  readonly sprites: Sprite[];
  /** Seconds of a calibration that begins before this frame. */
  readonly calibrate?: number;
  readonly searches: { readonly image: Pixels; readonly cells: number[][] }[];
  readonly runs: Run[];
  readonly tracks: number[][];
  readonly lost: number;
  readonly rejected: number;
  readonly stats: Record<string, number>;
  readonly faces: RecordedFace[];
}

interface Sequence {
  readonly width: number;
  readonly height: number;
  readonly max_faces: number;
  readonly smoothing: number;
  readonly intrinsics: number[] | null;
  readonly frames: Frame[];
}

/** Recorded input and outputs of a network. */
interface RecordedRun {
  readonly image: Pixels;
  readonly outputs: NamedOutputs;
}

/** Backend that returns recorded outputs in order, and checks its inputs. */
class Replay implements Backend {
  private at = 0;

  constructor(
    private readonly name: string,
    readonly spec: ModelSpec,
    private readonly runs: readonly RecordedRun[],
  ) {}

  async run(crop: Uint8Array): Promise<NamedOutputs> {
    assert.ok(this.at < this.runs.length, `${this.name} runs more than ${this.runs.length} times`);
    const { image, outputs } = this.runs[this.at];
    assertPixels(`${this.name}, run ${this.at}`, image, crop, this.spec.inputSize);
    this.at++;
    return Promise.resolve(outputs);
  }

  assertAtEnd(): void {
    assert.equal(this.at, this.runs.length, `${this.name}: runs`);
  }
}

const CASES: Readonly<Record<string, string>> = {
  still: "a face that holds still",
  fast: "a face that moves fast and is lost and found again",
  crossing: "two faces that cross",
  slipped: "a track that slips onto another face",
  low_confidence: "a face of low confidence",
  returning: "a face that leaves and returns",
  doubtful: "a false alarm and a doubtful face",
};

for (const [name, title] of Object.entries(CASES)) void test(title, () => play(name));

async function play(name: string): Promise<void> {
  const sequence = json(`sequence_${name}.json`) as Sequence;
  const { frames } = sequence;
  const network = new Replay(`${name}, network`, networkSpec, frames.flatMap(networkRuns));
  const detector = new Replay(`${name}, detector`, detectorSpec, frames.flatMap(detectorRuns));
  const intrinsics = sequence.intrinsics ? intrinsicsOf(sequence.intrinsics) : undefined;
  const tracker = new FaceTracker(network, new NetworkDetector(detector), {
    maxFaces: sequence.max_faces,
    smoothing: sequence.smoothing,
    intrinsics,
  });
  const camera = intrinsics ?? Intrinsics.fromFov(sequence.width, sequence.height);
  for (const [number, frame] of frames.entries()) {
    const image = composite(sequence.width, sequence.height, number, frame.sprites);
    const where = `${name}, frame ${number}`;
    for (const [i, run] of frame.runs.entries()) await checkRun(`${where}, run ${i}`, run, image, camera);
    if (frame.calibrate !== undefined) tracker.calibrateNeutral(frame.calibrate);
    const found = await tracker.update(image, frame.time);
    checkTracker(where, frame, tracker);
    assert.equal(found.length, frame.faces.length, `${where}: faces`);
    found.forEach((face, i) => {
      checkFace(`${where}, face ${face.id}`, frame.faces[i], face);
    });
  }
  network.assertAtEnd();
  detector.assertAtEnd();
}

/** Check one run of the network on a recorded ROI. */
async function checkRun(where: string, run: Run, image: Image, camera: Intrinsics): Promise<void> {
  const found = await observe(image, roiOf(run.roi), camera, networkSpec, (crop) => {
    assert.ok(run.crop, where);
    assertPixels(`${where}: crop`, run.crop, crop, networkSpec.inputSize);
    return Promise.resolve(outputsOf(run));
  });
  const expected = run.observation as Run["observation"] | null;
  assert.equal(found === undefined, expected === null, where);
  if (found === undefined || expected === null) return;
  assertClose(`${where}: landmarks`, expected.landmarks, found.landmarks);
  assertClose(`${where}: rotation`, expected.rotation, found.rotation);
  assertClose(`${where}: mean sigma`, [expected.mean_sigma], [found.meanSigma]);
  assertClose(`${where}: next ROI`, expected.next_roi, valuesOf(found.nextRoi));
  assertClose(`${where}: direction`, expected.direction, found.direction);
  checkExpressions(where, expected, found.expressions, found.gaze);
}

function checkTracker(where: string, frame: Frame, tracker: FaceTracker): void {
  const { stats, tracks } = tracker;
  const counts = {
    detector_runs: stats.detectorRuns,
    detections: stats.detections,
    lost_count: stats.lostCount,
    rejected_count: stats.rejectedCount,
    network_runs: stats.networkRuns,
  };
  assert.deepEqual(counts, frame.stats, `${where}: counts`);
  assert.equal(tracker.lost.size, frame.lost, `${where}: lost faces`);
  assert.equal(tracker.rejected.size, frame.rejected, `${where}: rejected places`);
  assert.equal(tracks.length, frame.tracks.length, `${where}: tracks`);
  tracks.forEach((track, i) => {
    const [id, age, count, ...values] = frame.tracks[i];
    assert.deepEqual([track.id, track.age, track.lowConfidenceCount], [id, age, count], where);
    const { confidence, uncertainty } = track.evidence;
    assertClose(`${where}: motion residual, evidence`, values, [track.motionResidual, confidence, uncertainty]);
  });
}

function checkFace(where: string, expected: RecordedFace, face: Face): void {
  assert.deepEqual([face.id, face.state, face.age], [expected.id, expected.state, expected.age], where);
  assertClose(`${where}: confidence`, [expected.confidence], [face.confidence]);
  assertClose(`${where}: landmarks`, expected.landmarks, face.landmarks);
  assertClose(`${where}: uncertainty`, expected.uncertainty, face.uncertainty);
  assertClose(`${where}: matrix`, expected.matrix, face.rotation);
  assertClose(`${where}: angles`, expected.angles, matrixToAngles(face.rotation));
  assertClose(`${where}: ROI`, expected.roi, valuesOf(face.roi));
  assertClose(`${where}: direction`, expected.direction, face.direction);
  checkExpressions(where, expected, face.expressions && Float64Array.from(Object.values(face.expressions)), face.gaze);
}

function checkExpressions(
  where: string,
  expected: Expressions,
  expressions: Float64Array | undefined,
  gaze: Float64Array | undefined,
): void {
  for (const [what, values, found] of [
    ["expressions", expected.expressions, expressions],
    ["gaze", expected.gaze, gaze],
  ] as const) {
    assert.equal(found === undefined, values === undefined, `${where}: ${what}`);
    if (values !== undefined && found !== undefined) assertClose(`${where}: ${what}`, values, found);
  }
}

function outputsOf(run: Run): NamedOutputs {
  assert.ok(run.outputs);
  return Object.fromEntries(Object.entries(run.outputs).map(([name, values]) => [name, floats(values)]));
}

function networkRuns(frame: Frame): RecordedRun[] {
  return frame.runs.flatMap((run) => (run.crop ? [{ image: run.crop, outputs: outputsOf(run) }] : []));
}

function detectorRuns(frame: Frame): RecordedRun[] {
  const grid = detectorSpec.outputs.get("scores")?.[0] ?? 0;
  return frame.searches.map(({ image, cells }) => {
    const [scores, rois, roll] = [1, 3, 2].map((depth) => new Float32Array(grid * grid * depth));
    for (const [row, column, score, ...values] of cells) {
      const at = row * grid + column;
      scores[at] = score;
      rois.set(values.slice(0, 3), 3 * at);
      roll.set(values.slice(3), 2 * at);
    }
    return { image, outputs: { scores, rois, roll } };
  });
}
