package atpn.runtime

/**
 * A picture of [width] x [height] pixels as bytes of 0 to 255, wherever its channels lie: `edge_runtime`'s frames.
 *
 * The byte of a channel at column x of row y is `offset + y * rowStride + x * pixelStride`. So a camera's rows may be
 * padded, and RGB, BGR and RGBA pixels or three planes are all read in place.
 */
class RgbImage(
    val pixels: ByteArray,
    val width: Int,
    val height: Int,
    val rowStride: Int,
    val pixelStride: Int,
    private val red: Int,
    private val green: Int,
    private val blue: Int,
) {
    init {
        require(width in 1..MAX_SIDE && height in 1..MAX_SIDE) {
            "a picture's sides must lie between 1 and $MAX_SIDE px, got $width x $height"
        }
        val last = maxOf(red, green, blue).toLong() + (height - 1L) * rowStride + (width - 1L) * pixelStride
        require(minOf(red, green, blue, rowStride, pixelStride) >= 0 && last < pixels.size) {
            "a $width x $height picture of this layout needs ${last + 1} bytes, got ${pixels.size}"
        }
    }

    /** Where channel 0, 1 or 2 (red, green, blue) of the first pixel lies in [pixels]. */
    fun offset(channel: Int): Int =
        when (channel) {
            0 -> red
            1 -> green
            else -> blue
        }

    /** A view of the [side] x [side] pixels (fewer at the edges) from column [x] and row [y] on. */
    fun part(x: Int, y: Int, side: Int): RgbImage {
        val begin = y * rowStride + x * pixelStride
        val columns = minOf(side, width - x)
        val rows = minOf(side, height - y)
        return RgbImage(pixels, columns, rows, rowStride, pixelStride, red + begin, green + begin, blue + begin)
    }

    companion object {
        /** Pixels; the crop's fixed-point arithmetic reaches no farther. */
        const val MAX_SIDE = 32766

        /** Three bytes a pixel, red first, rows without padding. */
        fun rgb(pixels: ByteArray, width: Int, height: Int) = RgbImage(pixels, width, height, 3 * width, 3, 0, 1, 2)

        /** Three planes of width x height bytes, red first. */
        fun planar(pixels: ByteArray, width: Int, height: Int) =
            RgbImage(pixels, width, height, width, 1, 0, width * height, 2 * width * height)
    }
}
