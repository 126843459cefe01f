/*
 * Tracking loop: edge_runtime/tracker.py and options.py, which explain the constants.
 */
package atpn.runtime

import kotlin.math.max
import kotlin.math.min

/** Minimum number of frames between two runs of the detector. */
const val DETECTION_INTERVAL = 5

/** The same while a face is tracked, none was lost recently, and the maximum number is not reached. */
const val DETECTION_INTERVAL_TRACKED = 15

/** Maximum number of detections that the network checks per run of the detector. */
const val MAX_CANDIDATES = 3

/** IoU with a tracked face's ROI from which a detection is discarded as that face. */
const val DUPLICATE_IOU_THRESHOLD = 0.4

/** Number of further crops after a detection, each from the previous landmarks. */
const val REFINEMENTS = 2

/** Turns of a candidate that are tried, too, if it is not surely a face as the detector gives it. */
val QUARTER_TURNS = listOf(Math.PI, Math.PI / 2, -Math.PI / 2)

/** Decay per frame of a track's peak motion residual. */
const val RESIDUAL_DECAY = 0.9

/** Uncertainty threshold of a tracked face relative to a new one's. */
const val TRACKED_UNCERTAINTY_FACTOR = 1.7

/** Consecutive frames below the tracking threshold, or above the uncertainty threshold, after which a face is lost. */
const val MAX_LOW_CONFIDENCE_FRAMES = 5

/** Counts since the tracker was created. */
data class TrackerStats(
    var frames: Int = 0,
    var detectorRuns: Int = 0,
    /** Tracks started, and faces found in pictures. */
    var detections: Int = 0,
    /** Tracks lost; `reset` is not counted. */
    var lostCount: Int = 0,
    /** Tracks lost as false alarms soon after their start. */
    var rejectedCount: Int = 0,
    var networkRuns: Int = 0,
)

/** One tracked face. */
internal class Track(val id: Int, var observation: Observation, val motion: RoiMotion, smoothing: Double) {
    val pointFilter = if (smoothing > 0) OneEuroPoints(smoothing) else null
    val rotationFilter = if (smoothing > 0) OneEuroRotation(smoothing) else null
    val templateFilter = if (smoothing > 0) OneEuroPoints(smoothing) else null
    val expressionFilter = if (smoothing > 0) OneEuroNumbers(smoothing, EXPRESSION_SPEED_COEFFICIENT) else null
    val gazeFilter = if (smoothing > 0) OneEuroNumbers(smoothing, POSE_SPEED_COEFFICIENT) else null
    val evidence = Evidence(observation.confidence, observation.meanSigma)
    var age = 0

    /** Consecutive frames below the tracking threshold or above the uncertainty threshold. */
    var lowConfidenceCount = 0

    /** Decaying peak distance from the predicted position, ROI sizes. */
    var motionResidual = 0.0
}

/**
 * Finds faces in pictures ([detect]) and tracks them through one stream of frames ([update]), on one thread.
 *
 * At most [maxFaces] faces are tracked; each costs one run of the network per frame. [smoothing] is in [0, 1]: raise it for
 * less jitter and more lag. [intrinsics] null is a field of view of 60 degrees. A face that appears within [REID_SECONDS]
 * where another was lost, or at the border by which it left, takes that one's id, whoever it is; otherwise it gets a new id,
 * and ids are never used again.
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
    private var framesSinceSearch = DETECTION_INTERVAL
    private var searches = 0
    private var searched = Double.NEGATIVE_INFINITY
    private var resting = RestingFaces()
    private val limits = Limits(spec.trackThreshold, spec.uncertaintyThreshold)
    private val trackedLimits = limits.stricter(0.0, TRACKED_UNCERTAINTY_FACTOR)
    private val trustedLimits =
        listOf(limits.stricter(DOUBT_CONFIDENCE_MARGIN, DOUBT_UNCERTAINTY_FACTOR), limits.stricter(SURE_CONFIDENCE_MARGIN, 1.0))
    private val sureLimits = limits.stricter(SURE_CONFIDENCE_MARGIN, SURE_UNCERTAINTY_FACTOR)

    // A picture has no further frames to tell.
    private val pictureLimits = limits.stricter(DOUBT_CONFIDENCE_MARGIN, SURE_UNCERTAINTY_FACTOR)

    /** Counts since the tracker was created. */
    val stats = TrackerStats()

    internal var tracks = listOf<Track>()
        private set
    internal var lost = LostTrackBuffer()
        private set
    internal var rejected = RejectedPlaces()
        private set

    init {
        require(maxFaces >= 1) { "maxFaces must be 1 or more, got $maxFaces" }
        require(smoothing in 0.0..1.0) { "smoothing must lie in [0, 1], got $smoothing" }
        require(!spec.isDetector) { "model '${spec.name}' is a face detector; pass it as `detector`" }
        require("confidence" in spec.outputs) {
            "model '${spec.name}' gives landmarks only; tracking needs head pose and confidence: " +
                "use a file exported with its heads"
        }
        require(spec.prompts == 0) {
            "model '${spec.name}' needs query points, which are not supported here: export it with --template"
        }
    }

    /** Whether [calibrateNeutral] is under way, or waits for a face. */
    val calibrating get() = resting.calibrating

    /**
     * Watches the resting faces of the next [seconds] of the stream, and subtracts what their expressions read.
     *
     * Ask people to relax and to look at the camera. The calibration begins with the next frame that has a face. With
     * [maxFaces] 1 it holds for whoever is there, otherwise for the faces seen, by id; until [reset].
     * IllegalArgumentException if the model gives no expressions, or [seconds] does not lie in (0, 60].
     */
    fun calibrateNeutral(seconds: Double = 1.0) {
        require(spec.hasExpressions) {
            "model '${spec.name}' gives no expressions to calibrate: use one exported with `--heads all`"
        }
        resting.begin(seconds)
    }

    /** Drops all tracks and resting faces and runs the detector in the next frame; ids and [stats] continue. */
    fun reset() {
        tracks = emptyList()
        lost = LostTrackBuffer()
        rejected = RejectedPlaces()
        searches = 0
        searched = Double.NEGATIVE_INFINITY
        framesSinceSearch = DETECTION_INTERVAL
        resting = RestingFaces()
    }

    /**
     * Finds all faces in one picture, whatever was seen before; the stream of [update] is not affected.
     *
     * Faces come in the detector's order, not smoothed. Ids count from 0 in each picture, and [maxFaces] does not apply.
     */
    fun detect(picture: RgbImage): List<Face> {
        val camera = intrinsics ?: Intrinsics.fromFov(picture.width, picture.height)
        val found = ArrayList<Observation>()
        stats.frames++
        stats.detectorRuns++
        for (candidate in detector.detect(picture).filter { mayHoldFace(it, picture.width, picture.height) }) {
            if (found.all { candidate.iou(it.nextRoi) < DUPLICATE_IOU_THRESHOLD }) {
                find(picture, candidate, camera, found, pictureLimits)?.let(found::add)
            }
        }
        stats.detections += found.size
        return found.mapIndexed { id, face -> toFace(Track(id, face, RoiMotion(face.nextRoi, 0.0), 0.0), 0.0, RestingFaces()) }
    }

    /** Tracks faces in the next frame; [timestamp] in seconds from any origin may repeat or decrease. */
    fun update(frame: RgbImage, timestamp: Double): List<Face> {
        require(timestamp.isFinite()) { "timestamp must be a finite number of seconds, got $timestamp" }
        val camera = intrinsics ?: Intrinsics.fromFov(frame.width, frame.height)
        stats.frames++

        val tracked = removeDuplicates(tracks.filter { updateTrack(it, frame, timestamp, camera) })
        for (track in tracks - tracked.toSet()) lose(track, timestamp)
        tracks = tracked
        lost.removeExpired(timestamp, searched, frame.width, frame.height)
        rejected.removeExpired(timestamp)

        framesSinceSearch++
        val trusted = tracks.count { !isDoubtful(it) }
        val interval = if (lost.size > 0 || trusted == 0) DETECTION_INTERVAL else DETECTION_INTERVAL_TRACKED
        if (trusted < maxFaces && framesSinceSearch >= interval) {
            framesSinceSearch = 0
            searched = timestamp
            startTracks(frame, timestamp, camera)
        }
        val expressions = tracks.mapNotNull { track -> track.observation.expressions?.let { restingKey(track.id) to it } }
        resting.watch(expressions.toMap(), timestamp)
        return tracks.map { toFace(it, timestamp, resting) }
    }

    /** Updates a track with this frame and returns whether its face is still tracked. */
    private fun updateTrack(track: Track, frame: RgbImage, timestamp: Double, camera: Intrinsics): Boolean {
        val expected = track.motion.predict(timestamp)
        val observation = observe(frame, expected, camera)
        if (observation == null) {
            track.evidence.add(0.0, track.evidence.uncertainty)
            return false
        }
        track.evidence.add(observation.confidence, observation.meanSigma)
        if (observation.confidence < spec.lostThreshold) return false
        val confident = trackedLimits.accept(observation)
        track.lowConfidenceCount = if (confident) 0 else track.lowConfidenceCount + 1
        track.observation = observation
        val residual = distance(observation.nextRoi, expected) / expected.size
        track.motionResidual = max(residual, RESIDUAL_DECAY * track.motionResidual)
        track.motion.update(observation.nextRoi, timestamp)
        track.age++
        if (track.evidence.onProbation && isDoubtful(track)) return false
        return track.lowConfidenceCount < MAX_LOW_CONFIDENCE_FRAMES
    }

    /** Remembers a track that ends, and the place of a new one that ends in doubt. */
    private fun lose(track: Track, timestamp: Double) {
        stats.lostCount++
        if (track.evidence.onProbation && !track.evidence.supports(trustedLimits)) {
            stats.rejectedCount++
            rejected.add(track.observation.nextRoi, timestamp)
        }
        lost.add(LostTrack(track.id, track.motion, timestamp))
    }

    private fun isDoubtful(track: Track) =
        track.evidence.frames >= MIN_EVIDENCE_FRAMES && !track.evidence.supports(trustedLimits)

    /** Searches the frame and starts tracks of new faces, up to [maxFaces]; a sure one replaces a doubtful track. */
    private fun startTracks(frame: RgbImage, timestamp: Double, camera: Intrinsics) {
        stats.detectorRuns++
        val tracked = tracks.map { it.observation.nextRoi }
        val detections = detector.search(frame, searches++).filter { mayHoldFace(it, frame.width, frame.height) }
        val candidates = detections.filter { roi -> tracked.all { roi.iou(it) < DUPLICATE_IOU_THRESHOLD } }
        for (candidate in candidates.sortedBy { it in rejected }.take(max(MAX_CANDIDATES, maxFaces))) {
            val full = tracks.size == maxFaces
            val doubtful = tracks.filter(::isDoubtful).minByOrNull { it.evidence.confidence }
            if (full && doubtful == null) return
            val face = find(frame, candidate, camera, tracks.map { it.observation }) ?: continue
            if (!sureLimits.accept(face) && (full || face.nextRoi in rejected)) continue
            startTrack(face, timestamp, frame)
            if (full && doubtful != null) { // only now, so that its id is not matched
                tracks = tracks - doubtful
                lose(doubtful, timestamp)
            }
        }
    }

    /** Returns the observation of a detected face, or null if it is none or one of the [known] ones. */
    private fun find(
        frame: RgbImage,
        candidate: Roi,
        camera: Intrinsics,
        known: List<Observation>,
        accepted: Limits = limits,
    ): Observation? {
        var observation = observe(frame, candidate, camera)
        if (observation == null || !sureLimits.accept(observation)) {
            observation = bestTurn(frame, candidate, camera, observation)
        }
        // Of a face read upside down, one crop or another is doubtful.
        repeat(REFINEMENTS) {
            observation = observation?.takeIf { it.confidence >= limits.confidence }?.let { observe(frame, it.nextRoi, camera) }
        }
        return observation?.takeIf { face -> accepted.accept(face) && known.none { sameFace(face.landmarks, it.landmarks) } }
    }

    /** Returns the best observation of a candidate turned by quarters: a detector may not tell which way is up. */
    private fun bestTurn(frame: RgbImage, candidate: Roi, camera: Intrinsics, upright: Observation?): Observation? {
        val turned = QUARTER_TURNS.map { observe(frame, candidate.copy(roll = candidate.roll + it), camera) }
        // The least uncertain one that may be a face, else the most confident one.
        val order = compareBy<Observation>({ min(it.confidence, limits.confidence) }, { -it.meanSigma })
        return (listOf(upright) + turned).filterNotNull().maxWithOrNull(order)
    }

    private fun startTrack(observation: Observation, timestamp: Double, frame: RgbImage) {
        val id = lost.match(observation.nextRoi, timestamp, frame.width, frame.height) ?: nextId++
        tracks = tracks + Track(id, observation, RoiMotion(observation.nextRoi, timestamp), smoothing)
        stats.detections++
    }

    private fun observe(frame: RgbImage, roi: Roi, camera: Intrinsics) = observe(frame, roi, camera, spec) { crop ->
        stats.networkRuns++
        backend.run(crop)
    }

    private fun restingKey(id: Int) = if (maxFaces == 1) 0 else id

    private fun toFace(track: Track, timestamp: Double, resting: RestingFaces): Face {
        val observation = track.observation
        val size = observation.roi.size
        val expressions = observation.expressions?.let { track.expressionFilter?.smooth(it, timestamp) ?: it }
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
            expressions = expressions?.let { EXPRESSIONS.zip(resting.subtract(restingKey(track.id), it).asList()).toMap() },
            gaze = observation.gaze?.let { track.gazeFilter?.smooth(it, timestamp) ?: it },
        )
    }
}

/** Removes tracks on the same face as a track with a smaller motion residual, or an older one. */
private fun removeDuplicates(tracks: List<Track>): List<Track> {
    val kept = ArrayList<Track>()
    for (track in tracks.sortedWith(compareBy({ it.motionResidual }, { -it.age }))) {
        if (kept.none { sameFace(track.observation.landmarks, it.observation.landmarks) }) kept += track
    }
    return tracks.filter { it in kept }
}
