/** Tracking loop: edge_runtime/tracker.py and options.py, which explain the constants. */

import type { Backend } from "./backend.js";
import type { Detector } from "./detector.js";
import { ModelFileError, TemplateError, ensure } from "./errors.js";
import { EXPRESSIONS } from "./expressions.js";
import type { Face } from "./face.js";
import { DEFAULT_FOV, Intrinsics, type Roi } from "./geometry.js";
import { LostTrack, LostTrackBuffer, sameFace } from "./identity.js";
import type { Image } from "./image.js";
import { RoiMotion } from "./motion.js";
import { RestingFaces } from "./neutral.js";
import { mayHoldFace, observe, type Observation } from "./observation.js";
import { TrackerStats, type TrackerOptions } from "./options.js";
import {
  DOUBT_CONFIDENCE_MARGIN,
  DOUBT_UNCERTAINTY_FACTOR,
  Limits,
  MIN_EVIDENCE_FRAMES,
  RejectedPlaces,
  SURE_CONFIDENCE_MARGIN,
  SURE_UNCERTAINTY_FACTOR,
} from "./probation.js";
import type { ModelSpec } from "./spec.js";
import type { Template } from "./template.js";
import { Filters, Track } from "./track.js";

/** Minimum number of frames between two searches. */
export const DETECTION_INTERVAL = 5;

/** The same while faces are tracked, none was lost recently, and the maximum number is not reached. */
export const DETECTION_INTERVAL_TRACKED = 15;

/** Maximum number of detections that the network checks per search of a stream. */
export const MAX_CANDIDATES = 3;

/** IoU with a tracked face's ROI from which a detection is discarded as that face. */
export const DUPLICATE_IOU_THRESHOLD = 0.4;

/** Number of further crops after a detection, each from the previous landmarks. */
export const REFINEMENTS = 2;

/** Turns of a candidate that are tried, too, if it is not surely a face as the detector gives it. */
export const QUARTER_TURNS = [Math.PI, Math.PI / 2, -Math.PI / 2] as const;

/** Decay per frame of a track's peak motion residual. */
export const RESIDUAL_DECAY = 0.9;

/** Uncertainty threshold of a tracked face relative to a new one's. */
export const TRACKED_UNCERTAINTY_FACTOR = 1.7;

/** Consecutive frames below the tracking threshold, or above the uncertainty threshold, after which a face is lost. */
export const MAX_LOW_CONFIDENCE_FRAMES = 5;

/**
 * Finds faces in pictures (`detect`) and tracks them through one stream of frames (`update`); one call at a time.
 *
 * A face that appears within `REID_SECONDS` where another was lost, or at the border by which it left, takes that one's
 * id, whoever it is; otherwise it gets a new id, and ids are never used again.
 */
export class FaceTracker {
  /** Counts and times so far. */
  readonly stats = new TrackerStats();
  /** Template of `Face.points`; undefined if the model gives landmarks only. */
  readonly template: Template | undefined;
  tracks: readonly Track[] = [];
  lost = new LostTrackBuffer();
  rejected = new RejectedPlaces();

  private resting = new RestingFaces();
  private readonly spec: ModelSpec;
  private readonly maxFaces: number;
  private readonly clock: () => number;
  private readonly intrinsics: Intrinsics | undefined;
  private readonly limits: Limits;
  private readonly trackedLimits: Limits;
  private readonly trustedLimits: readonly Limits[];
  private readonly sureLimits: Limits;
  private readonly pictureLimits: Limits;
  private strength: number;
  private nextId = 0;
  private framesSinceSearch = DETECTION_INTERVAL;
  private searches = 0;
  private searched = -Infinity;

  /** ModelFileError or TemplateError if the model cannot be used; RangeError names an invalid option. */
  constructor(
    private readonly backend: Backend,
    private readonly detector: Detector,
    options: TrackerOptions = {},
  ) {
    const { spec } = backend;
    checkModel(spec);
    this.spec = spec;
    this.template = selectTemplate(spec, options.template);
    this.maxFaces = options.maxFaces ?? 1;
    ensure(
      Number.isInteger(this.maxFaces) && this.maxFaces >= 1,
      `maxFaces must be a whole number from 1, got ${this.maxFaces}`,
    );
    this.strength = checkedSmoothing(options.smoothing ?? 0.5);
    this.intrinsics = options.intrinsics;
    this.clock = options.clock ?? (() => 0);
    this.limits = new Limits(spec.trackThreshold, spec.uncertaintyThreshold);
    this.trackedLimits = this.limits.stricter(0, TRACKED_UNCERTAINTY_FACTOR);
    this.trustedLimits = [
      this.limits.stricter(DOUBT_CONFIDENCE_MARGIN, DOUBT_UNCERTAINTY_FACTOR),
      this.limits.stricter(SURE_CONFIDENCE_MARGIN, 1),
    ];
    this.sureLimits = this.limits.stricter(SURE_CONFIDENCE_MARGIN, SURE_UNCERTAINTY_FACTOR);
    // A picture has no further frames to tell.
    this.pictureLimits = this.limits.stricter(DOUBT_CONFIDENCE_MARGIN, SURE_UNCERTAINTY_FACTOR);
  }

  /** Smoothing in [0, 1]; may be changed between frames, which restarts the filters. */
  get smoothing(): number {
    return this.strength;
  }

  set smoothing(smoothing: number) {
    if (checkedSmoothing(smoothing) === this.strength) return;
    this.strength = smoothing;
    for (const track of this.tracks) track.filters = this.newFilters();
  }

  /** Drop all tracks and resting faces, to begin another stream; the next frame is searched. Ids and `stats` continue. */
  reset(): void {
    this.tracks = [];
    this.lost = new LostTrackBuffer();
    this.rejected = new RejectedPlaces();
    this.resting = new RestingFaces();
    this.searches = 0;
    this.searched = -Infinity;
    this.framesSinceSearch = DETECTION_INTERVAL;
  }

  /**
   * Watch the resting faces of the next `seconds` of the stream, and subtract what their expressions read.
   *
   * Ask people to relax and to look at the camera. The calibration begins with the next frame that has a face. With
   * `maxFaces` 1 it holds for whoever is there, otherwise for the faces seen, by id; until `reset`. ModelFileError if the
   * model gives no expressions; RangeError unless `seconds` lies in (0, 60].
   */
  calibrateNeutral(seconds = 1): void {
    if (!this.spec.outputs.has("expressions")) {
      throw new ModelFileError(
        `model "${this.spec.name}" gives no expressions to calibrate: use one exported with \`--heads all\``,
      );
    }
    this.resting.begin(seconds);
  }

  /** Whether `calibrateNeutral` is under way, or waits for a face. */
  get calibrating(): boolean {
    return this.resting.calibrating;
  }

  /**
   * Find all faces in one picture, whatever was seen before; the stream of `update` is not affected.
   *
   * Faces come in the detector's order, not smoothed. Ids count from 0 in each picture, and `maxFaces` does not apply.
   */
  async detect(picture: Image): Promise<Face[]> {
    const camera = this.cameraOf(picture);
    const found: Observation[] = [];
    this.stats.frames++;
    for (const candidate of await this.search(picture)) {
      if (found.some((other) => candidate.iou(other.nextRoi) >= DUPLICATE_IOU_THRESHOLD)) continue;
      const face = await this.find(picture, candidate, camera, found, this.pictureLimits);
      if (face !== undefined) found.push(face);
    }
    this.stats.detections += found.length;
    return found.map((face, id) => this.faceOf(id, "detected", face, 0));
  }

  /** Track faces in the next frame; `timestamp` in seconds from any origin may repeat or decrease. */
  async update(frame: Image, timestamp: number): Promise<Face[]> {
    ensure(Number.isFinite(timestamp), `timestamp must be a finite number of seconds, got ${timestamp}`);
    const camera = this.cameraOf(frame);
    this.stats.frames++;

    const followed: Track[] = [];
    for (const track of this.tracks) {
      if (await this.updateTrack(track, frame, timestamp, camera)) followed.push(track);
    }
    const tracked = removeDuplicates(followed);
    for (const track of this.tracks) if (!tracked.includes(track)) this.lose(track, timestamp);
    this.tracks = tracked;
    this.lost.removeExpired(timestamp, this.searched, frame);
    this.rejected.removeExpired(timestamp);

    this.framesSinceSearch++;
    const trusted = this.tracks.length - this.doubtfulTracks().length;
    const searching = this.lost.size > 0 || trusted === 0;
    const interval = searching ? DETECTION_INTERVAL : DETECTION_INTERVAL_TRACKED;
    if (trusted < this.maxFaces && this.framesSinceSearch >= interval) {
      this.framesSinceSearch = 0;
      this.searched = timestamp;
      await this.startTracks(frame, timestamp, camera);
    }
    const faces = this.tracks.flatMap((track): [number, Float64Array][] => {
      const { expressions } = track.observation;
      return expressions ? [[this.restingKey(track), expressions]] : [];
    });
    this.resting.watch(new Map(faces), timestamp);
    return this.tracks.map((track) => this.smoothed(track, timestamp));
  }

  private cameraOf(frame: Image): Intrinsics {
    return this.intrinsics ?? Intrinsics.fromFov(frame.width, frame.height, DEFAULT_FOV);
  }

  private newFilters(): Filters | undefined {
    return this.strength > 0 ? new Filters(this.strength) : undefined;
  }

  private async observe(frame: Image, roi: Roi, camera: Intrinsics): Promise<Observation | undefined> {
    const { milliseconds } = this.stats;
    const start = this.clock();
    return observe(frame, roi, camera, this.spec, async (crop) => {
      const cropped = this.clock();
      const query = this.spec.prompts > 0 ? this.template?.points : undefined;
      const outputs = await this.backend.run(crop, query);
      milliseconds.crop += cropped - start;
      milliseconds.network += this.clock() - cropped;
      this.stats.networkRuns++;
      return outputs;
    });
  }

  /** Run the detector: on everything, or on its part of the `turn`-th search of a stream. */
  private async search(frame: Image, turn?: number): Promise<Roi[]> {
    this.stats.detectorRuns++;
    const start = this.clock();
    const found = await (turn === undefined ? this.detector.detect(frame) : this.detector.search(frame, turn));
    this.stats.milliseconds.detect += this.clock() - start;
    return found.filter((roi) => mayHoldFace(roi, frame));
  }

  /** Return the observation of a detected face, or undefined if it is none or one of the `known` ones. */
  private async find(
    frame: Image,
    candidate: Roi,
    camera: Intrinsics,
    known: readonly Observation[],
    limits: Limits,
  ): Promise<Observation | undefined> {
    let observation = await this.observe(frame, candidate, camera);
    if (observation === undefined || !accepted(observation, this.sureLimits)) {
      observation = await this.bestTurn(frame, candidate, camera, observation);
    }
    for (let i = 0; i < REFINEMENTS; i++) {
      // Of a face read upside down, one crop or another is doubtful.
      if (observation === undefined || observation.confidence < this.limits.confidence) return undefined;
      observation = await this.observe(frame, observation.nextRoi, camera);
    }
    if (observation === undefined || !accepted(observation, limits)) return undefined;
    const { landmarks } = observation;
    return known.some((face) => sameFace(landmarks, face.landmarks)) ? undefined : observation;
  }

  /** Return the best observation of a candidate turned by quarters: a detector may not tell which way is up. */
  private async bestTurn(
    frame: Image,
    candidate: Roi,
    camera: Intrinsics,
    upright: Observation | undefined,
  ): Promise<Observation | undefined> {
    let best = upright;
    for (const turn of QUARTER_TURNS) {
      const observation = await this.observe(frame, candidate.turned(turn), camera);
      if (observation !== undefined && (best === undefined || this.isBetter(observation, best))) best = observation;
    }
    return best;
  }

  /** Return whether the first is less uncertain, of two that may be faces, else more confident. */
  private isBetter(first: Observation, second: Observation): boolean {
    const [a, b] = [first, second].map(({ confidence }) => Math.min(confidence, this.limits.confidence));
    return a === b ? first.meanSigma < second.meanSigma : a > b;
  }

  /** Update a track with this frame and return whether its face is still tracked. */
  private async updateTrack(track: Track, frame: Image, timestamp: number, camera: Intrinsics): Promise<boolean> {
    const expected = track.motion.predict(timestamp);
    const observation = await this.observe(frame, expected, camera);
    if (observation === undefined) {
      track.evidence.add(0, track.evidence.uncertainty);
      return false;
    }
    track.evidence.add(observation.confidence, observation.meanSigma);
    if (observation.confidence < this.spec.lostThreshold) return false;
    track.lowConfidenceCount = accepted(observation, this.trackedLimits) ? 0 : track.lowConfidenceCount + 1;
    track.observation = observation;
    const roi = observation.nextRoi;
    const residual = Math.hypot(roi.cx - expected.cx, roi.cy - expected.cy) / expected.size;
    track.motionResidual = Math.max(residual, RESIDUAL_DECAY * track.motionResidual);
    track.motion.update(roi, timestamp);
    track.age++;
    if (track.evidence.onProbation && this.isDoubtful(track)) return false;
    return track.lowConfidenceCount < MAX_LOW_CONFIDENCE_FRAMES;
  }

  /** Remember a track that ends, and the place of a new one that ends in doubt. */
  private lose(track: Track, timestamp: number): void {
    this.stats.lostCount++;
    if (track.evidence.onProbation && !track.evidence.supports(this.trustedLimits)) {
      this.stats.rejectedCount++;
      this.rejected.add(track.observation.nextRoi, timestamp);
    }
    this.lost.add(new LostTrack(track.id, track.motion, timestamp));
  }

  private isDoubtful(track: Track): boolean {
    return track.evidence.frames >= MIN_EVIDENCE_FRAMES && !track.evidence.supports(this.trustedLimits);
  }

  private doubtfulTracks(): Track[] {
    return this.tracks.filter((track) => this.isDoubtful(track));
  }

  /** Search the frame and start tracks of new faces, up to `maxFaces`; a sure one replaces a doubtful track. */
  private async startTracks(frame: Image, timestamp: number, camera: Intrinsics): Promise<void> {
    const detections = await this.search(frame, this.searches++);
    const tracked = this.tracks.map((track) => track.observation.nextRoi);
    const candidates = detections.filter((roi) => tracked.every((other) => roi.iou(other) < DUPLICATE_IOU_THRESHOLD));
    candidates.sort((a, b) => Number(this.rejected.has(a)) - Number(this.rejected.has(b))); // known false alarms last
    for (const candidate of candidates.slice(0, Math.max(MAX_CANDIDATES, this.maxFaces))) {
      const doubtful = this.doubtfulTracks();
      const full = this.tracks.length === this.maxFaces;
      if (full && doubtful.length === 0) return;
      const known = this.tracks.map((track) => track.observation);
      const face = await this.find(frame, candidate, camera, known, this.limits);
      if (face === undefined) continue;
      if (!accepted(face, this.sureLimits) && (full || this.rejected.has(face.nextRoi))) continue;
      this.startTrack(face, timestamp, frame);
      if (full) {
        // Only now, so that its id is not matched.
        const replaced = doubtful.reduce((a, b) => (b.evidence.confidence < a.evidence.confidence ? b : a));
        this.tracks = this.tracks.filter((track) => track !== replaced);
        this.lose(replaced, timestamp);
      }
    }
  }

  private startTrack(observation: Observation, timestamp: number, frame: Image): void {
    const id = this.lost.match(observation.nextRoi, timestamp, frame) ?? this.nextId++;
    const motion = new RoiMotion(observation.nextRoi, timestamp);
    this.tracks = [...this.tracks, new Track(id, observation, motion, this.newFilters())];
    this.stats.detections++;
  }

  private restingKey(track: Track): number {
    return this.maxFaces === 1 ? 0 : track.id;
  }

  /** Return the track's face in this frame. */
  private smoothed(track: Track, timestamp: number): Face {
    const seen = track.filters?.smooth(track.observation, timestamp) ?? track.observation;
    const expressions = seen.expressions && this.resting.subtract(this.restingKey(track), seen.expressions);
    return this.faceOf(track.id, track.age > 0 ? "tracked" : "detected", { ...seen, expressions }, track.age);
  }

  /** Return a face whose arrays are the caller's own: filters and tracks keep theirs. */
  private faceOf(id: number, state: Face["state"], seen: Observation, age: number): Face {
    const { expressions } = seen;
    return {
      id,
      state,
      landmarks: seen.landmarks.slice(),
      uncertainty: seen.uncertainty.slice(),
      rotation: seen.rotation.slice(),
      confidence: seen.confidence,
      roi: seen.roi,
      direction: seen.direction.slice(),
      age,
      scheme: this.spec.schemeName,
      points: seen.points?.slice(),
      pointsUncertainty: seen.pointsUncertainty?.slice(),
      expressions: expressions && Object.fromEntries(EXPRESSIONS.map((name, i) => [name, expressions[i]])),
      gaze: seen.gaze?.slice(),
    };
  }
}

function accepted(observation: Observation, limits: Limits): boolean {
  return limits.accept(observation.confidence, observation.meanSigma);
}

/** Remove tracks on the same face as a track with a smaller motion residual, or an older one. */
function removeDuplicates(tracks: readonly Track[]): Track[] {
  const kept: Track[] = [];
  for (const track of [...tracks].sort((a, b) => a.motionResidual - b.motionResidual || b.age - a.age)) {
    const { landmarks } = track.observation;
    if (!kept.some((other) => sameFace(landmarks, other.observation.landmarks))) kept.push(track);
  }
  return tracks.filter((track) => kept.includes(track));
}

function checkedSmoothing(smoothing: number): number {
  ensure(smoothing >= 0 && smoothing <= 1, `smoothing must lie in [0, 1], got ${smoothing}`);
  return smoothing;
}

function checkModel(spec: ModelSpec): void {
  if (spec.isDetector) {
    throw new ModelFileError(`model "${spec.name}" is a face detector; pass it as detector, not as model`);
  }
  if (!spec.outputs.has("confidence")) {
    throw new ModelFileError(
      `model "${spec.name}" gives landmarks only; tracking needs head pose and confidence: use a file exported with ` +
        "its heads",
    );
  }
}

/** Return the template that the model finds. */
function selectTemplate(spec: ModelSpec, template: Template | undefined): Template | undefined {
  if (spec.prompts === 0) {
    if (template === undefined || template.name === spec.template?.name) return spec.template;
    const finds = spec.template === undefined ? "landmarks only" : `template "${spec.template.name}"`;
    throw new TemplateError(
      `model "${spec.name}" finds ${finds}, got template "${template.name}": choose no template, or a model exported ` +
        "with it or with query points",
    );
  }
  if (template === undefined) {
    throw new TemplateError(
      `model "${spec.name}" needs query points: got no template, expected one with 1 to ${spec.prompts} points`,
    );
  }
  const count = template.points.length / 2;
  if (count > spec.prompts) {
    throw new TemplateError(
      `model "${spec.name}" takes up to ${spec.prompts} query points, template "${template.name}" has ${count}`,
    );
  }
  return template;
}
