/*
 * Where a face's region will be in the next frame, from how it moved in the last ones: edge_runtime/motion.py.
 */
package atpn.runtime

import kotlin.math.hypot

/** Of the motion that is predicted: a head that stops is then overshot by less than it would else be missed. */
const val PREDICTION_GAIN = 0.7

/** Of the newest speed in the running one: a single bad frame does not throw the region away. */
const val VELOCITY_EMA_WEIGHT = 0.6

/** In region sizes: a region never jumps farther than the network forgives a crop to be off. */
const val MAX_STEP = 0.3

/** Seconds over which motion is carried on; after a longer pause nobody knows. */
const val MAX_GAP_SECONDS = 0.25

/** The speed of one face's region, seen first at [roi] and [time] seconds. */
class RoiMotion(private var roi: Roi, private var time: Double) {
    private var velocityX = 0.0
    private var velocityY = 0.0

    /** The face was seen here; time that stands still or runs back tells nothing about speed. */
    fun update(observation: Roi, timestamp: Double) {
        val dt = timestamp - time
        if (dt > 0) {
            velocityX += VELOCITY_EMA_WEIGHT * ((observation.cx - roi.cx) / dt - velocityX)
            velocityY += VELOCITY_EMA_WEIGHT * ((observation.cy - roi.cy) / dt - velocityY)
        }
        roi = observation
        time = timestamp
    }

    /** Where to look for the face at a time, in seconds, shortly after the last one. */
    fun predict(timestamp: Double): Roi = moved(timestamp, MAX_GAP_SECONDS, MAX_STEP * roi.size)

    /** Where the region would be if it had moved on unseen, for as many seconds at most. */
    fun extrapolate(timestamp: Double, maxGap: Double): Roi = moved(timestamp, maxGap, Double.POSITIVE_INFINITY)

    private fun moved(timestamp: Double, maxGap: Double, reach: Double): Roi {
        val dt = (timestamp - time).coerceIn(0.0, maxGap)
        val dx = PREDICTION_GAIN * velocityX * dt
        val dy = PREDICTION_GAIN * velocityY * dt
        val way = hypot(dx, dy)
        val fraction = if (way > reach) reach / way else 1.0
        return Roi(roi.cx + fraction * dx, roi.cy + fraction * dy, roi.size, roi.roll)
    }
}
