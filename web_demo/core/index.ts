/** The tracking loop for browsers and Node: arrays in, faces out. No DOM, no inference engine. */

export type { Backend, NamedOutputs } from "./backend.js";
export { NetworkDetector, type Detector } from "./detector.js";
export { ModelFileError, TemplateError } from "./errors.js";
export { EXPRESSIONS } from "./expressions.js";
export { faceRecord, type Face } from "./face.js";
export { gazeDirections } from "./gaze.js";
export { Intrinsics, Roi } from "./geometry.js";
export { imageOf, type Image } from "./image.js";
export { eyeLandmarks, openings } from "./openings.js";
export type { TrackerOptions, TrackerStats } from "./options.js";
export { matchOutputs, type FileOutput } from "./outputs.js";
export { matrixToAngles } from "./rotation.js";
export type { Edges, LandmarkScheme } from "./schemes.js";
export { readSpec, type ModelSpec } from "./spec.js";
export { parseTemplate, type Template } from "./template.js";
export { FaceTracker } from "./tracker.js";
