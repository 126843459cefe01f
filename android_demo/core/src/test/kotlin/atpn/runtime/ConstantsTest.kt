package atpn.runtime

import org.junit.Assert.assertEquals
import org.junit.Test

/** The constants equal the Python runtime's, and none is missing. */
class ConstantsTest {
    private val ours = mapOf(
        "PAD_VALUE" to PAD_VALUE,
        "LARGE_FRAME_RATIO" to LARGE_FRAME_RATIO,
        "MAX_TILE_LEVELS" to MAX_TILE_LEVELS,
        "NMS_IOU_THRESHOLD" to NMS_IOU_THRESHOLD,
        "TILE_FRACTION" to TILE_FRACTION,
        "TILES_PER_SEARCH" to TILES_PER_SEARCH,
        "TILE_OVERLAP" to TILE_OVERLAP,
        "DEFAULT_FOV" to DEFAULT_FOV,
        "MAX_OVERSAMPLING" to MAX_OVERSAMPLING,
        "ROI_MARGIN" to ROI_MARGIN,
        "EXTRAPOLATION_SECONDS" to EXTRAPOLATION_SECONDS,
        "REID_MAX_DISTANCE" to REID_MAX_DISTANCE,
        "REID_MAX_SIZE_RATIO" to REID_MAX_SIZE_RATIO,
        "REID_SECONDS" to REID_SECONDS,
        "DUPLICATE_DISTANCE_THRESHOLD" to DUPLICATE_DISTANCE_THRESHOLD,
        "MAX_GAP_SECONDS" to MAX_GAP_SECONDS,
        "MAX_STEP" to MAX_STEP,
        "PREDICTION_GAIN" to PREDICTION_GAIN,
        "VELOCITY_EMA_WEIGHT" to VELOCITY_EMA_WEIGHT,
        "DERIVATIVE_CUTOFF_HZ" to DERIVATIVE_CUTOFF_HZ,
        "LANDMARK_SPEED_COEFFICIENT" to LANDMARK_SPEED_COEFFICIENT,
        "MIN_TIME_STEP" to MIN_TIME_STEP,
        "POSE_SPEED_COEFFICIENT" to POSE_SPEED_COEFFICIENT,
        "DETECTION_INTERVAL" to DETECTION_INTERVAL,
        "DETECTION_INTERVAL_TRACKED" to DETECTION_INTERVAL_TRACKED,
        "EXTENT_LIMITS" to listOf(EXTENT_LIMITS.start, EXTENT_LIMITS.endInclusive),
        "DUPLICATE_IOU_THRESHOLD" to DUPLICATE_IOU_THRESHOLD,
        "TRACKED_UNCERTAINTY_FACTOR" to TRACKED_UNCERTAINTY_FACTOR,
        "MAX_ASPECT" to MAX_ASPECT,
        "MAX_CANDIDATES" to MAX_CANDIDATES,
        "MAX_LOW_CONFIDENCE_FRAMES" to MAX_LOW_CONFIDENCE_FRAMES,
        "MIN_INSIDE_FRACTION" to MIN_INSIDE_FRACTION,
        "MIN_ROI_SIZE" to MIN_ROI_SIZE,
        "REFINEMENTS" to REFINEMENTS,
        "RESIDUAL_DECAY" to RESIDUAL_DECAY,
    )

    @Test fun constantsEqualTheRuntimes() {
        val plain = ours.mapValues { (_, value) -> if (value is Number) value.toDouble() else value }
        assertEquals(Golden.json("constants.json").toSortedMap(compareBy { it as String }), plain.toSortedMap())
    }
}
