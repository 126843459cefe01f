package atpn.runtime

import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertNull
import org.junit.Test

/** Sequences: the network's outputs are recorded, everything else is computed here and compared. */
class SequencesTest {
    @Test fun aFaceThatHoldsStill() = play("still")

    @Test fun aFaceThatMovesFastAndIsLostAndFoundAgain() = play("fast")

    @Test fun twoFacesThatCross() = play("crossing")

    @Test fun aTrackThatSlipsOntoAnotherFace() = play("slipped")

    @Test fun aFaceOfLowConfidence() = play("low_confidence")

    @Test fun aFaceThatLeavesAndReturns() = play("returning")

    @Test fun aFalseAlarmAndADoubtfulFace() = play("doubtful")

    private fun play(name: String) {
        val sequence = Golden.json("sequence_$name.json")
        val frames = sequence["frames"].list.map { it.obj }
        val network = Replay("$name, network", Golden.networkSpec, frames.flatMap { networkRuns(it) })
        val detector = Replay("$name, detector", Golden.detectorSpec, frames.flatMap { detectorRuns(it) })
        val camera = sequence["intrinsics"]?.intrinsics
        val (faces, smoothing) = Pair(sequence["max_faces"].int, sequence["smoothing"].double)
        val tracker = FaceTracker(network, NetworkDetector(detector), faces, smoothing, camera)
        for ((number, frame) in frames.withIndex()) {
            val sprites = frame["sprites"].list.map { sprite -> sprite.list.map { it.int } }
            val image = composite(sequence["width"].int, sequence["height"].int, number, sprites)
            val where = "$name, frame $number"
            for ((i, run) in frame["runs"].list.withIndex()) {
                checkRun("$where, run $i", run.obj, image, camera ?: Intrinsics.fromFov(image.width, image.height))
            }
            if ("calibrate" in frame) tracker.calibrateNeutral(frame["calibrate"].double)
            val found = tracker.update(image, frame["time"].double)
            checkTracker(where, frame, tracker)
            assertEquals("$where: faces", frame["faces"].list.size, found.size)
            for ((expected, face) in frame["faces"].list.zip(found)) checkFace("$where, face ${face.id}", expected.obj, face)
        }
        network.assertAtEnd()
        detector.assertAtEnd()
    }

    /** Checks one run of the network on a recorded ROI. */
    private fun checkRun(where: String, run: Json, image: RgbImage, camera: Intrinsics) {
        val observation = observe(image, run["roi"].roi, camera, Golden.networkSpec) { crop ->
            assertPixels("$where: crop", run["crop"], crop, Golden.networkSpec.inputSize)
            outputsOf(run)
        }
        val expected = run["observation"]?.obj ?: return assertNull(where, observation)
        assertNotNull(where, observation)
        assertClose("$where: landmarks", expected["landmarks"], observation!!.landmarks)
        assertClose("$where: rotation", expected["rotation"], observation.rotation)
        assertEquals("$where: mean sigma", expected["mean_sigma"].double, observation.meanSigma, TOLERANCE)
        assertClose("$where: next ROI", expected["next_roi"], observation.nextRoi.values)
        assertClose("$where: direction", expected["direction"], observation.direction)
        assertCloseOrNull("$where: expressions", expected["expressions"], observation.expressions)
        assertCloseOrNull("$where: gaze", expected["gaze"], observation.gaze)
    }

    private fun checkTracker(where: String, frame: Json, tracker: FaceTracker) {
        val expectedStats = frame["stats"].obj
        val stats = tracker.stats
        assertEquals("$where: detector runs", expectedStats["detector_runs"].int, stats.detectorRuns)
        assertEquals("$where: detections", expectedStats["detections"].int, stats.detections)
        assertEquals("$where: lost count", expectedStats["lost_count"].int, stats.lostCount)
        assertEquals("$where: network runs", expectedStats["network_runs"].int, stats.networkRuns)
        assertEquals("$where: lost faces", frame["lost"].int, tracker.lost.size)
        assertEquals("$where: rejected count", expectedStats["rejected_count"].int, stats.rejectedCount)
        assertEquals("$where: rejected places", frame["rejected"].int, tracker.rejected.size)
        assertEquals("$where: tracks", frame["tracks"].list.size, tracker.tracks.size)
        for ((expected, track) in frame["tracks"].list.zip(tracker.tracks)) {
            val (id, age, count) = expected.doubles.toList()
            val counts = listOf(track.id, track.age, track.lowConfidenceCount)
            assertEquals("$where: id, age, low-confidence count", listOf(id, age, count).map { it.toInt() }, counts)
            val values = doubleArrayOf(track.motionResidual, track.evidence.confidence, track.evidence.uncertainty)
            assertClose("$where: motion residual, evidence", expected.list.drop(3), values)
        }
    }

    private fun checkFace(where: String, expected: Json, face: Face) {
        assertEquals(where, expected["id"].int, face.id)
        assertEquals(where, expected["state"], face.state.name.lowercase())
        assertEquals(where, expected["age"].int, face.age)
        assertEquals("$where: confidence", expected["confidence"].double, face.confidence, TOLERANCE)
        assertClose("$where: landmarks", expected["landmarks"], face.landmarks)
        assertClose("$where: uncertainty", expected["uncertainty"], face.uncertainty)
        assertClose("$where: matrix", expected["matrix"], face.pose.matrix)
        assertClose("$where: angles", expected["angles"], face.pose.angles)
        assertClose("$where: ROI", expected["roi"], face.roi.values)
        assertClose("$where: direction", expected["direction"], face.direction)
        assertCloseOrNull("$where: expressions", expected["expressions"], face.expressions?.values?.toDoubleArray())
        assertCloseOrNull("$where: gaze", expected["gaze"], face.gaze)
    }
}

/** Recorded input and outputs of a network. */
private class RecordedRun(val image: Any?, val outputs: Map<String, FloatArray>)

/** Backend that returns recorded outputs in order, and checks its inputs. */
private class Replay(private val name: String, override val spec: ModelSpec, private val runs: List<RecordedRun>) : Backend {
    private var at = 0

    override fun run(crop: ByteArray): Map<String, FloatArray> {
        val run = runs.getOrNull(at) ?: throw AssertionError("$name runs more than ${runs.size} times")
        assertPixels("$name, run $at", run.image, crop, spec.inputSize)
        at++
        return run.outputs
    }

    fun assertAtEnd() = assertEquals("$name: runs", runs.size, at)
}

private fun outputsOf(run: Json) = run["outputs"].obj.entries.associate { (name, values) -> name as String to values.floats }

private fun networkRuns(frame: Json) =
    frame["runs"].list.map { it.obj }.filter { it["outputs"] != null }.map { RecordedRun(it["crop"], outputsOf(it)) }

private fun detectorRuns(frame: Json) = frame["searches"].list.map { it.obj }.map { search ->
    val grid = Golden.detectorSpec.outputs.getValue("scores")[0]
    val scores = FloatArray(grid * grid)
    val rois = FloatArray(grid * grid * 3)
    val roll = FloatArray(grid * grid * 2)
    for (cell in search["cells"].list) {
        val values = cell.doubles
        val at = values[0].toInt() * grid + values[1].toInt()
        scores[at] = values[2].toFloat()
        for (k in 0..2) rois[3 * at + k] = values[3 + k].toFloat()
        for (k in 0..1) roll[2 * at + k] = values[6 + k].toFloat()
    }
    RecordedRun(search["image"], mapOf("scores" to scores, "rois" to rois, "roll" to roll))
}
