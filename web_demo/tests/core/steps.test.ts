/** Single steps on inputs near their thresholds. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { extractCrop } from "../../core/crop.js";
import { decodeDetections, letterbox, tiles } from "../../core/detector.js";
import { Rectangle, Roi, uprightRoll } from "../../core/geometry.js";
import { turnGaze } from "../../core/gaze.js";
import { EXTRAPOLATION_SECONDS, LostTrack, LostTrackBuffer, sameFace } from "../../core/identity.js";
import { RoiMotion } from "../../core/motion.js";
import { RestingFaces } from "../../core/neutral.js";
import { isPlausible, isPossible } from "../../core/observation.js";
import { openings } from "../../core/openings.js";
import { anglesToMatrix, cropToCamera, matrixToAngles } from "../../core/rotation.js";
import { OneEuroNumbers, OneEuroPoints, OneEuroRotation, turnFraction } from "../../core/smoothing.js";
import {
  assertClose,
  assertPixels,
  composite,
  doubles,
  floats,
  intrinsicsOf,
  json,
  roiOf,
  valuesOf,
  type Pixels,
} from "./golden.js";

type Numbers = number[];
type Box = [number, number, number, number, number];

const steps = json("steps.json") as Record<string, unknown[]>;

function cases<Case extends unknown[]>(name: string, check: (where: string, ...values: Case) => void): void {
  void test(name, () => {
    const found = steps[name] as Case[];
    assert.ok(found.length > 0);
    found.forEach((values, i) => {
      check(`${name}, case ${i}`, ...values);
    });
  });
}

cases<[Numbers, Numbers, number]>("iou", (where, first, second, value) => {
  assertClose(where, [value], [roiOf(first).iou(roiOf(second))]);
});

cases<[Box, number, number, number]>("fraction_inside", (where, values, width, height, fraction) => {
  assertClose(where, [fraction], [new Rectangle(...values).fractionInside(width, height)]);
});

cases<[Box, Numbers, number, number, boolean]>("is_plausible", (where, values, roi, width, height, expected) => {
  assert.equal(isPlausible(new Rectangle(...values), roiOf(roi), { width, height }), expected, where);
});

cases<[Numbers, Numbers, number]>("upright_roll", (where, landmarks, mean, roll) => {
  assertClose(where, [roll], [uprightRoll(doubles(landmarks), floats(mean))]);
});

cases<[[number, number, number], Numbers, Numbers]>("angles", (where, angles, matrix, back) => {
  const result = anglesToMatrix(...angles);
  assertClose(where, matrix, result);
  assertClose(where, back, matrixToAngles(result));
});

cases<[Numbers, Numbers, Numbers, Numbers]>("crop_to_camera", (where, roi, camera, rotation, ray) => {
  const intrinsics = intrinsicsOf(camera);
  assertClose(where, rotation, cropToCamera(roiOf(roi), intrinsics));
  assertClose(where, ray, intrinsics.ray(roi[0], roi[1]));
});

cases<[number, number, Numbers, Numbers[], Numbers[]]>(
  "one_euro_points",
  (where, strength, size, times, points, results) => {
    const filter = new OneEuroPoints(strength);
    times.forEach((time, i) => {
      assertClose(`${where}, time ${i}`, results[i], filter.smooth(doubles(points[i]), time, size));
    });
  },
);

cases<[number, Numbers, [number, number, number][], Numbers[]]>(
  "one_euro_rotation",
  (where, strength, times, angles, results) => {
    const filter = new OneEuroRotation(strength);
    times.forEach((time, i) => {
      assertClose(`${where}, time ${i}`, results[i], filter.smooth(anglesToMatrix(...angles[i]), time));
    });
  },
);

cases<[number, number, Numbers, Numbers[], Numbers[]]>(
  "one_euro_numbers",
  (where, strength, speedCoefficient, times, values, results) => {
    const filter = new OneEuroNumbers(strength, speedCoefficient);
    times.forEach((time, i) => {
      assertClose(`${where}, time ${i}`, results[i], filter.smooth(doubles(values[i]), time));
    });
  },
);

cases<[number, number, number]>("turn_fraction", (where, angle, weight, fraction) => {
  assertClose(where, [fraction], [turnFraction(angle, weight)]);
});

cases<[Numbers, Numbers, Numbers]>("turn_gaze", (where, angles, rotation, turned) => {
  assertClose(where, turned, turnGaze(doubles(angles), doubles(rotation)));
});

cases<[string, (number | null)[], boolean]>("is_possible", (where, name, values, expected) => {
  assert.equal(isPossible({ [name]: floats(values) }), expected, `${where}: ${name} ${values.join()}`);
});

/** Seconds of a calibration that begins, time, faces by key; then whether it goes on, and each face's coefficients. */
type RestingRow = [number | null, number, [number, Numbers][], boolean, Numbers[]];

cases<RestingRow[]>("resting_faces", (where, ...rows) => {
  const resting = new RestingFaces();
  rows.forEach(([begin, time, faces, calibrating, subtracted], i) => {
    const given = new Map(faces.map(([key, coefficients]) => [key, doubles(coefficients)]));
    if (begin !== null) resting.begin(begin);
    resting.watch(given, time);
    assert.equal(resting.calibrating, calibrating, `${where}, row ${i}`);
    [...given].forEach(([key, coefficients], j) => {
      assertClose(`${where}, row ${i}, face ${key}`, subtracted[j], resting.subtract(key, coefficients));
    });
  });
});

cases<[number, Numbers, Numbers, Numbers][]>("motion", (where, ...rows) => {
  const motion = new RoiMotion(new Roi(100, 100, 60, 0.1), 0);
  rows.forEach(([time, predicted, extrapolated, observed], i) => {
    assertClose(`${where}, row ${i}`, predicted, valuesOf(motion.predict(time)));
    assertClose(`${where}, row ${i}`, extrapolated, valuesOf(motion.extrapolate(time, EXTRAPOLATION_SECONDS)));
    motion.update(roiOf(observed), time);
  });
});

cases<[Numbers, Numbers, boolean]>("same_face", (where, first, second, same) => {
  assert.equal(sameFace(doubles(first), doubles(second)), same, where);
});

cases<[[number, Numbers, number, number][], Numbers, number, number, number | null]>(
  "match_lost_track",
  (where, lost, found, now, searched, id) => {
    const buffer = new LostTrackBuffer();
    for (const [number, square, speed, time] of lost) {
      const roi = roiOf(square);
      const motion = new RoiMotion(roi.moved(-speed, 0), time - 1);
      motion.update(roi, time);
      buffer.add(new LostTrack(number, motion, time));
    }
    const frame = { width: 320, height: 240 };
    buffer.removeExpired(now, searched, frame);
    assert.equal(buffer.match(roiOf(found), now, frame), id ?? undefined, where);
  },
);

cases<[Numbers | null, Numbers, Numbers, number, Numbers[]]>(
  "decode_detections",
  (where, roll, scores, rois, threshold, expected) => {
    const square = new Roi(0.5, 0.5, 1);
    const found = decodeDetections(floats(scores), floats(rois), square, threshold, roll ? floats(roll) : undefined);
    assert.equal(found.length, expected.length, `${where}: detections`);
    found.forEach(({ score, roi }, i) => {
      assertClose(where, expected[i], [score, ...valuesOf(roi)]);
    });
  },
);

cases<[number, number, number, Numbers[]]>("tiles", (where, width, height, size, expected) => {
  const found = tiles(width, height, size).map(({ x, y, side }) => [x, y, side]);
  assert.deepEqual(found, expected, where);
});

cases<[number, number, Pixels, Numbers]>("letterbox", (where, width, height, expected, place) => {
  const { pixels, square } = letterbox(composite(width, height, 1, [[0, 5, -10, 1]]), 192);
  assertPixels(`${where}, ${width} x ${height}`, expected, pixels, 192);
  assertClose(where, place, valuesOf(square));
});

const scene = composite(320, 240, 2, [
  [1, 40, 30, 1],
  [0, 200, 100, 1],
]);

cases<[Numbers, Pixels]>("extract_crop", (where, roi, expected) => {
  assertPixels(where, expected, extractCrop(scene, roiOf(roi), 112), 112);
});

cases<[string, Numbers, Record<string, number>]>("openings", (where, scheme, landmarks, expected) => {
  const found = openings(doubles(landmarks), scheme);
  assert.deepEqual(Object.keys(found).sort(), Object.keys(expected).sort(), where);
  for (const [name, value] of Object.entries(expected)) assertClose(`${where}: ${name}`, [value], [found[name]]);
});
