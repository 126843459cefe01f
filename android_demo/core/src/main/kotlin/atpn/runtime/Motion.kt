/*
 * Motion model of one face's ROI: edge_runtime/motion.py.
 */
package atpn.runtime

import kotlin.math.hypot

/** Fraction of the estimated motion that is predicted. Raise it to follow faster heads. */
const val PREDICTION_GAIN = 0.7

/** Weight of the newest velocity in the running mean. Lower it to damp single bad frames. */
const val VELOCITY_EMA_WEIGHT = 0.6

/** Maximum predicted displacement, in ROI sizes. */
const val MAX_STEP = 0.3

/** Maximum time over which motion is predicted, in seconds. */
const val MAX_GAP_SECONDS = 0.25

/** Minimum time between two frames that tells a velocity, in seconds; over a shorter one, jitter counts more than motion. */
const val MIN_TIME_STEP = 1e-3

/** Position and velocity of one face's ROI, first at [time] seconds. */
class RoiMotion(roi: Roi, private var time: Double) {
    /** The last observed ROI. */
    var roi = roi
        private set
    private var velocityX = 0.0
    private var velocityY = 0.0

    /** Speed in ROI sizes a second. */
    val speed get() = hypot(velocityX, velocityY) / roi.size

    /** Adds an observed ROI. The velocity is kept if [timestamp] (seconds) increases by less than [MIN_TIME_STEP]. */
    fun update(observation: Roi, timestamp: Double) {
        val dt = timestamp - time
        if (dt >= MIN_TIME_STEP) {
            velocityX += VELOCITY_EMA_WEIGHT * ((observation.cx - roi.cx) / dt - velocityX)
            velocityY += VELOCITY_EMA_WEIGHT * ((observation.cy - roi.cy) / dt - velocityY)
        }
        roi = observation
        time = timestamp
    }

    /** Predicts the ROI of the next frame, taken at [timestamp] seconds. */
    fun predict(timestamp: Double): Roi = moved(timestamp, MAX_GAP_SECONDS, MAX_STEP * roi.size)

    /** Extrapolates the ROI of a lost face to [timestamp], over at most [maxGap] seconds. */
    fun extrapolate(timestamp: Double, maxGap: Double): Roi = moved(timestamp, maxGap, Double.POSITIVE_INFINITY)

    private fun moved(timestamp: Double, maxGap: Double, maxDistance: Double): Roi {
        val dt = (timestamp - time).coerceIn(0.0, maxGap)
        val dx = PREDICTION_GAIN * velocityX * dt
        val dy = PREDICTION_GAIN * velocityY * dt
        val distance = hypot(dx, dy)
        val fraction = if (distance > maxDistance) maxDistance / distance else 1.0
        return Roi(roi.cx + fraction * dx, roi.cy + fraction * dy, roi.size, roi.roll)
    }
}
