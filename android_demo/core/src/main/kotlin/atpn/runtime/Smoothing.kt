/*
 * One-Euro filters for landmarks, rotations, expressions, and gaze: edge_runtime/smoothing.py.
 */
package atpn.runtime

import kotlin.math.PI
import kotlin.math.abs
import kotlin.math.atan2
import kotlin.math.cos
import kotlin.math.hypot
import kotlin.math.max
import kotlin.math.pow
import kotlin.math.sin

/** Cutoff of the speed estimate; the paper's constant. */
const val DERIVATIVE_CUTOFF_HZ = 1.0

/** Hz of cutoff per ROI size per second. Raise it for less lag of moving landmarks. */
const val LANDMARK_SPEED_COEFFICIENT = 16.0

/** Hz of cutoff per radian per second, of heads and of eyes. Raise it for less lag when they turn. */
const val POSE_SPEED_COEFFICIENT = 3.0

/** Hz of cutoff per full range of a coefficient and second. Raise it for less lag of blinks. */
const val EXPRESSION_SPEED_COEFFICIENT = 4.0

/** Returns the cutoff of a still signal for a smoothing in (0, 1]: 8 Hz near 0, 2 Hz at 0.5, 0.5 Hz at 1. */
fun minCutoffHz(smoothing: Double): Double {
    require(smoothing > 0 && smoothing <= 1) { "smoothing must lie in (0, 1] here, got $smoothing" }
    return 8.0 * 16.0.pow(-smoothing)
}

/** Returns the weight of the new value in a first-order low-pass filter after [dt] seconds (paper, equation 5). */
fun lowPassWeight(cutoffHz: Double, dt: Double) = cutoffHz / (cutoffHz + 1 / (2 * PI * dt))

/** Returns the fraction of a turn by [angle] radians that a low-pass of this weight makes; see the Python source. */
fun turnFraction(angle: Double, weight: Double) =
    if (angle == 0.0) weight else atan2(weight * sin(angle), 1 - weight + weight * cos(angle)) / angle

/** Filter of points with one cutoff per point. Speeds are in ROI sizes per second. */
class OneEuroPoints(smoothing: Double) {
    private val minCutoff = minCutoffHz(smoothing)
    private var value: DoubleArray? = null
    private var velocity = DoubleArray(0)
    private var time = 0.0

    /** Smooths pixels x0, y0, x1 ... of a face whose ROI has [size] pixels; [timestamp] in seconds. */
    fun smooth(points: DoubleArray, timestamp: Double, size: Double): DoubleArray {
        val before = value
        if (before == null) {
            velocity = DoubleArray(points.size)
            return points.also { value = it; time = timestamp }
        }
        val dt = max(timestamp - time, MIN_TIME_STEP)
        val weight = lowPassWeight(DERIVATIVE_CUTOFF_HZ, dt)
        val after = DoubleArray(points.size)
        for (i in points.indices step 2) {
            for (j in i..i + 1) velocity[j] += weight * ((points[j] - before[j]) / (dt * size) - velocity[j])
            val speed = hypot(velocity[i], velocity[i + 1])
            val fraction = lowPassWeight(minCutoff + LANDMARK_SPEED_COEFFICIENT * speed, dt)
            for (j in i..i + 1) after[j] = before[j] + fraction * (points[j] - before[j])
        }
        return after.also { value = it; time = timestamp }
    }
}

/** Filter of numbers with one cutoff each: [speedCoefficient] Hz per unit of speed. */
class OneEuroNumbers(smoothing: Double, private val speedCoefficient: Double) {
    private val minCutoff = minCutoffHz(smoothing)
    private var value: DoubleArray? = null
    private var velocity = DoubleArray(0)
    private var time = 0.0

    /** Smooths numbers; [timestamp] in seconds. */
    fun smooth(numbers: DoubleArray, timestamp: Double): DoubleArray {
        val before = value
        if (before == null) {
            velocity = DoubleArray(numbers.size)
            return numbers.also { value = it; time = timestamp }
        }
        val dt = max(timestamp - time, MIN_TIME_STEP)
        val weight = lowPassWeight(DERIVATIVE_CUTOFF_HZ, dt)
        val after = DoubleArray(numbers.size) { i ->
            val moved = numbers[i] - before[i]
            velocity[i] += weight * (moved / dt - velocity[i])
            before[i] + lowPassWeight(minCutoff + speedCoefficient * abs(velocity[i]), dt) * moved
        }
        return after.also { value = it; time = timestamp }
    }
}

/** Filter of rotation matrices, free of angle wrap-around and gimbal lock. */
class OneEuroRotation(smoothing: Double) {
    private val minCutoff = minCutoffHz(smoothing)
    private var value: DoubleArray? = null
    private var velocity = DoubleArray(3)
    private var time = 0.0

    /** Smooths a (3, 3) rotation; [timestamp] in seconds. */
    fun smooth(rotation: DoubleArray, timestamp: Double): DoubleArray {
        val before = value ?: return rotation.also { value = it; time = timestamp }
        val dt = max(timestamp - time, MIN_TIME_STEP)
        // A vector: jitter cancels out, turning accumulates.
        val turn = rotationVector(product(rotation, inverse(before)))
        val weight = lowPassWeight(DERIVATIVE_CUTOFF_HZ, dt)
        velocity = DoubleArray(3) { velocity[it] + weight * (turn[it] / dt - velocity[it]) }
        val fraction = lowPassWeight(minCutoff + POSE_SPEED_COEFFICIENT * length(velocity), dt)
        val after = product(rotationOf(scaled(turn, turnFraction(length(turn), fraction))), before)
        return after.also { value = it; time = timestamp }
    }
}
