/*
 * Duplicate tracks and re-identification of lost ones: edge_runtime/identity.py, which states the rules.
 */
package atpn.runtime

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
class LostTrack(val id: Int, val motion: RoiMotion, val time: Double)

/** Recently lost tracks of one stream. */
class LostTrackBuffer {
    private var tracks = listOf<LostTrack>()

    /** Number of tracks. */
    val size get() = tracks.size

    /** Adds a lost track. */
    fun add(track: LostTrack) {
        tracks = tracks + track
    }

    /** Removes tracks lost [REID_SECONDS] before [timestamp], or after it if the clock was set back. */
    fun removeExpired(timestamp: Double) {
        tracks = tracks.filter { timestamp - it.time in 0.0..<REID_SECONDS }
    }

    /** Removes the lost track that matches [roi] (frame pixels) and returns its id, or null. */
    fun match(roi: Roi, timestamp: Double): Int? {
        val found = tracks
            .map { it to it.motion.extrapolate(timestamp, EXTRAPOLATION_SECONDS) }
            .filter { (_, expected) -> max(roi.size, expected.size) / min(roi.size, expected.size) <= REID_MAX_SIZE_RATIO }
            .map { (track, expected) -> track to distance(roi, expected) / max(roi.size, expected.size) }
            .filter { (_, distance) -> distance <= REID_MAX_DISTANCE }
            .minByOrNull { (_, distance) -> distance }?.first ?: return null
        tracks = tracks - found
        return found.id
    }
}
