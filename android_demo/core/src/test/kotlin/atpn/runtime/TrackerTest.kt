package atpn.runtime

import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** What the sequences do not show: refusals, reset, templates. */
class TrackerTest {
    private val shape = floatArrayOf(0.2f, 0.2f, 0.8f, 0.3f, 0.7f, 0.8f, 0.3f, 0.7f)
    private val mouth = Template("mouth", floatArrayOf(0.4f, 0.7f), emptyList())
    private val spec = ModelSpec("tiny", "four", shape, standardOutputs(4))
    private val frame = RgbImage.rgb(ByteArray(320 * 240 * 3), 320, 240)
    private val detector = Detector { listOf(Roi(160.0, 120.0, 90.0)) }

    /** A network that finds the mean shape wherever it looks. */
    private inner class Constant(override val spec: ModelSpec) : Backend {
        override fun run(crop: ByteArray) = mapOf(
            "landmarks" to shape,
            "uncertainty" to FloatArray(4) { 0.02f },
            "pose" to FloatArray(3),
            "confidence" to floatArrayOf(0.9f),
        ) + mapOf("points" to mouth.points, "points_uncertainty" to floatArrayOf(0.1f)).filterKeys { it in spec.outputs }
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

    @Test fun aTemplatesPointsAreFound() {
        val outputs = standardOutputs(4, points = 1)
        val tracker = FaceTracker(Constant(spec.copy(outputs = outputs, template = mouth)), detector, smoothing = 0.0)
        val (face) = tracker.update(frame, 0.0)
        assertArrayEquals(face.roi.toFrame(mouth.points), face.points, 1e-9)
        assertArrayEquals(doubleArrayOf(0.1 * face.roi.size), face.pointsUncertainty, 1e-6)
    }

    @Test fun whatCannotBeTrackedWithIsRefused() {
        fun refused(expected: String, make: () -> Any) {
            val error = assertThrows(IllegalArgumentException::class.java) { make() }
            assertTrue(error.message, expected in error.message.orEmpty())
        }
        refused("maxFaces must be 1 or more, got 0") { FaceTracker(Constant(spec), detector, maxFaces = 0) }
        refused("smoothing must lie in [0, 1], got 1.5") { FaceTracker(Constant(spec), detector, smoothing = 1.5) }
        refused("is a face detector") { FaceTracker(Constant(Golden.detectorSpec), detector) }
        refused("gives landmarks only") { FaceTracker(Constant(spec.copy(outputs = standardOutputs(4, withHeads = false))), detector) }
        refused("export it with --template") {
            FaceTracker(Constant(spec.copy(outputs = standardOutputs(4, points = 5), prompts = 5)), detector)
        }
        refused("a detector gives scores and regions") { NetworkDetector(Constant(spec)) }
        refused("must be a finite number of seconds") { FaceTracker(Constant(spec), detector).update(frame, Double.NaN) }
        refused("finite numbers and a positive size") { Roi(0.0, 0.0, 0.0) }
        refused("positive focal lengths") { Intrinsics(0.0, 1.0, 0.0, 0.0) }
    }

    @Test fun aDetectorThatPointsAtOnePixelIsSurvived() {
        assertEquals(emptyList<Face>(), FaceTracker(Constant(spec), { listOf(Roi(0.0, 0.0, 0.5)) }).update(frame, 0.0))
    }

    @Test fun halfATurnIsARotationLikeAnyOther() {
        for (axis in listOf(doubleArrayOf(1.0, 0.0, 0.0), doubleArrayOf(0.0, 0.6, 0.8), doubleArrayOf(-0.6, 0.8, 0.0))) {
            val turn = rotationOf(scaled(axis, Math.PI))
            assertArrayEquals(turn, rotationOf(rotationVector(turn)), 1e-9)
        }
    }
}
