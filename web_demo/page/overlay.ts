/** The frame with its faces drawn in: edge_runtime/draw.py. */

import { eyeLandmarks, gazeDirections, matrixToAngles, Roi, type Edges, type Face } from "../core/index.js";

/** Standard deviations drawn opaque and nearly transparent, as fractions of the ROI's size. */
const LOW_UNCERTAINTY = 0.005;
const HIGH_UNCERTAINTY = 0.05;
const LEAST_OPACITY = 0.12;

const LANDMARK_COLOR = "#37f0a0";
const POINT_COLOR = "#ff4de1";
const EDGE_COLOR = "rgb(255 255 255 / 45%)";
const ROI_COLOR = "rgb(255 255 255 / 60%)";
const AXIS_COLORS = ["#ff5a5a", "#58e058", "#5a8cff"];
const GAZE_COLOR = "#ffd83d";

/** Length of the ray of an eye that looks along the image, ROI sizes. */
const GAZE_LENGTH = 0.4;

/** How faces are drawn. */
export interface Style {
  readonly edges: Edges;
  readonly templateEdges: Edges;
  /** Show the frame as a mirror does. Text stays readable. */
  readonly mirror: boolean;
}

/** Draw a frame and its faces; the canvas takes the frame's size. */
export function drawFrame(canvas: HTMLCanvasElement, frame: ImageBitmap, faces: readonly Face[], style: Style): void {
  const { width, height } = frame;
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d");
  if (context === null) return;
  context.setTransform(style.mirror ? -1 : 1, 0, 0, 1, style.mirror ? width : 0, 0);
  context.drawImage(frame, 0, 0);
  // Pixel centers are at integers in results, and at halves on a canvas.
  context.translate(0.5, 0.5);
  for (const face of faces) drawFace(context, face, style);
  context.resetTransform();
  for (const face of faces) drawLabel(context, face, labelText(face, faces.length), style.mirror);
}

/** Return the opacity of a point with this standard deviation, pixels, on a face whose ROI has `size` pixels. */
export function opacity(sigma: number, size: number): number {
  const level = (sigma / size - LOW_UNCERTAINTY) / (HIGH_UNCERTAINTY - LOW_UNCERTAINTY);
  return 1 - (1 - LEAST_OPACITY) * Math.min(Math.max(level, 0), 1);
}

function drawFace(context: CanvasRenderingContext2D, face: Face, style: Style): void {
  const { size } = face.roi;
  const thin = Math.max(1, size / 250);
  const corners = cornersOf(face);
  const square: Edges = [
    [0, 1],
    [1, 2],
    [2, 3],
    [3, 0],
  ];
  drawEdges(context, corners, square, ROI_COLOR, thin);
  drawEdges(context, face.landmarks, style.edges, EDGE_COLOR, thin);
  drawAxes(context, face, 2 * thin);
  drawGaze(context, face, 2 * thin);
  drawDots(context, face.landmarks, face.uncertainty, size, LANDMARK_COLOR, Math.max(1.2, size / 140));
  if (face.points && face.pointsUncertainty) {
    drawEdges(context, face.points, style.templateEdges, POINT_COLOR, thin);
    drawDots(context, face.points, face.pointsUncertainty, size, POINT_COLOR, Math.max(1.5, size / 110));
  }
}

/** Results come from the worker as plain values. */
function cornersOf({ roi }: Face): Float64Array {
  return new Roi(roi.cx, roi.cy, roi.size, roi.roll).corners();
}

function drawEdges(
  context: CanvasRenderingContext2D,
  points: Float64Array,
  edges: Edges,
  color: string,
  width: number,
): void {
  context.strokeStyle = color;
  context.lineWidth = width;
  context.beginPath();
  for (const [first, second] of edges) {
    context.moveTo(points[2 * first], points[2 * first + 1]);
    context.lineTo(points[2 * second], points[2 * second + 1]);
  }
  context.stroke();
}

function drawDots(
  context: CanvasRenderingContext2D,
  points: Float64Array,
  sigmas: Float64Array,
  size: number,
  color: string,
  radius: number,
): void {
  context.fillStyle = color;
  for (let i = 0; i < sigmas.length; i++) {
    context.globalAlpha = opacity(sigmas[i], size);
    context.beginPath();
    context.arc(points[2 * i], points[2 * i + 1], radius, 0, 2 * Math.PI);
    context.fill();
  }
  context.globalAlpha = 1;
}

/** Draw the head's axes at the mean of the landmarks, in parallel projection: right, down, and out of the face. */
function drawAxes(context: CanvasRenderingContext2D, face: Face, width: number): void {
  const { landmarks, rotation, roi } = face;
  const [x, y] = meanPoint(landmarks, [...Array(landmarks.length / 2).keys()]);
  const reach = 0.3 * roi.size;
  context.lineWidth = width;
  context.lineCap = "round";
  AXIS_COLORS.forEach((color, axis) => {
    // The head's z axis points into the head.
    const sign = axis === 2 ? -1 : 1;
    context.strokeStyle = color;
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x + sign * reach * rotation[axis], y + sign * reach * rotation[3 + axis]);
    context.stroke();
  });
}

/** Draw a ray from each eye, in parallel projection; an eye that looks into the camera has none. */
function drawGaze(context: CanvasRenderingContext2D, face: Face, width: number): void {
  context.strokeStyle = GAZE_COLOR;
  context.lineWidth = width;
  context.lineCap = "round";
  for (const [x0, y0, x1, y1] of gazeRays(face)) {
    context.beginPath();
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
    context.stroke();
  }
}

/** Return each eye's ray from its middle as x0, y0, x1, y1 in pixels, as far as model and scheme give them. */
export function gazeRays(face: Pick<Face, "gaze" | "landmarks" | "scheme" | "roi">): number[][] {
  if (face.gaze === undefined) return [];
  const directions = gazeDirections(face.gaze);
  const length = GAZE_LENGTH * face.roi.size;
  // The subject's left eye comes first: the image's right one.
  return (["right_eye", "left_eye"] as const).flatMap((eye, i) => {
    const indices = eyeLandmarks(eye, face.scheme);
    if (indices.length === 0) return [];
    const [x, y] = meanPoint(face.landmarks, indices);
    return [[x, y, x + length * directions[3 * i], y + length * directions[3 * i + 1]]];
  });
}

function meanPoint(points: Float64Array, indices: readonly number[]): [x: number, y: number] {
  const mean = (axis: number): number => indices.reduce((sum, i) => sum + points[2 * i + axis], 0) / indices.length;
  return [mean(0), mean(1)];
}

/** Return id, confidence, and angles; labels of several faces would overlap with angles, and have none. */
export function labelText(face: Pick<Face, "id" | "confidence" | "rotation">, faceCount: number): string {
  const text = `#${face.id}  ${face.confidence.toFixed(2)}`;
  return faceCount === 1 ? `${text}  ${anglesText(face)}` : text;
}

/** Draw a face's label above its ROI, moved into the frame if necessary. */
function drawLabel(context: CanvasRenderingContext2D, face: Face, text: string, mirror: boolean): void {
  const { width } = context.canvas;
  const corners = cornersOf(face);
  const xs = corners.filter((_, i) => i % 2 === 0);
  const top = Math.min(...corners.filter((_, i) => i % 2 === 1));
  const left = mirror ? width - 1 - Math.max(...xs) : Math.min(...xs);
  // The canvas may be shown smaller than its pixels.
  const height = Math.min(Math.max(face.roi.size / 20, width / 45), width / 28);
  context.font = `600 ${height}px system-ui, sans-serif`;
  context.lineWidth = height / 5;
  context.lineJoin = "round";
  context.strokeStyle = "rgb(0 0 0 / 70%)";
  context.fillStyle = "white";
  const x = Math.max(2, Math.min(left, width - context.measureText(text).width - 2));
  const y = Math.max(height, top - 6);
  context.strokeText(text, x, y);
  context.fillText(text, x, y);
}

/** Return pitch, yaw, and roll in whole degrees. */
export function anglesText(face: Pick<Face, "rotation">): string {
  const [pitch, yaw, roll] = matrixToAngles(face.rotation).map((angle) => {
    const degrees = Math.round((angle * 180) / Math.PI);
    return `${degrees < 0 ? "−" : "+"}${Math.abs(degrees)}°`;
  });
  return `pitch ${pitch} yaw ${yaw} roll ${roll}`;
}
