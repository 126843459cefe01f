/*
 * Conversion of camera images to RGB.
 */
package atpn.runtime

import java.nio.ByteBuffer

/** One plane of a YUV 4:2:0 image: value (x, y) is at `y * rowStride + x * pixelStride`. */
class Plane(val bytes: ByteBuffer, val rowStride: Int, val pixelStride: Int)

/**
 * Converts a full-range BT.601 YUV 4:2:0 image to RGB and rotates it clockwise by 0, 90, 180, or 270 degrees.
 *
 * [y] has [width] x [height] values, [u] and [v] one per 2 x 2 of them. [reuse] holds the pixels if it has their size.
 */
fun uprightRgb(y: Plane, u: Plane, v: Plane, width: Int, height: Int, degrees: Int, reuse: ByteArray? = null): RgbImage {
    require(degrees in listOf(0, 90, 180, 270)) { "degrees must be 0, 90, 180, or 270, got $degrees" }
    val pixels = reuse?.takeIf { it.size == width * height * 3 } ?: ByteArray(width * height * 3)
    val turned = degrees % 180 != 0
    val outWidth = if (turned) height else width
    // Index of the first pixel, and offsets of its right and lower neighbors.
    val (start, right, down) = when (degrees) {
        0 -> Triple(0, 1, outWidth)
        90 -> Triple(height - 1, outWidth, -1)
        180 -> Triple(width * height - 1, -1, -outWidth)
        else -> Triple((width - 1) * outWidth, -outWidth, 1)
    }
    for (row in 0 until height) {
        for (column in 0 until width) {
            val luma = y.at(column, row) shl 10
            val cb = u.at(column / 2, row / 2) - 128
            val cr = v.at(column / 2, row / 2) - 128
            val out = (start + row * down + column * right) * 3
            pixels[out] = byteOf(luma + 1436 * cr)
            pixels[out + 1] = byteOf(luma - 352 * cb - 731 * cr)
            pixels[out + 2] = byteOf(luma + 1815 * cb)
        }
    }
    return RgbImage.rgb(pixels, outWidth, if (turned) width else height)
}

private fun Plane.at(x: Int, y: Int) = bytes.get(y * rowStride + x * pixelStride).toInt() and 0xFF

/** Converts a value times 1024. */
private fun byteOf(value: Int) = ((value + 512) shr 10).coerceIn(0, 255).toByte()
