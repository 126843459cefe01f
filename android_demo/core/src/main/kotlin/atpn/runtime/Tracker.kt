/*
 * The loop, detect faces once, then follow each by re-cropping from its own landmarks: edge_runtime/tracker.py.
 *
 * A frame of a held face costs one run of the network and no detector (thesis, section 3.2).
 */
package atpn.runtime

import kotlin.math.max

/** The detector runs in every fifth frame at most, and at once in the first frame and after a reset. */
const val DETECTION_INTERVAL = 5

/** The same while at least one face is held, none was lost lately and there is room for more. */
const val DETECTION_INTERVAL_TRACKED = 15

/** Detector candidates that the network looks at per detection: bounds the cost of cluttered pictures. */
const val MAX_CANDIDATES = 3

/** A candidate that overlaps a held face's region this much is that face; the network need not look. */
const val DUPLICATE_IOU_THRESHOLD = 0.4

/** Runs on a re-made crop after the first one at detection: a detector's box is rough and knows nothing of roll. */
const val REFINEMENTS = 2

/** Per frame. A track slips onto another face over several frames, and then moves as smoothly as that face. */
const val RESIDUAL_DECAY = 0.9

/** Times the uncertainty that a new face may have, from which a held one is doubted: motion blurs. */
const val TRACKED_UNCERTAINTY_FACTOR = 1.7

/** Consecutive frames in doubt after which a face is lost: a blink of an occlusion is forgiven. */
const val MAX_LOW_CONFIDENCE_FRAMES = 5

/** What a tracker has done since it was made. */
data class TrackerStats(
    var frames: Int = 0,
    var detectorRuns: Int = 0,
    /** Faces that began to be tracked. */
    var detections: Int = 0,
    /** Faces that stopped being tracked, `reset` not counted. */
    var lostCount: Int = 0,
    var networkRuns: Int = 0,
)

/** One held face. */
internal class Track(val id: Int, var observation: Observation, val motion: RoiMotion, smoothing: Double) {
    val pointFilter = if (smoothing > 0) OneEuroPoints(smoothing) else null
    val rotationFilter = if (smoothing > 0) OneEuroRotation(smoothing) else null
    val templateFilter = if (smoothing > 0) OneEuroPoints(smoothing) else null
    var age = 0

    /** Consecutive frames below the tracking threshold. */
    var lowConfidenceCount = 0

    /** How far the face lately was from where its motion led, in region sizes. */
    var motionResidual = 0.0
}

/**
 * Follows faces through a stream of frames.
 *
 * A tracker belongs to one stream and one thread; [reset] it before feeding it another. An id is never given to a second
 * face. [maxFaces] are followed at a time; each costs a run of the network per frame. [smoothing] in [0, 1] trades jitter
 * against lag; 0 returns what the network says. [intrinsics] are the camera's; null assumes a 60 degree field of view.
 */
class FaceTracker(
    private val backend: Backend,
    private val detector: Detector,
    private val maxFaces: Int = 1,
    private val smoothing: Double = 0.5,
    var intrinsics: Intrinsics? = null,
) {
    private val spec = backend.spec
    private var nextId = 0
    private var framesSinceDetection = DETECTION_INTERVAL

    /** Counts since the tracker was made. */
    val stats = TrackerStats()

    internal var tracks = listOf<Track>()
        private set
    internal var lost = LostTrackBuffer()
        private set

    init {
        require(maxFaces >= 1) { "maxFaces must be 1 or more, got $maxFaces" }
        require(smoothing in 0.0..1.0) { "smoothing must lie in [0, 1], got $smoothing" }
        require(!spec.isDetector) { "the model ${spec.name} is a face detector; it goes in `detector`" }
        require("confidence" in spec.outputs) {
            "the model ${spec.name} gives landmarks only; tracking needs head pose and confidence too: " +
                "use a file exported with its heads"
        }
        require(spec.prompts == 0) {
            "the model ${spec.name} is to be told which points to find, which is not done here: export it with --template"
        }
    }

    /** Forgets the faces and looks for new ones in the next frame; ids and [stats] count on. */
    fun reset() {
        tracks = emptyList()
        lost = LostTrackBuffer()
        framesSinceDetection = DETECTION_INTERVAL
    }

    /** Finds or follows the faces in the next frame; [timestamp] in seconds, of any origin, may stand still or run back. */
    fun update(frame: RgbImage, timestamp: Double): List<Face> {
        require(timestamp.isFinite()) { "a timestamp must be a finite number of seconds, got $timestamp" }
        val camera = intrinsics ?: Intrinsics.fromFov(frame.width, frame.height)
        stats.frames++

        val tracked = removeDuplicates(tracks.filter { updateTrack(it, frame, timestamp, camera) })
        for (track in tracks - tracked.toSet()) {
            stats.lostCount++
            lost.add(LostTrack(track.id, track.motion, timestamp))
        }
        tracks = tracked
        lost.removeExpired(timestamp)

        framesSinceDetection++
        val interval = if (lost.size > 0 || tracked.isEmpty()) DETECTION_INTERVAL else DETECTION_INTERVAL_TRACKED
        if (tracks.size < maxFaces && framesSinceDetection >= interval) {
            framesSinceDetection = 0
            detect(frame, timestamp, camera)
        }
        return tracks.map { report(it, timestamp) }
    }

    /** Brings a track to this frame; false when its face is lost. */
    private fun updateTrack(track: Track, frame: RgbImage, timestamp: Double, camera: Intrinsics): Boolean {
        val expected = track.motion.predict(timestamp)
        val observation = observe(frame, expected, camera)
        if (observation == null || observation.confidence < spec.lostThreshold) return false
        track.lowConfidenceCount = if (isFace(observation, TRACKED_UNCERTAINTY_FACTOR * spec.uncertaintyThreshold)) 0 else track.lowConfidenceCount + 1
        track.observation = observation
        track.motionResidual = max(distance(observation.nextRoi, expected) / expected.size, RESIDUAL_DECAY * track.motionResidual)
        track.motion.update(observation.nextRoi, timestamp)
        track.age++
        return track.lowConfidenceCount < MAX_LOW_CONFIDENCE_FRAMES
    }

    /** Looks for faces that are not held yet, up to [maxFaces] in all. */
    private fun detect(frame: RgbImage, timestamp: Double, camera: Intrinsics) {
        stats.detectorRuns++
        val rois = tracks.map { it.observation.nextRoi }
        val candidates = detector.detect(frame).filter { roi -> rois.all { roi.iou(it) < DUPLICATE_IOU_THRESHOLD } }
        for (candidate in candidates.take(max(MAX_CANDIDATES, maxFaces))) {
            if (tracks.size == maxFaces) return
            var observation = observe(frame, candidate, camera)
            repeat(REFINEMENTS) { observation = observation?.let { observe(frame, it.nextRoi, camera) } }
            val sure = observation?.takeIf { isFace(it, spec.uncertaintyThreshold) } ?: continue
            if (tracks.none { sameFace(sure.landmarks, it.observation.landmarks) }) startTrack(sure, timestamp)
        }
    }

    /** A network that is sure of a face but not of a single landmark looks at a print, an emblem or a hand. */
    private fun isFace(observation: Observation, uncertaintyThreshold: Double) =
        observation.confidence >= spec.trackThreshold && observation.meanSigma <= uncertaintyThreshold

    private fun startTrack(observation: Observation, timestamp: Double) {
        val id = lost.match(observation.nextRoi, timestamp) ?: nextId++
        tracks = tracks + Track(id, observation, RoiMotion(observation.nextRoi, timestamp), smoothing)
        stats.detections++
    }

    private fun observe(frame: RgbImage, roi: Roi, camera: Intrinsics) = observe(frame, roi, camera, spec) { crop ->
        stats.networkRuns++
        backend.run(crop)
    }

    private fun report(track: Track, timestamp: Double): Face {
        val observation = track.observation
        val size = observation.roi.size
        return Face(
            id = track.id,
            state = if (track.age == 0) TrackState.DETECTED else TrackState.TRACKED,
            landmarks = track.pointFilter?.smooth(observation.landmarks, timestamp, size) ?: observation.landmarks,
            uncertainty = observation.uncertainty,
            pose = Pose(track.rotationFilter?.smooth(observation.rotation, timestamp) ?: observation.rotation),
            confidence = observation.confidence,
            roi = observation.roi,
            direction = observation.direction,
            age = track.age,
            points = observation.points?.let { track.templateFilter?.smooth(it, timestamp, size) ?: it },
            pointsUncertainty = observation.pointsUncertainty,
        )
    }
}

/** The tracks without those that slipped onto another one's face. */
private fun removeDuplicates(tracks: List<Track>): List<Track> {
    val kept = ArrayList<Track>()
    for (track in tracks.sortedWith(compareBy({ it.motionResidual }, { -it.age }))) {
        if (kept.none { sameFace(track.observation.landmarks, it.observation.landmarks) }) kept += track
    }
    return tracks.filter { it in kept }
}
