/*
 * Regions of interest and the crop rule: edge_runtime/geometry.py.
 *
 * Pixels: x right, y down, pixel centers at integers. Camera frame: x right, y down, z forward. Crop coordinates are
 * normalized: u in [0, 1] across the crop, and crop pixel = u * crop size - 0.5. Points are flat: x0, y0, x1, y1 ...
 */
package atpn.runtime

import kotlin.math.PI
import kotlin.math.abs
import kotlin.math.atan2
import kotlin.math.cos
import kotlin.math.hypot
import kotlin.math.max
import kotlin.math.sin
import kotlin.math.sqrt
import kotlin.math.tan

/** Margin added to each side of the landmarks' rectangle, as a fraction of its width or height (thesis, section 3.2). */
const val ROI_MARGIN = 0.25

/** Limits of a camera's field of view, degrees: the focal length stays a sensible number. */
private const val MIN_FIELD_OF_VIEW = 0.1
private const val MAX_FIELD_OF_VIEW = 179.0

/** Field of view along the longer side, degrees: typical of webcams and phones. */
const val DEFAULT_FOV = 60.0

/** Region of interest: an oriented square of the frame, in pixels; [roll] in radians, clockwise in the image. */
data class Roi(val cx: Double, val cy: Double, val size: Double, val roll: Double = 0.0) {
    init {
        require(cx.isFinite() && cy.isFinite() && size.isFinite() && roll.isFinite() && size > 0) {
            "an ROI needs finite numbers and a positive size, got ($cx, $cy), $size, $roll"
        }
    }

    /** Returns the (2, 3) affine matrix from frame pixels to crop pixels, row by row. */
    fun cropMatrix(cropSize: Int): DoubleArray {
        val scale = cropSize / size
        val c = scale * cos(roll)
        val s = scale * sin(roll)
        val center = (cropSize - 1) / 2.0
        return doubleArrayOf(c, s, center - c * cx - s * cy, -s, c, center + s * cx - c * cy)
    }

    /** Converts points in crop coordinates to frame pixels. */
    fun toFrame(points: FloatArray): DoubleArray {
        val c = size * cos(roll)
        val s = size * sin(roll)
        val x0 = cx - (c - s) / 2
        val y0 = cy - (s + c) / 2
        return DoubleArray(points.size) { i ->
            val u = points[i and 1.inv()].toDouble()
            val v = points[i or 1].toDouble()
            if (i and 1 == 0) u * c - v * s + x0 else u * s + v * c + y0
        }
    }

    /** Returns the intersection over union with another ROI of any roll. */
    fun iou(other: Roi): Double {
        val area = intersectionArea(corners(), other.corners())
        return area / (size * size + other.size * other.size - area)
    }

    private fun corners() = Rectangle(cx, cy, size, size, roll).corners()
}

/** Oriented bounding rectangle of landmarks, in pixels and radians. */
data class Rectangle(val cx: Double, val cy: Double, val width: Double, val height: Double, val roll: Double) {
    /** Returns the square of the same center whose side is the longer one, widened by [margin] at each end. */
    fun squared(margin: Double) = Roi(cx, cy, max(width, height) * (1 + 2 * margin), roll)

    /** Returns the fraction of the area that lies inside a frame of this size. */
    fun fractionInside(frameWidth: Int, frameHeight: Int): Double {
        // Pixels extend half a pixel beyond their centers.
        val (right, low) = Pair(frameWidth - 0.5, frameHeight - 0.5)
        val frame = doubleArrayOf(-0.5, -0.5, right, -0.5, right, low, -0.5, low)
        return intersectionArea(corners(), frame) / (width * height)
    }

    /** Returns the four corners, clockwise from the rectangle's own top left. */
    fun corners(): DoubleArray {
        val c = cos(roll) / 2
        val s = sin(roll) / 2
        val (ax, ay) = Pair(c * width, s * width)
        val (bx, by) = Pair(-s * height, c * height)
        return doubleArrayOf(
            cx - ax - bx, cy - ay - by,
            cx + ax - bx, cy + ay - by,
            cx + ax + bx, cy + ay + by,
            cx - ax + bx, cy - ay + by,
        )
    }

    companion object {
        /** Returns the smallest rectangle of this roll around pixel landmarks. */
        fun around(landmarks: DoubleArray, roll: Double): Rectangle {
            val c = cos(roll)
            val s = sin(roll)
            var x0 = Double.POSITIVE_INFINITY
            var y0 = Double.POSITIVE_INFINITY
            var x1 = Double.NEGATIVE_INFINITY
            var y1 = Double.NEGATIVE_INFINITY
            for (i in landmarks.indices step 2) {
                val x = c * landmarks[i] + s * landmarks[i + 1]
                val y = c * landmarks[i + 1] - s * landmarks[i]
                x0 = minOf(x0, x)
                x1 = maxOf(x1, x)
                y0 = minOf(y0, y)
                y1 = maxOf(y1, y)
            }
            val x = (x0 + x1) / 2
            val y = (y0 + y1) / 2
            return Rectangle(c * x - s * y, s * x + c * y, x1 - x0, y1 - y0, roll)
        }
    }
}

/** Returns the clockwise rotation of landmarks against an upright mean shape, radians (least squares). */
fun uprightRoll(landmarks: DoubleArray, meanShape: FloatArray): Double {
    val count = landmarks.size / 2
    var centerX = 0.0
    var centerY = 0.0
    for (i in 0 until count) {
        centerX += landmarks[2 * i] / count
        centerY += landmarks[2 * i + 1] / count
    }
    var along = 0.0
    var across = 0.0
    // Centering one of the two is enough: the other's mean cancels in the products.
    for (i in 0 until count) {
        val x = landmarks[2 * i] - centerX
        val y = landmarks[2 * i + 1] - centerY
        along += meanShape[2 * i] * x + meanShape[2 * i + 1] * y
        across += meanShape[2 * i] * y - meanShape[2 * i + 1] * x
    }
    return atan2(across, along)
}

/** Pinhole camera: focal lengths and principal point in pixels. */
data class Intrinsics(val fx: Double, val fy: Double, val cx: Double, val cy: Double) {
    init {
        require(fx.isFinite() && fy.isFinite() && cx.isFinite() && cy.isFinite() && fx > 0 && fy > 0) {
            "intrinsics need finite numbers and positive focal lengths, got $fx, $fy, $cx, $cy"
        }
    }

    /** Returns the unit direction (x, y, z) of the viewing ray through a pixel, camera frame. */
    fun ray(x: Double, y: Double): DoubleArray {
        val right = (x - cx) / fx
        val down = (y - cy) / fy
        val length = sqrt(right * right + down * down + 1)
        return doubleArrayOf(right / length, down / length, 1 / length)
    }

    companion object {
        /** Returns a centered camera with this field of view along the longer side. */
        fun fromFov(width: Int, height: Int, fovDegrees: Double = DEFAULT_FOV): Intrinsics {
            require(fovDegrees in MIN_FIELD_OF_VIEW..MAX_FIELD_OF_VIEW) {
                "the field of view must lie between $MIN_FIELD_OF_VIEW and $MAX_FIELD_OF_VIEW degrees, got $fovDegrees"
            }
            val focal = max(width, height) / 2.0 / tan(fovDegrees * PI / 360)
            return Intrinsics(focal, focal, (width - 1) / 2.0, (height - 1) / 2.0)
        }
    }
}

/** Returns the intersection area of two convex polygons, clockwise in the image: [first] is clipped by [second]. */
fun intersectionArea(first: DoubleArray, second: DoubleArray): Double {
    var polygon = first
    for (i in second.indices step 2) {
        val j = (i + 2) % second.size
        polygon = clipped(polygon, second[i], second[i + 1], second[j], second[j + 1])
    }
    return area(polygon)
}

/** Returns the part of a polygon to the right of the line from a to b, the inside of clockwise polygons. */
private fun clipped(polygon: DoubleArray, ax: Double, ay: Double, bx: Double, by: Double): DoubleArray {
    fun side(x: Double, y: Double) = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
    val kept = ArrayList<Double>(polygon.size + 2)
    for (i in polygon.indices step 2) {
        val j = (i + 2) % polygon.size
        val here = side(polygon[i], polygon[i + 1])
        val next = side(polygon[j], polygon[j + 1])
        if (here >= 0) kept += listOf(polygon[i], polygon[i + 1])
        if ((here > 0 && next < 0) || (here < 0 && next > 0)) {
            val fraction = here / (here - next)
            kept += listOf(
                polygon[i] + fraction * (polygon[j] - polygon[i]),
                polygon[i + 1] + fraction * (polygon[j + 1] - polygon[i + 1]),
            )
        }
    }
    return kept.toDoubleArray()
}

private fun area(polygon: DoubleArray): Double {
    var twice = 0.0
    for (i in polygon.indices step 2) {
        val j = (i + 2) % polygon.size
        twice += polygon[i] * polygon[j + 1] - polygon[j] * polygon[i + 1]
    }
    return abs(twice) / 2
}

/** Returns the distance of two ROIs' centers, pixels. */
internal fun distance(first: Roi, second: Roi) = hypot(first.cx - second.cx, first.cy - second.cy)
