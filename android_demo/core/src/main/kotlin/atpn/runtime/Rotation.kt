/*
 * Rotations of edge_runtime/geometry.py and `cv2.Rodrigues`. A rotation is a (3, 3) matrix, row by row.
 */
package atpn.runtime

import kotlin.math.PI
import kotlin.math.abs
import kotlin.math.acos
import kotlin.math.asin
import kotlin.math.atan2
import kotlin.math.cos
import kotlin.math.sin
import kotlin.math.sqrt

/** Sine of an angle below which OpenCV assumes no turn or half a turn. */
private const val NO_TURN = 1e-5

/** Converts pitch, yaw, roll in radians to the rotation from head to camera; signs as in [Pose]. */
fun anglesToMatrix(pitch: Double, yaw: Double, roll: Double): DoubleArray {
    val (cp, sp) = Pair(cos(pitch), sin(pitch))
    val (cy, sy) = Pair(cos(yaw), sin(yaw))
    val (cr, sr) = Pair(cos(roll), sin(roll))
    // The nose points along -z in the head frame, so turning it to +x and -y takes negative angles about y and x:
    // Ry(-yaw) * Rx(-pitch) * Rz(roll), written out.
    return doubleArrayOf(
        cy * cr + sy * sp * sr, sy * sp * cr - cy * sr, -sy * cp,
        cp * sr, cp * cr, sp,
        sy * cr - cy * sp * sr, -sy * sr - cy * sp * cr, cy * cp,
    )
}

/**
 * Converts the rotation from head to camera to pitch, yaw, roll in radians.
 *
 * Pitch lies in [-pi/2, pi/2]; at its limits (gimbal lock), roll is 0.
 */
fun matrixToAngles(m: DoubleArray): DoubleArray {
    val pitch = asin(m[5].coerceIn(-1.0, 1.0))
    if (abs(m[5]) > 1 - 1e-9) return doubleArrayOf(pitch, atan2(m[6], m[0]), 0.0)
    return doubleArrayOf(pitch, atan2(-m[2], m[8]), atan2(m[3], m[4]))
}

/**
 * Returns the rotation from the crop's frame to the camera frame.
 *
 * It is the smallest one from the optical axis to the ray through the crop's center, after the crop's roll.
 */
fun cropToCamera(roi: Roi, intrinsics: Intrinsics): DoubleArray {
    val (x, y, z) = intrinsics.ray(roi.cx, roi.cy)
    // Rodrigues' formula for z-axis -> (x, y, z); z > 0 always, so 1 + z never vanishes.
    val toRay = doubleArrayOf(
        1 - x * x / (1 + z), -x * y / (1 + z), x,
        -x * y / (1 + z), 1 - y * y / (1 + z), y,
        -x, -y, z,
    )
    val c = cos(roi.roll)
    val s = sin(roi.roll)
    return product(toRay, doubleArrayOf(c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0))
}

/** Returns the matrix product. */
fun product(first: DoubleArray, second: DoubleArray) = DoubleArray(9) { i ->
    val row = i / 3 * 3
    val column = i % 3
    first[row] * second[column] + first[row + 1] * second[column + 3] + first[row + 2] * second[column + 6]
}

/** Returns the inverse, the transpose. */
fun inverse(rotation: DoubleArray) = DoubleArray(9) { i -> rotation[i % 3 * 3 + i / 3] }

/** Converts a rotation to its axis times its angle in radians: `cv2.Rodrigues`. */
fun rotationVector(rotation: DoubleArray): DoubleArray {
    val axis = doubleArrayOf(rotation[7] - rotation[5], rotation[2] - rotation[6], rotation[3] - rotation[1])
    val sine = length(axis) / 2
    val cosine = ((rotation[0] + rotation[4] + rotation[8] - 1) / 2).coerceIn(-1.0, 1.0)
    if (sine >= NO_TURN) return scaled(axis, acos(cosine) / (2 * sine))
    return if (cosine > 0) DoubleArray(3) else scaled(halfTurnAxis(rotation), PI)
}

/** Converts the result of [rotationVector] to a rotation. */
fun rotationOf(vector: DoubleArray): DoubleArray {
    val angle = length(vector)
    if (angle == 0.0) return doubleArrayOf(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    val (x, y, z) = scaled(vector, 1 / angle)
    val c = cos(angle)
    val s = sin(angle)
    val d = 1 - c
    return doubleArrayOf(
        c + d * x * x, d * x * y - s * z, d * x * z + s * y,
        d * x * y + s * z, c + d * y * y, d * y * z - s * x,
        d * x * z - s * y, d * y * z + s * x, c + d * z * z,
    )
}

/** Returns the length of a vector. */
fun length(vector: DoubleArray) = sqrt(vector.sumOf { it * it })

internal fun scaled(vector: DoubleArray, factor: Double) = DoubleArray(vector.size) { vector[it] * factor }

/** Returns the axis of a rotation by pi, which is 2 * axis * axis^T - 1: its longest column. */
private fun halfTurnAxis(rotation: DoubleArray): DoubleArray {
    val column = (0..2).maxBy { rotation[4 * it] }
    val axis = DoubleArray(3) { rotation[3 * it + column] + if (it == column) 1.0 else 0.0 }
    return scaled(axis, 1 / length(axis))
}
