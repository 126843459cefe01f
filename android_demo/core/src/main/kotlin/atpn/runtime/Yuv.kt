/*
 * A camera's picture as the RGB that the runtime works on: Android's counterpart of edge_runtime/frames.py.
 */
package atpn.runtime

import java.nio.ByteBuffer

/** One plane of a YUV 4:2:0 picture: value (x, y) lies at `y * rowStride + x * pixelStride`. */
class Plane(val bytes: ByteBuffer, val rowStride: Int, val pixelStride: Int)

/**
 * A full-range BT.601 YUV 4:2:0 picture, as Android's cameras give it, turned clockwise by 0, 90, 180 or 270 degrees.
 *
 * [y] has [width] x [height] values, [u] and [v] one for each 2 x 2 of them. [reuse] is taken for the pixels where it
 * has the right size.
 */
fun uprightRgb(y: Plane, u: Plane, v: Plane, width: Int, height: Int, degrees: Int, reuse: ByteArray? = null): RgbImage {
    require(degrees in listOf(0, 90, 180, 270)) { "a picture is turned by 0, 90, 180 or 270 degrees, got $degrees" }
    val pixels = reuse?.takeIf { it.size == width * height * 3 } ?: ByteArray(width * height * 3)
    val turned = degrees % 180 != 0
    val outWidth = if (turned) height else width
    // Where the first pixel goes, and how far its right and lower neighbours go from it.
    val (start, right, down) = when (degrees) {
        0 -> Triple(0, 1, outWidth)
        90 -> Triple(height - 1, outWidth, -1)
        180 -> Triple(width * height - 1, -1, -outWidth)
        else -> Triple((width - 1) * outWidth, -outWidth, 1)
    }
    for (row in 0 until height) {
        for (column in 0 until width) {
            val light = y.at(column, row) shl 10
            val blueness = u.at(column / 2, row / 2) - 128
            val redness = v.at(column / 2, row / 2) - 128
            val out = (start + row * down + column * right) * 3
            pixels[out] = byteOf(light + 1436 * redness)
            pixels[out + 1] = byteOf(light - 352 * blueness - 731 * redness)
            pixels[out + 2] = byteOf(light + 1815 * blueness)
        }
    }
    return RgbImage.rgb(pixels, outWidth, if (turned) width else height)
}

private fun Plane.at(x: Int, y: Int) = bytes.get(y * rowStride + x * pixelStride).toInt() and 0xFF

/** Of a value times 1024. */
private fun byteOf(value: Int) = ((value + 512) shr 10).coerceIn(0, 255).toByte()
