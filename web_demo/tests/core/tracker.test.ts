/** Errors, reset, pictures, and templates, which the sequences do not cover. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Backend, NamedOutputs } from "../../core/backend.js";
import { decodeDetections, NetworkDetector, type Detector } from "../../core/detector.js";
import { EXPRESSIONS } from "../../core/expressions.js";
import { faceRecord } from "../../core/face.js";
import { Intrinsics, Roi } from "../../core/geometry.js";
import { imageOf } from "../../core/image.js";
import { rotationOf, rotationVector, scaled } from "../../core/rotation.js";
import { parseSpec, standardOutputs, type ModelSpec } from "../../core/spec.js";
import { parseTemplate } from "../../core/template.js";
import type { Track } from "../../core/track.js";
import { FaceTracker } from "../../core/tracker.js";
import { assertClose, detectorSpec } from "./golden.js";

const SHAPE = [0.2, 0.2, 0.8, 0.3, 0.7, 0.8, 0.3, 0.7];
const MOUTH = parseTemplate('{"name": "mouth", "points": [[0.4, 0.7]]}');
const FRAME = imageOf(new Uint8Array(320 * 240 * 3), 320, 240, 3);

function specOf(changes: object = {}): ModelSpec {
  const mean_shape = [0, 2, 4, 6].map((i) => SHAPE.slice(i, i + 2));
  const outputs = Object.fromEntries(standardOutputs(4));
  return parseSpec(
    JSON.stringify({ name: "tiny", scheme: "four", mean_shape, outputs, format_version: 1, ...changes }),
  );
}

const outputsWithPoints = (points: number): object => ({
  outputs: Object.fromEntries(standardOutputs(4, true, points)),
});

const outputsWithExpressions = { outputs: Object.fromEntries(standardOutputs(4, true, 0, true)) };

/** Network that returns the mean shape, and the query points as its points. */
class Constant implements Backend {
  constructor(readonly spec: ModelSpec) {}

  run(_crop: Uint8Array, queryPoints = MOUTH.points): Promise<NamedOutputs> {
    const outputs: NamedOutputs = {
      landmarks: Float32Array.from(SHAPE),
      uncertainty: new Float32Array(4).fill(0.02),
      pose: new Float32Array(3),
      confidence: Float32Array.of(0.9),
    };
    if (!this.spec.outputs.has("points")) return Promise.resolve(outputs);
    const sigmas = new Float32Array(queryPoints.length / 2).fill(0.1);
    return Promise.resolve({ ...outputs, points: queryPoints, points_uncertainty: sigmas });
  }
}

/** Network with expressions that change by the test; both eyes look to the image's right and up. */
class Expressive implements Backend {
  readonly spec = specOf(outputsWithExpressions);
  expressions = new Float32Array(EXPRESSIONS.length);

  async run(crop: Uint8Array): Promise<NamedOutputs> {
    const outputs = await new Constant(this.spec).run(crop);
    return { ...outputs, expressions: this.expressions, gaze: Float32Array.of(0.2, 0.1, 0.3, 0.1) };
  }
}

/** Detector that always finds the same places; a search of a stream finds the first only. */
class Fixed implements Detector {
  readonly turns: number[] = [];

  constructor(private readonly places = [new Roi(160, 120, 90)]) {}

  detect(): Promise<Roi[]> {
    return Promise.resolve(this.places);
  }

  search(_frame: unknown, turn: number): Promise<Roi[]> {
    this.turns.push(turn);
    return Promise.resolve(this.places.slice(0, 1));
  }
}

void test("ids are not used again after a reset", async () => {
  const tracker = new FaceTracker(new Constant(specOf()), new Fixed());
  assert.deepEqual(
    (await tracker.update(FRAME, 0)).map(({ id }) => id),
    [0],
  );
  tracker.reset();
  const [face] = await tracker.update(FRAME, 0.1);
  assert.equal(face.id, 1);
  assert.equal(face.state, "detected");
  assert.equal(tracker.stats.lostCount, 0);
});

void test("a picture is searched whatever was seen before", async () => {
  const detector = new Fixed([new Roi(80, 120, 90), new Roi(85, 120, 90), new Roi(240, 120, 90)]);
  const tracker = new FaceTracker(new Constant(specOf()), detector);
  const tracked = await tracker.update(FRAME, 0);
  for (let i = 0; i < 2; i++) {
    const found = await tracker.detect(FRAME);
    assert.deepEqual(
      found.map(({ id }) => id),
      [0, 1],
    );
    assert.deepEqual(
      found.map(({ roi }) => Math.round(roi.cx)),
      [80, 240],
    );
  }
  const [face] = await tracker.update(FRAME, 0.1);
  assert.equal(face.id, tracked[0].id);
  tracker.reset();
  await tracker.update(FRAME, 0.2);
  assert.deepEqual(detector.turns, [0, 0], "the turns start over");
});

void test("a template's points are found", async () => {
  const spec = specOf({ ...outputsWithPoints(1), template: { name: "mouth", points: [[0.4, 0.7]] } });
  const tracker = new FaceTracker(new Constant(spec), new Fixed(), { smoothing: 0 });
  const [face] = await tracker.update(FRAME, 0);
  assertClose("points", [...face.roi.toFrame(MOUTH.points)], face.points ?? []);
  assertClose("sigmas", [0.1 * face.roi.size], face.pointsUncertainty ?? []);
  assert.deepEqual(Object.keys(faceRecord(face)).slice(-2), ["points", "points_uncertainty"]);
});

void test("a model with query points finds a template's", async () => {
  const spec = specOf({ ...outputsWithPoints(5), prompts: 5 });
  const tracker = new FaceTracker(new Constant(spec), new Fixed(), { template: MOUTH });
  const [face] = await tracker.update(FRAME, 0);
  assert.equal(face.points?.length, 2);
  const many = parseTemplate(JSON.stringify({ name: "many", points: Array(6).fill([0.5, 0.5]) }));
  assert.throws(
    () => new FaceTracker(new Constant(spec), new Fixed(), { template: many }),
    /takes up to 5 query points/,
  );
  assert.throws(() => new FaceTracker(new Constant(spec), new Fixed()), /needs query points/);
});

void test("expressions have ARKit's names, and gaze is in the camera frame", async () => {
  const network = new Expressive();
  network.expressions = Float32Array.from(EXPRESSIONS, (_, i) => i / 51);
  network.expressions[0] = -0.0005; // what rounding adds
  const camera = new Intrinsics(400, 400, 20, 120); // the face is at the right of its view
  const options = { smoothing: 0, intrinsics: camera };
  const [face] = await new FaceTracker(network, new Fixed(), options).update(FRAME, 0);
  assert.deepEqual(Object.keys(face.expressions ?? {}), EXPRESSIONS);
  assert.deepEqual([face.expressions?.eyeBlinkLeft, face.expressions?.tongueOut], [0, 1]);
  const angles = [...(face.gaze ?? [])];
  const shift = Math.atan2(face.direction[0], face.direction[2]);
  assert.ok(
    shift > 0.2 && Math.abs(angles[0] - (0.2 - shift)) < 0.02,
    "from the crop's viewing ray to the camera's axis",
  );
  const record = faceRecord(face);
  assert.deepEqual(Object.keys(record).slice(-2), ["expressions", "gaze"]);
  assert.equal((record.expressions as Record<string, number>).jawOpen, 0.3333);
  assert.deepEqual(
    (record.gaze as number[][]).flat(),
    angles.map((angle) => Number(angle.toFixed(4))),
  );
});

void test("a model without expressions gives none", async () => {
  const tracker = new FaceTracker(new Constant(specOf()), new Fixed());
  const [face] = await tracker.update(FRAME, 0);
  assert.deepEqual([face.expressions, face.gaze], [undefined, undefined]);
  assert.ok(!("expressions" in faceRecord(face)) && !("gaze" in faceRecord(face)));
  assert.throws(() => {
    tracker.calibrateNeutral();
  }, /"tiny" gives no expressions to calibrate/);
});

void test("a resting face reads zero once it was watched", async () => {
  for (const maxFaces of [1, 2]) {
    const network = new Expressive();
    const tracker = new FaceTracker(network, new Fixed(), { smoothing: 0, maxFaces });
    network.expressions = new Float32Array(EXPRESSIONS.length).fill(0.25);
    const blinkAt = async (time: number): Promise<number> => {
      const [face] = await tracker.update(FRAME, time);
      return face.expressions?.eyeBlinkLeft ?? NaN;
    };
    tracker.calibrateNeutral(0.1);
    assert.equal(await blinkAt(0), 0.25);
    assert.ok(tracker.calibrating);
    assert.equal(await blinkAt(0.1), 0, "at rest");
    assert.ok(!tracker.calibrating);
    network.expressions = new Float32Array(EXPRESSIONS.length).fill(0.625);
    assert.equal(await blinkAt(0.2), 0.5);
    assert.equal((await tracker.detect(FRAME))[0].expressions?.eyeBlinkLeft, 0.625, "pictures are other people's");
    tracker.reset();
    assert.equal(await blinkAt(0.3), 0.625);
    assert.throws(() => {
      tracker.calibrateNeutral(61);
    }, /seconds must lie in \(0, 60\], got 61/);
  }
});

void test("expressions and gaze are smoothed", async () => {
  const network = new Expressive();
  const tracker = new FaceTracker(network, new Fixed());
  await tracker.update(FRAME, 0);
  network.expressions = new Float32Array(EXPRESSIONS.length).fill(1);
  const [face] = await tracker.update(FRAME, 0.03);
  const value = face.expressions?.jawOpen ?? NaN;
  assert.ok(value > 0.1 && value < 0.9, `jawOpen is ${value}`);
});

void test("smoothing may change between frames", async () => {
  const tracker = new FaceTracker(new Constant(specOf()), new Fixed(), { smoothing: 0 });
  await tracker.update(FRAME, 0);
  tracker.smoothing = 0.5;
  await tracker.update(FRAME, 0.03);
  const [face] = await tracker.update(FRAME, 0.06);
  assert.equal(face.age, 2);
  assert.throws(() => {
    tracker.smoothing = 2;
  }, /smoothing must lie in \[0, 1\], got 2/);
});

void test("results belong to the caller", async () => {
  const tracker = new FaceTracker(new Expressive(), new Fixed());
  const [face] = await tracker.update(FRAME, 0);
  const track: Track = tracker.tracks[0];
  for (const values of [face.landmarks, face.uncertainty, face.rotation, face.direction, face.gaze]) values?.fill(NaN);
  for (const values of [track.observation.landmarks, track.observation.gaze]) assert.ok(values?.every(Number.isFinite));
  assert.ok((await tracker.update(FRAME, 0.03))[0].landmarks.every(Number.isFinite));
});

void test("stages are timed by the given clock", async () => {
  let now = 0;
  const tracker = new FaceTracker(new Constant(specOf()), new Fixed(), { clock: () => now++ });
  await tracker.update(FRAME, 0);
  const { milliseconds, networkRuns } = tracker.stats;
  assert.deepEqual(milliseconds, { detect: 1, crop: networkRuns, network: networkRuns });
});

void test("invalid arguments are refused", async () => {
  const make =
    (spec: ModelSpec, options = {}) =>
    () =>
      new FaceTracker(new Constant(spec), new Fixed(), options);
  assert.throws(make(specOf(), { maxFaces: 0 }), /maxFaces must be a whole number from 1, got 0/);
  assert.throws(make(specOf(), { smoothing: 1.5 }), /smoothing must lie in \[0, 1\], got 1.5/);
  assert.throws(make(detectorSpec), /is a face detector/);
  assert.throws(make(specOf({ outputs: Object.fromEntries(standardOutputs(4, false)) })), /gives landmarks only/);
  assert.throws(make(specOf(), { template: MOUTH }), /finds landmarks only, got template "mouth"/);
  assert.throws(() => new NetworkDetector(new Constant(specOf())), /expected scores and rois/);
  await assert.rejects(make(specOf())().update(FRAME, NaN), /must be a finite number of seconds/);
  assert.throws(() => new Roi(0, 0, 0), /finite numbers and a positive size/);
  assert.throws(() => new Intrinsics(0, 1, 0, 0), /positive focal lengths/);
  assert.throws(() => imageOf(new Uint8Array(11), 2, 2, 3), /needs 12 values, got 11/);
  assert.throws(() => imageOf(new Uint8Array(0), 0, 2, 3), /must be 1 to 32766 px, got 0 x 2/);
});

void test("impossible results are no face", async () => {
  for (const name of ["landmarks", "uncertainty", "pose", "confidence", "expressions", "gaze"]) {
    for (const value of [NaN, Infinity, 1e38, -1e30]) {
      const network = new Expressive();
      const wild: Backend = {
        spec: network.spec,
        run: async (crop) => {
          const outputs = await network.run(crop);
          outputs[name][0] = value;
          return outputs;
        },
      };
      const tracker = new FaceTracker(wild, new Fixed());
      assert.deepEqual([await tracker.update(FRAME, 0), await tracker.detect(FRAME)], [[], []], `${name} ${value}`);
    }
  }
});

void test("impossible cells of a detector are left out", () => {
  const square = new Roi(47.5, 47.5, 96);
  const count = (score: number, size: number): number => {
    const [scores, rois] = [new Float32Array(36), new Float32Array(108).fill(0.5)];
    scores[14] = 0.7;
    scores[15] = score;
    rois[3 * 15 + 2] = size;
    return decodeDetections(scores, rois, square, 0.5).length;
  };
  for (const value of [NaN, Infinity, 1e30, -1]) assert.deepEqual([count(0.9, value), count(value, 0.5)], [1, 1]);
});

void test("a detector's ROIs beyond the frame or of impossible size are left out", async () => {
  const places = [new Roi(1e5, 120, 90), new Roi(160, 120, 5000), new Roi(160, 120, 90)];
  const tracker = new FaceTracker(new Constant(specOf()), new Fixed(places));
  assert.equal((await tracker.detect(FRAME)).length, 1);
  assert.equal(tracker.stats.networkRuns, 6, "one candidate: four turns and two refinements");
});

void test("timestamps may be anything finite", async () => {
  const tracker = new FaceTracker(new Constant(specOf()), new Fixed());
  for (const time of [0, 1e-310, 1e-309, -1e308, 1e308, 1e308, 5, 5 + 1e-12, 6]) {
    for (const face of await tracker.update(FRAME, time)) assert.ok(face.landmarks.every(Number.isFinite));
  }
  assert.equal((await tracker.update(FRAME, 6.1)).length, 1);
});

void test("an ROI of one pixel has no face", async () => {
  const tracker = new FaceTracker(new Constant(specOf()), new Fixed([new Roi(0, 0, 0.5)]));
  assert.deepEqual(await tracker.update(FRAME, 0), []);
});

void test("half a turn is a rotation like any other", () => {
  for (const axis of [
    [1, 0, 0],
    [0, 0.6, 0.8],
    [-0.6, 0.8, 0],
  ]) {
    const turn = rotationOf(scaled(Float64Array.from(axis), Math.PI));
    assertClose(`half a turn about ${axis.join()}`, [...turn], rotationOf(rotationVector(turn)));
  }
});
