package atpn.runtime

import org.junit.Assert.assertEquals
import org.junit.Test

/** The runtime's tuned numbers are the same here, and none is missing. */
class ConstantsTest {
    private val ours = mapOf(
        "BAR" to BAR,
        "LARGE_FRAME" to LARGE_FRAME,
        "SAME_FACE_IOU" to SAME_FACE_IOU,
        "TILE" to TILE,
        "TILES_PER_SEARCH" to TILES_PER_SEARCH,
        "TILE_OVERLAP" to TILE_OVERLAP,
        "DEFAULT_FOV" to DEFAULT_FOV,
        "MAX_OVERSAMPLING" to MAX_OVERSAMPLING,
        "ROI_MARGIN" to ROI_MARGIN,
        "CARRIED_ON_SECONDS" to CARRIED_ON_SECONDS,
        "MEMORY_REACH" to MEMORY_REACH,
        "MEMORY_SCALE" to MEMORY_SCALE,
        "MEMORY_SECONDS" to MEMORY_SECONDS,
        "SAME_FACE" to SAME_FACE,
        "LONGEST_GAP" to LONGEST_GAP,
        "LONGEST_STEP" to LONGEST_STEP,
        "SHARE" to SHARE,
        "SPEED_WEIGHT" to SPEED_WEIGHT,
        "DERIVATIVE_CUTOFF_HZ" to DERIVATIVE_CUTOFF_HZ,
        "LANDMARK_SPEED_COEFFICIENT" to LANDMARK_SPEED_COEFFICIENT,
        "MIN_TIME_STEP" to MIN_TIME_STEP,
        "POSE_SPEED_COEFFICIENT" to POSE_SPEED_COEFFICIENT,
        "DETECT_EVERY" to DETECT_EVERY,
        "DETECT_EVERY_HELD" to DETECT_EVERY_HELD,
        "EXTENT_LIMITS" to listOf(EXTENT_LIMITS.start, EXTENT_LIMITS.endInclusive),
        "HELD_IOU" to HELD_IOU,
        "HELD_SPREAD" to HELD_SPREAD,
        "MAX_ASPECT" to MAX_ASPECT,
        "MAX_CANDIDATES" to MAX_CANDIDATES,
        "MAX_DOUBTS" to MAX_DOUBTS,
        "MIN_INSIDE" to MIN_INSIDE,
        "MIN_ROI_SIZE" to MIN_ROI_SIZE,
        "REFINEMENTS" to REFINEMENTS,
        "SURPRISE_FADES" to SURPRISE_FADES,
    )

    @Test fun allAreTheRuntimes() {
        val plain = ours.mapValues { (_, value) -> if (value is Number) value.toDouble() else value }
        assertEquals(Golden.json("constants.json").toSortedMap(compareBy { it as String }), plain.toSortedMap())
    }
}
