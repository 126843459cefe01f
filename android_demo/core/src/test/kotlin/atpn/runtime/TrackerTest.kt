package atpn.runtime

import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** Errors, reset, and templates, which the sequences do not cover. */
class TrackerTest {
    private val shape = floatArrayOf(0.2f, 0.2f, 0.8f, 0.3f, 0.7f, 0.8f, 0.3f, 0.7f)
    private val mouth = Template("mouth", floatArrayOf(0.4f, 0.7f), emptyList())
    private val spec = ModelSpec("tiny", "four", shape, standardOutputs(4))
    private val frame = RgbImage.rgb(ByteArray(320 * 240 * 3), 320, 240)
    private val detector = Detector { listOf(Roi(160.0, 120.0, 90.0)) }

    /** Network that returns the mean shape. */
    private inner class Constant(override val spec: ModelSpec) : Backend {
        override fun run(crop: ByteArray) = mapOf(
            "landmarks" to shape,
            "uncertainty" to FloatArray(4) { 0.02f },
            "pose" to FloatArray(3),
            "confidence" to floatArrayOf(0.9f),
        ) + mapOf("points" to mouth.points, "points_uncertainty" to floatArrayOf(0.1f)).filterKeys { it in spec.outputs }
    }

    /** Network that also returns expressions, all of this [value], and the gaze of eyes that look along the head. */
    private inner class Expressive(var value: Float) : Backend {
        override val spec = this@TrackerTest.spec.copy(outputs = standardOutputs(4, withExpressions = true))
        var confidence = 0.9f

        override fun run(crop: ByteArray) = Constant(spec).run(crop) + mapOf(
            "confidence" to floatArrayOf(confidence),
            "expressions" to FloatArray(52) { value },
            "gaze" to FloatArray(4),
        )
    }

    @Test fun expressionsHaveArkitsNamesAndGazeIsInTheCamerasFrame() {
        val tracker = FaceTracker(Expressive(0.25f), detector, smoothing = 0.0, intrinsics = Intrinsics(200.0, 200.0, 60.0, 90.0))
        val (face) = tracker.update(frame, 0.0)
        assertEquals(EXPRESSIONS.map { it to 0.25 }, face.expressions?.toList())
        // Eyes that look along the head do so in any frame.
        val (pitch, yaw) = face.pose.angles
        assertArrayEquals(doubleArrayOf(yaw, pitch, yaw, pitch), face.gaze, 1e-9)
        assertTrue("a face to the right of the camera's axis that looks at the camera", yaw < -0.2)
        val (plain) = FaceTracker(Constant(spec), detector).update(frame, 0.0)
        assertNull(plain.expressions)
        assertNull(plain.gaze)
    }

    @Test fun directionsAndAnglesOfGazeAreInverse() {
        val angles = doubleArrayOf(0.3, -0.2, -1.2, 0.9)
        assertArrayEquals(angles, gazeAngles(gazeDirections(angles)), 1e-12)
        assertArrayEquals(doubleArrayOf(Math.PI / 4, 0.0), gazeAngles(doubleArrayOf(2.0, 0.0, -2.0)), 1e-12)
        assertArrayEquals(doubleArrayOf(0.0, Math.PI / 4), gazeAngles(doubleArrayOf(0.0, -2.0, -2.0)), 1e-12)
    }

    @Test fun aRestingFaceIsSubtracted() {
        for (maxFaces in 1..2) {
            val backend = Expressive(0.25f)
            var place = Roi(80.0, 120.0, 90.0)
            val tracker = FaceTracker(backend, { listOf(place) }, maxFaces, smoothing = 0.0)
            tracker.calibrateNeutral(0.5)
            fun jaw(time: Double) = tracker.update(frame, time).single().expressions?.get("jawOpen")
            for (i in 0..4) {
                assertTrue(tracker.calibrating)
                assertEquals(0.25, jaw(i / 10.0))
            }
            assertEquals(0.0, jaw(0.5))
            assertFalse(tracker.calibrating)
            backend.value = 0.625f
            assertEquals(0.5, jaw(0.6))
            assertEquals("a picture has its own faces", 0.625, tracker.detect(frame).single().expressions?.get("jawOpen"))
            // Of several faces each has its own; in a stream of one it holds for whoever is there.
            backend.confidence = 0.1f
            assertTrue(tracker.update(frame, 0.7).isEmpty())
            backend.confidence = 0.9f
            place = Roi(240.0, 120.0, 90.0)
            val found = (0..9).flatMap { tracker.update(frame, 30.0 + it) }.last()
            assertEquals(1, found.id)
            assertEquals(if (maxFaces == 1) 0.5 else 0.625, found.expressions?.get("jawOpen"))
            tracker.reset()
            assertEquals(0.625, jaw(50.0))
        }
    }

    @Test fun idsAreNotUsedAgainAfterAReset() {
        val tracker = FaceTracker(Constant(spec), detector)
        assertEquals(listOf(0), tracker.update(frame, 0.0).map { it.id })
        tracker.reset()
        val (face) = tracker.update(frame, 0.1)
        assertEquals(1, face.id)
        assertEquals(TrackState.DETECTED, face.state)
        assertEquals(0, tracker.stats.lostCount)
    }

    @Test fun aPictureIsSearchedWhateverWasSeenBefore() {
        val places = listOf(Roi(80.0, 120.0, 90.0), Roi(85.0, 120.0, 90.0), Roi(240.0, 120.0, 90.0))
        val turns = ArrayList<Int>()
        val part = object : Detector {
            override fun detect(frame: RgbImage) = places

            override fun search(frame: RgbImage, turn: Int) = places.take(1).also { turns += turn }
        }
        val tracker = FaceTracker(Constant(spec), part)
        val tracked = tracker.update(frame, 0.0)
        repeat(2) {
            val found = tracker.detect(frame)
            assertEquals(listOf(0, 1), found.map { it.id })
            assertEquals(listOf(80.0, 240.0), found.map { it.roi.cx.let(Math::rint) })
        }
        assertEquals(tracked.map { it.id }, tracker.update(frame, 0.1).map { it.id })
        tracker.reset()
        tracker.update(frame, 0.2)
        assertEquals("the turns start over", listOf(0, 0), turns)
    }

    @Test fun aTemplatesPointsAreFound() {
        val outputs = standardOutputs(4, points = 1)
        val tracker = FaceTracker(Constant(spec.copy(outputs = outputs, template = mouth)), detector, smoothing = 0.0)
        val (face) = tracker.update(frame, 0.0)
        assertArrayEquals(face.roi.toFrame(mouth.points), face.points, 1e-9)
        assertArrayEquals(doubleArrayOf(0.1 * face.roi.size), face.pointsUncertainty, 1e-6)
    }

    @Test fun impossibleResultsAreNoFace() {
        for (name in listOf("landmarks", "uncertainty", "pose", "confidence")) {
            for (value in listOf(Float.NaN, Float.POSITIVE_INFINITY, 1e38f, -1e30f)) {
                val wild = object : Backend {
                    override val spec = this@TrackerTest.spec

                    override fun run(crop: ByteArray) = Constant(spec).run(crop).mapValues { (key, values) ->
                        if (key == name) values.clone().also { it[0] = value } else values
                    }
                }
                val tracker = FaceTracker(wild, detector)
                assertTrue("$name $value", tracker.update(frame, 0.0).isEmpty() && tracker.detect(frame).isEmpty())
            }
        }
    }

    @Test fun impossibleCellsOfADetectorAreLeftOut() {
        val square = Roi(47.5, 47.5, 96.0)
        val scores = FloatArray(36).also { it[14] = 0.7f }
        val rois = FloatArray(108) { 0.5f }
        assertEquals(1, decodeDetections(scores, rois, square, 0.5).size)
        for (value in listOf(Float.NaN, Float.POSITIVE_INFINITY, 1e30f, -1f)) {
            val wildRois = rois.clone().also { it[3 * 15 + 2] = value }
            assertEquals(1, decodeDetections(scores.clone().also { it[15] = 0.9f }, wildRois, square, 0.5).size)
            assertEquals(1, decodeDetections(scores.clone().also { it[15] = value }, rois, square, 0.5).size)
        }
    }

    @Test fun timestampsMayBeAnything() {
        val tracker = FaceTracker(Constant(spec), detector)
        for (time in listOf(0.0, 1e-310, 1e-309, -1e308, 1e308, 1e308, 5.0, 5.0 + 1e-12, 6.0)) {
            val faces = tracker.update(frame, time)
            assertTrue(faces.all { face -> face.landmarks.all { it.isFinite() } })
        }
        assertEquals(1, tracker.update(frame, 6.1).size)
    }

    @Test fun invalidArgumentsAreRejected() {
        fun rejects(expected: String, make: () -> Any) {
            val error = assertThrows(IllegalArgumentException::class.java) { make() }
            assertTrue(error.message, expected in error.message.orEmpty())
        }
        rejects("maxFaces must be 1 or more, got 0") { FaceTracker(Constant(spec), detector, maxFaces = 0) }
        rejects("smoothing must lie in [0, 1], got 1.5") { FaceTracker(Constant(spec), detector, smoothing = 1.5) }
        rejects("is a face detector") { FaceTracker(Constant(Golden.detectorSpec), detector) }
        rejects("gives landmarks only") { FaceTracker(Constant(spec.copy(outputs = standardOutputs(4, withHeads = false))), detector) }
        rejects("export it with --template") {
            FaceTracker(Constant(spec.copy(outputs = standardOutputs(4, points = 5), prompts = 5)), detector)
        }
        rejects("gives no expressions to calibrate") { FaceTracker(Constant(spec), detector).calibrateNeutral() }
        for (seconds in listOf(0.0, -1.0, 61.0, Double.NaN)) {
            rejects("seconds must lie in (0, 60.0], got $seconds") { FaceTracker(Expressive(0f), detector).calibrateNeutral(seconds) }
        }
        rejects("expected scores and rois") { NetworkDetector(Constant(spec)) }
        rejects("must be a finite number of seconds") { FaceTracker(Constant(spec), detector).update(frame, Double.NaN) }
        rejects("finite numbers and a positive size") { Roi(0.0, 0.0, 0.0) }
        rejects("positive focal lengths") { Intrinsics(0.0, 1.0, 0.0, 0.0) }
    }

    @Test fun aRoiOfOnePixelHasNoFace() {
        assertEquals(emptyList<Face>(), FaceTracker(Constant(spec), { listOf(Roi(0.0, 0.0, 0.5)) }).update(frame, 0.0))
    }

    @Test fun halfATurnIsARotationLikeAnyOther() {
        for (axis in listOf(doubleArrayOf(1.0, 0.0, 0.0), doubleArrayOf(0.0, 0.6, 0.8), doubleArrayOf(-0.6, 0.8, 0.0))) {
            val turn = rotationOf(scaled(axis, Math.PI))
            assertArrayEquals(turn, rotationOf(rotationVector(turn)), 1e-9)
        }
    }
}
