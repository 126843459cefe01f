/*
 * Duplicate tracks and re-identification of lost ones: edge_runtime/identity.py, which states the rules.
 */
package atpn.runtime

import kotlin.math.abs
import kotlin.math.hypot
import kotlin.math.max
import kotlin.math.min

/** Mean distance of two tracks' landmarks below which they are the same face, in sizes of the smaller face. */
const val DUPLICATE_DISTANCE_THRESHOLD = 0.2

/** Time within which a face that appears where another was lost takes its id. */
const val REID_SECONDS = 2.0

/** Maximum time over which the motion of a lost track is extrapolated. */
const val EXTRAPOLATION_SECONDS = 1.0

/** Maximum distance from the extrapolated position, in ROI sizes. */
const val REID_MAX_DISTANCE = 1.0

/** Maximum ratio of the ROIs' sizes. */
const val REID_MAX_SIZE_RATIO = 1.5

/** Time over which the motion of a lost track is extrapolated to tell whether it left the frame. */
const val EXIT_SECONDS = 0.25

/** Distance from a border within which a lost track left there, in ROI sizes. */
const val EXIT_DISTANCE = 0.5

/** Distance from a border within which a face appears there, in ROI sizes. */
const val RETURN_DISTANCE = 1.5

/** Way over the border, in ROI sizes, on which a face is in sight but not tracked, out and in. */
const val CROSSING_DISTANCE = 1.0

/** Maximum time for that way. */
const val MAX_CROSSING_SECONDS = 1.0

/** Maximum distance along the border between leaving and returning, in ROI sizes. */
const val RETURN_MAX_SHIFT = 3.0

/** Returns whether two sets of landmarks in pixels are of the same face. */
fun sameFace(first: DoubleArray, second: DoubleArray): Boolean {
    var sum = 0.0
    for (i in first.indices step 2) sum += hypot(first[i] - second[i], first[i + 1] - second[i + 1])
    val distance = sum / (first.size / 2)
    return listOf(first, second).all { points ->
        val extent = Rectangle.around(points, 0.0)
        distance < DUPLICATE_DISTANCE_THRESHOLD * max(extent.width, extent.height)
    }
}

/** A face that was lost at [time] seconds. */
class LostTrack(val id: Int, val motion: RoiMotion, val time: Double) {
    /** Returns for each border of [borderDistances] whether the face left the frame there. */
    fun leftBy(width: Int, height: Int): List<Boolean> {
        val ahead = borderDistances(motion.extrapolate(time + EXIT_SECONDS, EXIT_SECONDS), width, height)
        return borderDistances(motion.roi, width, height).zip(ahead) { last, next -> min(last, next) < EXIT_DISTANCE * motion.roi.size }
    }

    /** Returns the time in which the face crosses the border by which it left, out and in; 0 if it did not leave. */
    fun crossingSeconds(width: Int, height: Int) =
        if (leftBy(width, height).none { it }) 0.0 else CROSSING_DISTANCE / max(motion.speed, CROSSING_DISTANCE / MAX_CROSSING_SECONDS)
}

/** Returns the distances of an ROI's center from the left, right, top, and bottom border; negative outside. */
fun borderDistances(roi: Roi, width: Int, height: Int) = listOf(roi.cx, width - roi.cx, roi.cy, height - roi.cy)

/** Recently lost tracks of one stream. */
class LostTrackBuffer {
    private var tracks = listOf<LostTrack>()

    /** Number of tracks. */
    val size get() = tracks.size

    /** Adds a lost track. */
    fun add(track: LostTrack) {
        tracks = tracks + track
    }

    /**
     * Removes tracks lost [REID_SECONDS] before the last search, or after [timestamp] if the clock was set back.
     *
     * A search, at [searched] seconds, that was long ago counts as one [MAX_GAP_SECONDS] ago. The time in which a face crosses
     * the border does not count.
     */
    fun removeExpired(timestamp: Double, searched: Double, width: Int, height: Int) {
        val returned = max(searched, timestamp - MAX_GAP_SECONDS)
        tracks = tracks.filter {
            it.time <= timestamp && max(returned - it.time, 0.0) < REID_SECONDS + it.crossingSeconds(width, height)
        }
    }

    /** Removes the lost track that matches [roi] (frame pixels) and returns its id, or null. */
    fun match(roi: Roi, timestamp: Double, width: Int, height: Int): Int? {
        val found = nearest(roi, timestamp) ?: returned(roi, width, height) ?: return null
        tracks = tracks - found
        return found.id
    }

    /** Returns the lost track whose extrapolated position is nearest, within one ROI size. */
    private fun nearest(roi: Roi, timestamp: Double) = tracks
        .map { it to it.motion.extrapolate(timestamp, EXTRAPOLATION_SECONDS) }
        .filter { (_, expected) -> similarSize(roi, expected) }
        .map { (track, expected) -> track to distance(roi, expected) / max(roi.size, expected.size) }
        .filter { (_, distance) -> distance <= REID_MAX_DISTANCE }
        .minByOrNull { (_, distance) -> distance }?.first

    /** Returns the lost track that left the frame by the border where [roi] is, or null if it is not the only one. */
    private fun returned(roi: Roi, width: Int, height: Int): LostTrack? {
        val here = borderDistances(roi, width, height).map { it < RETURN_DISTANCE * roi.size }
        val shifts = tracks.filter { similarSize(roi, it.motion.roi) }.mapNotNull { track ->
            val last = track.motion.roi
            val left = track.leftBy(width, height)
            val along = listOf(abs(roi.cy - last.cy), abs(roi.cx - last.cx)).map { it / max(roi.size, last.size) }
            here.indices.filter { here[it] && left[it] }.map { along[it / 2] }.filter { it <= RETURN_MAX_SHIFT }.minOrNull()
                ?.let { track to it }
        }
        return (if (shifts.size > 1) shifts.filter { (_, shift) -> shift <= REID_MAX_DISTANCE } else shifts).singleOrNull()?.first
    }
}

private fun similarSize(first: Roi, second: Roi) =
    max(first.size, second.size) / min(first.size, second.size) <= REID_MAX_SIZE_RATIO
