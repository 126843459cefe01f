/*
 * Who is who: edge_runtime/identity.py, which tells the rules in full.
 *
 * Two tracks whose landmarks lie closer than a fifth of the face follow the same face. A face that is lost is
 * remembered for two seconds, and gets its id back when it is found near to where it was going. Looks are not compared.
 */
package atpn.runtime

import kotlin.math.hypot
import kotlin.math.max
import kotlin.math.min

/** Mean distance of two tracks' landmarks, in sizes of the smaller landmark extent, below which they are one face's. */
const val DUPLICATE_DISTANCE_THRESHOLD = 0.2

/** For which a lost face is remembered. */
const val REID_WINDOW_SECONDS = 2.0

/** For which a lost face is taken to move on as it did. */
const val EXTRAPOLATION_SECONDS = 1.0

/** In region sizes, from where a lost face was expected. */
const val REID_MAX_DISTANCE = 1.0

/** Ratio of sizes. */
const val REID_MAX_SIZE_RATIO = 1.5

/** Whether two sets of pixel landmarks, x0, y0, x1 ..., lie on one face. */
fun sameFace(first: DoubleArray, second: DoubleArray): Boolean {
    var sum = 0.0
    for (i in first.indices step 2) sum += hypot(first[i] - second[i], first[i + 1] - second[i + 1])
    val distance = sum / (first.size / 2)
    return listOf(first, second).all { points ->
        val extent = Rectangle.around(points, 0.0)
        distance < DUPLICATE_DISTANCE_THRESHOLD * max(extent.width, extent.height)
    }
}

/** A face that was held until [time] seconds. */
class LostTrack(val id: Int, val motion: RoiMotion, val time: Double)

/** The lost faces of one stream. */
class LostTrackBuffer {
    private var faces = listOf<LostTrack>()

    /** How many are remembered. */
    val size get() = faces.size

    /** A face was lost. */
    fun add(face: LostTrack) {
        faces = faces + face
    }

    /** Drops who was lost too long ago, or in a future that a clock set back made. */
    fun removeExpired(timestamp: Double) {
        faces = faces.filter { timestamp - it.time in 0.0..REID_WINDOW_SECONDS }
    }

    /** The id of the lost face that is found again here; it is then not lost any more. */
    fun match(roi: Roi, timestamp: Double): Int? {
        val found = faces
            .map { it to it.motion.extrapolate(timestamp, EXTRAPOLATION_SECONDS) }
            .filter { (_, expected) -> max(roi.size, expected.size) / min(roi.size, expected.size) <= REID_MAX_SIZE_RATIO }
            .map { (face, expected) -> face to distance(roi, expected) / max(roi.size, expected.size) }
            .filter { (_, distance) -> distance <= REID_MAX_DISTANCE }
            .minByOrNull { (_, distance) -> distance }?.first ?: return null
        faces = faces - found
        return found.id
    }
}
