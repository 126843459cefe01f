/*
 * Whether a track is a face: edge_runtime/probation.py, which states the rules and explains the constants.
 */
package atpn.runtime

import kotlin.math.min

/** Number of frames of a track's probation, and of the running means. */
const val PROBATION_FRAMES = 10

/** Number of frames from which the means decide. */
const val MIN_EVIDENCE_FRAMES = 3

/** Mean confidence below which a track is in doubt, as a fraction of the way from the tracking threshold to 1. */
const val DOUBT_CONFIDENCE_MARGIN = 1.0 / 3

/** Mean uncertainty above which a track is in doubt, relative to a new face's threshold; see the Python runtime's. */
const val DOUBT_UNCERTAINTY_FACTOR = 0.83

/** The same as [DOUBT_CONFIDENCE_MARGIN] for the one crop of a sure face. */
const val SURE_CONFIDENCE_MARGIN = 5.0 / 6

/** The same as [DOUBT_UNCERTAINTY_FACTOR] for a sure face. */
const val SURE_UNCERTAINTY_FACTOR = 0.8

/** Time for which a place is rejected. */
const val REJECTED_SECONDS = 5.0

/** IoU from which a face is at a rejected place. */
const val REJECTED_IOU_THRESHOLD = 0.3

/** Maximum number of rejected places; the oldest is forgotten. */
const val MAX_REJECTED = 8

/** Minimum [confidence] and maximum mean [uncertainty], crop widths. */
internal class Limits(val confidence: Double, val uncertainty: Double) {
    /** Returns limits whose confidence is a fraction of the way to 1, and whose uncertainty is scaled. */
    fun stricter(margin: Double, factor: Double) = Limits(confidence + margin * (1 - confidence), factor * uncertainty)

    /** Returns whether both are within the limits. */
    fun accept(confidence: Double, uncertainty: Double) = confidence >= this.confidence && uncertainty <= this.uncertainty

    /** Returns whether the observation's are: prints and hands may have a high confidence. */
    fun accept(observation: Observation) = accept(observation.confidence, observation.meanSigma)
}

/** Running means of a track's [confidence] and [uncertainty]. */
internal class Evidence(confidence: Double, uncertainty: Double) {
    var frames = 1
        private set
    var confidence = confidence
        private set
    var uncertainty = uncertainty
        private set

    /** Whether the track is new. */
    val onProbation get() = frames <= PROBATION_FRAMES

    /** Adds the next frame: means of all frames at first, then exponential ones over [PROBATION_FRAMES]. */
    fun add(confidence: Double, uncertainty: Double) {
        frames++
        val weight = 1.0 / min(frames, PROBATION_FRAMES)
        this.confidence += weight * (confidence - this.confidence)
        this.uncertainty += weight * (uncertainty - this.uncertainty)
    }

    /** Returns whether the means are within any of the limits. */
    fun supports(limits: List<Limits>) = limits.any { it.accept(confidence, uncertainty) }
}

/** Places of a stream's false alarms, each for [REJECTED_SECONDS]. */
internal class RejectedPlaces {
    private var places = listOf<Pair<Roi, Double>>()

    /** Number of places. */
    val size get() = places.size

    operator fun contains(roi: Roi) = places.any { (place, _) -> roi.iou(place) >= REJECTED_IOU_THRESHOLD }

    /** Rejects a place from [timestamp] (seconds) on. */
    fun add(roi: Roi, timestamp: Double) {
        places = (places + (roi to timestamp)).takeLast(MAX_REJECTED)
    }

    /** Forgets places rejected [REJECTED_SECONDS] before [timestamp], or after it if the clock was set back. */
    fun removeExpired(timestamp: Double) {
        places = places.filter { (_, time) -> timestamp - time in 0.0..<REJECTED_SECONDS }
    }
}
