/*
 * Gaze: edge_runtime/gaze.py. Angles are flat: yaw and pitch of one eye, then of the next; directions are x, y, z of each.
 */
package atpn.runtime

import kotlin.math.asin
import kotlin.math.atan2
import kotlin.math.cos
import kotlin.math.sin

/**
 * Converts directions to yaw and pitch in radians.
 *
 * An eye that looks along -z, into the camera, has yaw and pitch 0. Yaw is positive toward the image's right, the
 * subject's left; pitch is positive upward.
 */
fun gazeAngles(directions: DoubleArray): DoubleArray {
    val angles = DoubleArray(directions.size / 3 * 2)
    for (i in 0 until directions.size / 3) {
        val direction = directions.copyOfRange(3 * i, 3 * i + 3)
        val (x, y, z) = scaled(direction, 1 / length(direction))
        angles[2 * i] = atan2(x, -z)
        angles[2 * i + 1] = asin((-y).coerceIn(-1.0, 1.0))
    }
    return angles
}

/** Converts yaw and pitch in radians to unit directions; the inverse of [gazeAngles]. */
fun gazeDirections(angles: DoubleArray): DoubleArray {
    val directions = DoubleArray(angles.size / 2 * 3)
    for (i in 0 until angles.size / 2) {
        val yaw = angles[2 * i]
        val pitch = angles[2 * i + 1]
        directions[3 * i] = sin(yaw) * cos(pitch)
        directions[3 * i + 1] = -sin(pitch)
        directions[3 * i + 2] = -cos(yaw) * cos(pitch)
    }
    return directions
}

/** Returns yaw and pitch in radians in another frame, to which a (3, 3) rotation leads. */
fun turnGaze(angles: DoubleArray, rotation: DoubleArray): DoubleArray {
    val directions = gazeDirections(angles)
    return gazeAngles(
        DoubleArray(directions.size) { i ->
            val eye = i - i % 3
            (0..2).sumOf { rotation[3 * (i % 3) + it] * directions[eye + it] }
        },
    )
}
