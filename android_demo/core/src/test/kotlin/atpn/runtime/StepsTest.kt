package atpn.runtime

import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/** Single steps on inputs near their thresholds. */
class StepsTest {
    private val steps = Golden.json("steps.json")

    private fun cases(name: String, check: (where: String, case: List<*>) -> Unit) {
        val found = steps[name].list
        assertTrue(name, found.isNotEmpty())
        found.forEachIndexed { i, case -> check("$name, case $i", case.list) }
    }

    @Test fun overlap() = cases("iou") { where, (first, second, value) ->
        assertEquals(where, value.double, first.roi.iou(second.roi), TOLERANCE)
    }

    @Test fun fractionInsideTheFrame() = cases("fraction_inside") { where, (values, width, height, fraction) ->
        assertEquals(where, fraction.double, rectangle(values).fractionInside(width.int, height.int), TOLERANCE)
    }

    @Test fun plausibleLandmarks() = cases("is_plausible") { where, (values, roi, width, height, expected) ->
        assertEquals(where, expected, isPlausible(rectangle(values), roi.roi, width.int, height.int))
    }

    @Test fun rollOfLandmarks() = cases("upright_roll") { where, (landmarks, mean, roll) ->
        assertEquals(where, roll.double, uprightRoll(landmarks.doubles, mean.floats), TOLERANCE)
    }

    @Test fun anglesAndBack() = cases("angles") { where, (angles, matrix, back) ->
        val (pitch, yaw, roll) = angles.doubles
        val result = anglesToMatrix(pitch, yaw, roll)
        assertClose(where, matrix, result)
        assertClose(where, back, matrixToAngles(result))
    }

    @Test fun viewingRay() = cases("crop_to_camera") { where, (roi, camera, rotation, ray) ->
        assertClose(where, rotation, cropToCamera(roi.roi, camera.intrinsics))
        assertClose(where, ray, camera.intrinsics.ray(roi.roi.cx, roi.roi.cy))
    }

    @Test fun oneEuroOfPoints() = cases("one_euro_points") { where, (strength, size, times, points, results) ->
        val filter = OneEuroPoints(strength.double)
        for ((i, time) in times.doubles.withIndex()) {
            assertClose("$where, time $i", results.list[i], filter.smooth(points.list[i].doubles, time, size.double))
        }
    }

    @Test fun oneEuroOfRotations() = cases("one_euro_rotation") { where, (strength, times, angles, results) ->
        val filter = OneEuroRotation(strength.double)
        for ((i, time) in times.doubles.withIndex()) {
            val (pitch, yaw, roll) = angles.list[i].doubles
            assertClose("$where, time $i", results.list[i], filter.smooth(anglesToMatrix(pitch, yaw, roll), time))
        }
    }

    @Test fun oneEuroOfNumbers() = cases("one_euro_numbers") { where, (strength, coefficient, times, numbers, results) ->
        val filter = OneEuroNumbers(strength.double, coefficient.double)
        for ((i, time) in times.doubles.withIndex()) {
            assertClose("$where, time $i", results.list[i], filter.smooth(numbers.list[i].doubles, time))
        }
    }

    @Test fun gazeInAnotherFrame() = cases("turn_gaze") { where, (angles, rotation, turned) ->
        assertClose(where, turned, turnGaze(angles.doubles, rotation.doubles))
    }

    @Test fun possibleOutputs() = cases("is_possible") { where, (name, values, expected) ->
        assertEquals("$where, $name", expected, isPossible(mapOf(name as String to values.floats)))
    }

    @Test fun restingFaces() = cases("resting_faces") { where, rows ->
        val resting = RestingFaces()
        for ((i, row) in rows.withIndex()) {
            val (begin, time, faces, calibrating, subtracted) = row.list
            begin?.let { resting.begin(it.double) }
            val seen = faces.list.map { face -> face.list.let { (key, coefficients) -> key.int to coefficients.doubles } }
            resting.watch(seen.toMap(), time.double)
            assertEquals("$where, row $i: calibrating", calibrating, resting.calibrating)
            for ((face, expected) in seen.zip(subtracted.list)) {
                assertClose("$where, row $i, face ${face.first}", expected, resting.subtract(face.first, face.second))
            }
        }
    }

    @Test fun fractionOfATurn() = cases("turn_fraction") { where, (angle, weight, fraction) ->
        assertEquals(where, fraction.double, turnFraction(angle.double, weight.double), TOLERANCE)
    }

    @Test fun motion() = cases("motion") { where, rows ->
        val motion = RoiMotion(Roi(100.0, 100.0, 60.0, 0.1), 0.0)
        for ((i, row) in rows.withIndex()) {
            val (time, predicted, extrapolate, observation) = row.list
            assertClose("$where, row $i", predicted, motion.predict(time.double).values)
            assertClose("$where, row $i", extrapolate, motion.extrapolate(time.double, EXTRAPOLATION_SECONDS).values)
            motion.update(observation.roi, time.double)
        }
    }

    @Test fun sameFace() = cases("same_face") { where, (first, second, same) ->
        assertEquals(where, same, sameFace(first.doubles, second.doubles))
    }

    @Test fun match() = cases("match_lost_track") { where, (lost, found, now, searched, id) ->
        val memory = LostTrackBuffer()
        for (face in lost.list) {
            val (number, square, speed, time) = face.list
            val roi = square.roi
            val motion = RoiMotion(roi.copy(cx = roi.cx - speed.double), time.double - 1)
            motion.update(roi, time.double)
            memory.add(LostTrack(number.int, motion, time.double))
        }
        memory.removeExpired(now.double, searched.double, 320, 240)
        assertEquals(where, id?.int, memory.match(found.roi, now.double, 320, 240))
    }

    @Test fun detections() = cases("decode_detections") { where, (roll, scores, rois, threshold, found) ->
        val square = Roi(0.5, 0.5, 1.0)
        val read = decodeDetections(scores.floats, rois.floats, square, threshold.double, roll?.floats)
        assertEquals("$where: detections", found.list.size, read.size)
        for ((expected, candidate) in found.list.zip(read)) {
            assertClose(where, expected, doubleArrayOf(candidate.score) + candidate.roi.values)
        }
    }

    @Test fun tilesOfALargeFrame() = cases("tiles") { where, (width, height, size, parts) ->
        val expected = parts.list.map { part -> part.list.map { it.int } }
        assertEquals(where, expected, tiles(width.int, height.int, size.int).map { listOf(it.x, it.y, it.side) })
    }

    @Test fun letterboxedFrame() = cases("letterbox") { where, (width, height, pixels, square) ->
        val letterboxed = letterbox(composite(width.int, height.int, 1, listOf(listOf(0, 5, -10, 1))), 192)
        assertPixels("$where, $width x $height", pixels, letterboxed.pixels, 192)
        assertClose(where, square, letterboxed.square.values)
    }

    @Test fun crop() {
        val image = composite(320, 240, 2, listOf(listOf(1, 40, 30, 1), listOf(0, 200, 100, 1)))
        cases("extract_crop") { where, (roi, pixels) ->
            assertPixels(where, pixels, extractCrop(image, roi.roi, 112), 112)
        }
    }

    private fun rectangle(values: Any?) = values.doubles.let { v -> Rectangle(v[0], v[1], v[2], v[3], v[4]) }
}
