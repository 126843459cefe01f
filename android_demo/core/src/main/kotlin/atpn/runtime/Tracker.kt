/*
 * The loop, detect faces once, then follow each by re-cropping from its own landmarks: edge_runtime/tracker.py.
 *
 * A frame of a held face costs one run of the network and no detector (thesis, section 3.2).
 */
package atpn.runtime

import kotlin.math.max

/** The detector runs in every fifth frame at most, and at once in the first frame and after a reset. */
const val DETECT_EVERY = 5

/** The same while at least one face is held, none was lost lately and there is room for more. */
const val DETECT_EVERY_HELD = 15

/** Detector candidates that the network looks at per detection: bounds the cost of cluttered pictures. */
const val MAX_CANDIDATES = 3

/** A candidate that overlaps a held face's region this much is that face; the network need not look. */
const val HELD_IOU = 0.4

/** Runs on a re-made crop after the first one at detection: a detector's box is rough and knows nothing of roll. */
const val REFINEMENTS = 2

/** Per frame. A track slips onto another face over several frames, and then moves as smoothly as that face. */
const val SURPRISE_FADES = 0.9

/** Times the uncertainty that a new face may have, from which a held one is doubted: motion blurs. */
const val HELD_SPREAD = 1.7

/** Consecutive frames in doubt after which a face is lost: a blink of an occlusion is forgiven. */
const val MAX_DOUBTS = 5

/** What a tracker has done since it was made. */
data class TrackerStats(
    var frames: Int = 0,
    var detectorRuns: Int = 0,
    /** Faces that began to be tracked. */
    var detections: Int = 0,
    /** Faces that stopped being tracked, `reset` not counted. */
    var losses: Int = 0,
    var networkRuns: Int = 0,
)

/** One held face. */
internal class Track(val id: Int, var observation: Observation, val motion: RegionMotion, smoothing: Double) {
    val pointFilter = if (smoothing > 0) OneEuroPoints(smoothing) else null
    val rotationFilter = if (smoothing > 0) OneEuroRotation(smoothing) else null
    val templateFilter = if (smoothing > 0) OneEuroPoints(smoothing) else null
    var age = 0

    /** Consecutive frames below the tracking threshold. */
    var doubts = 0

    /** How far the face lately was from where its motion led, in region sizes. */
    var surprise = 0.0
}

/**
 * Follows faces through a stream of frames.
 *
 * A tracker belongs to one stream and one thread; [reset] it before feeding it another. An id is never given to a second
 * face. [maxFaces] are followed at a time; each costs a run of the network per frame. [smoothing] in [0, 1] trades jitter
 * against lag; 0 returns what the network says. [intrinsics] are the camera's; null assumes a 60 degree field of view.
 */
class FaceTracker(
    private val regressor: Regressor,
    private val detector: Detector,
    private val maxFaces: Int = 1,
    private val smoothing: Double = 0.5,
    var intrinsics: Intrinsics? = null,
) {
    private val spec = regressor.spec
    private var nextId = 0
    private var framesSinceSearch = DETECT_EVERY

    /** Counts since the tracker was made. */
    val stats = TrackerStats()

    internal var tracks = listOf<Track>()
        private set
    internal var lost = LostFaces()
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
        lost = LostFaces()
        framesSinceSearch = DETECT_EVERY
    }

    /** Finds or follows the faces in the next frame; [timestamp] in seconds, of any origin, may stand still or run back. */
    fun update(frame: Picture, timestamp: Double): List<Face> {
        require(timestamp.isFinite()) { "a timestamp must be a finite number of seconds, got $timestamp" }
        val camera = intrinsics ?: Intrinsics.fromFov(frame.width, frame.height)
        stats.frames++

        val held = onePerFace(tracks.filter { follow(it, frame, timestamp, camera) })
        for (track in tracks - held.toSet()) {
            stats.losses++
            lost.remember(LostFace(track.id, track.motion, timestamp))
        }
        tracks = held
        lost.forgetOld(timestamp)

        framesSinceSearch++
        val pause = if (lost.size > 0 || held.isEmpty()) DETECT_EVERY else DETECT_EVERY_HELD
        if (tracks.size < maxFaces && framesSinceSearch >= pause) {
            framesSinceSearch = 0
            detect(frame, timestamp, camera)
        }
        return tracks.map { report(it, timestamp) }
    }

    /** Brings a track to this frame; false when its face is lost. */
    private fun follow(track: Track, frame: Picture, timestamp: Double, camera: Intrinsics): Boolean {
        val expected = track.motion.predict(timestamp)
        val seen = observe(frame, expected, camera)
        if (seen == null || seen.confidence < spec.lostThreshold) return false
        track.doubts = if (isFace(seen, HELD_SPREAD * spec.mostUncertain)) 0 else track.doubts + 1
        track.observation = seen
        track.surprise = max(distance(seen.nextRoi, expected) / expected.size, SURPRISE_FADES * track.surprise)
        track.motion.update(seen.nextRoi, timestamp)
        track.age++
        return track.doubts < MAX_DOUBTS
    }

    /** Looks for faces that are not held yet, up to [maxFaces] in all. */
    private fun detect(frame: Picture, timestamp: Double, camera: Intrinsics) {
        stats.detectorRuns++
        val regions = tracks.map { it.observation.nextRoi }
        val candidates = detector.detect(frame).filter { roi -> regions.all { roi.iou(it) < HELD_IOU } }
        for (candidate in candidates.take(max(MAX_CANDIDATES, maxFaces))) {
            if (tracks.size == maxFaces) return
            var seen = observe(frame, candidate, camera)
            repeat(REFINEMENTS) { seen = seen?.let { observe(frame, it.nextRoi, camera) } }
            val sure = seen?.takeIf { isFace(it, spec.mostUncertain) } ?: continue
            if (tracks.none { sameFace(sure.landmarks, it.observation.landmarks) }) begin(sure, timestamp)
        }
    }

    /** A network that is sure of a face but not of a single landmark looks at a print, an emblem or a hand. */
    private fun isFace(seen: Observation, mostUncertain: Double) =
        seen.confidence >= spec.trackThreshold && seen.spread <= mostUncertain

    private fun begin(seen: Observation, timestamp: Double) {
        val id = lost.recall(seen.nextRoi, timestamp) ?: nextId++
        tracks = tracks + Track(id, seen, RegionMotion(seen.nextRoi, timestamp), smoothing)
        stats.detections++
    }

    private fun observe(frame: Picture, roi: Roi, camera: Intrinsics) = observe(frame, roi, camera, spec) { crop ->
        stats.networkRuns++
        regressor.run(crop)
    }

    private fun report(track: Track, timestamp: Double): Face {
        val seen = track.observation
        val size = seen.roi.size
        return Face(
            id = track.id,
            state = if (track.age == 0) TrackState.DETECTED else TrackState.TRACKED,
            landmarks = track.pointFilter?.smooth(seen.landmarks, timestamp, size) ?: seen.landmarks,
            uncertainty = seen.uncertainty,
            pose = Pose(track.rotationFilter?.smooth(seen.rotation, timestamp) ?: seen.rotation),
            confidence = seen.confidence,
            roi = seen.roi,
            direction = seen.direction,
            age = track.age,
            points = seen.points?.let { track.templateFilter?.smooth(it, timestamp, size) ?: it },
            pointsUncertainty = seen.pointsUncertainty,
        )
    }
}

/** The tracks without those that slipped onto another one's face. */
private fun onePerFace(tracks: List<Track>): List<Track> {
    val kept = ArrayList<Track>()
    for (track in tracks.sortedWith(compareBy({ it.surprise }, { -it.age }))) {
        if (kept.none { sameFace(track.observation.landmarks, it.observation.landmarks) }) kept += track
    }
    return tracks.filter { it in kept }
}
