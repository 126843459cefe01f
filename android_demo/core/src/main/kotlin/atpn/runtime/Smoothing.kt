/*
 * One-Euro smoothing of landmarks and of rotations, still when the face is still, quick when it moves:
 * edge_runtime/smoothing.py.
 *
 * Casiez, Roussel and Vogel, "1 € Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems",
 * CHI 2012. A first-order low-pass whose cutoff grows with the (itself low-passed) speed of the signal.
 */
package atpn.runtime

import kotlin.math.PI
import kotlin.math.atan2
import kotlin.math.cos
import kotlin.math.hypot
import kotlin.math.max
import kotlin.math.pow
import kotlin.math.sin

/** Low-pass of the speed estimate; the paper's constant. */
const val DERIVATIVE_CUTOFF_HZ = 1.0

/** Hz of cutoff per (ROI side / s): a point that crosses a sixteenth of the crop in a second doubles a 1 Hz cutoff. */
const val LANDMARK_SPEED_COEFFICIENT = 16.0

/** Hz of cutoff per (rad / s): a head that turns 60 degrees in a second gains 3 Hz. */
const val POSE_SPEED_COEFFICIENT = 3.0

/** Seconds assumed between frames whose time stamps do not increase, as after a change of the clock. */
const val MIN_TIME_STEP = 1e-3

/** The knob in (0, 1] as the cutoff of a still signal: 8 Hz just above 0, 2 Hz at 0.5, 0.5 Hz at 1. */
fun minCutoffHz(smoothing: Double): Double {
    require(smoothing > 0 && smoothing <= 1) { "smoothing must lie in (0, 1] here, got $smoothing" }
    return 8.0 * 16.0.pow(-smoothing)
}

/** Share of the new value in a first-order low-pass with this cutoff after [dt] seconds (paper, equation 5). */
fun lowPassWeight(cutoffHz: Double, dt: Double) = cutoffHz / (cutoffHz + 1 / (2 * PI * dt))

/** How much of a turn by [angle] radians leads to the rotation nearest (1 - weight) before + weight after. */
fun turnFraction(angle: Double, weight: Double) =
    if (angle == 0.0) weight else atan2(weight * sin(angle), 1 - weight + weight * cos(angle)) / angle

/**
 * The filter over points, one cutoff per point, which follows the length of its velocity.
 *
 * Speeds count in sizes of the face per second, so that a face behaves the same near and far and at any resolution.
 */
class OneEuroPoints(smoothing: Double) {
    private val minCutoff = minCutoffHz(smoothing)
    private var value: DoubleArray? = null
    private var velocity = DoubleArray(0)
    private var time = 0.0

    /** Smooths pixels x0, y0, x1 ... taken at [timestamp] seconds of a face whose ROI is [size] pixels wide. */
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

/** The filter over rotations, on the matrix itself: no angle wraps round and no gimbal locks. */
class OneEuroRotation(smoothing: Double) {
    private val minCutoff = minCutoffHz(smoothing)
    private var value: DoubleArray? = null
    private var velocity = DoubleArray(3)
    private var time = 0.0

    /** Smooths a (3, 3) rotation taken at [timestamp] seconds. */
    fun smooth(rotation: DoubleArray, timestamp: Double): DoubleArray {
        val before = value ?: return rotation.also { value = it; time = timestamp }
        val dt = max(timestamp - time, MIN_TIME_STEP)
        // The velocity is a vector, so that jitter cancels out of it and turning adds up.
        val turn = rotationVector(product(rotation, inverse(before)))
        val weight = lowPassWeight(DERIVATIVE_CUTOFF_HZ, dt)
        velocity = DoubleArray(3) { velocity[it] + weight * (turn[it] / dt - velocity[it]) }
        val fraction = lowPassWeight(minCutoff + POSE_SPEED_COEFFICIENT * length(velocity), dt)
        val after = product(rotationOf(scaled(turn, turnFraction(length(turn), fraction))), before)
        return after.also { value = it; time = timestamp }
    }
}
