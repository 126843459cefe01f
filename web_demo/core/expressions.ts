/** ARKit's expression coefficients, in the published order: edge_runtime/expressions.py. Left is the subject's left. */

/** The 52 names; a coefficient is 0 for a relaxed face and 1 for the strongest movement. */
export const EXPRESSIONS: readonly string[] = [
  ...["eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft"],
  ...["eyeSquintLeft", "eyeWideLeft"],
  ...["eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight"],
  ...["eyeSquintRight", "eyeWideRight"],
  ...["jawForward", "jawLeft", "jawRight", "jawOpen"],
  ...["mouthClose", "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight"],
  ...["mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight"],
  ...["mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight"],
  ...["mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"],
  ...["mouthPressLeft", "mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight"],
  ...["mouthUpperUpLeft", "mouthUpperUpRight"],
  ...["browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight"],
  ...["cheekPuff", "cheekSquintLeft", "cheekSquintRight"],
  ...["noseSneerLeft", "noseSneerRight", "tongueOut"],
];
