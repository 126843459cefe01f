package atpn.runtime

/**
 * Image of [width] x [height] pixels of three bytes, in any layout.
 *
 * The byte of a channel at (x, y) is `offset + y * rowStride + x * pixelStride`: rows may be padded, and RGB, BGR, RGBA, or
 * planar pixels are read in place.
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
            "image sides must be 1 to $MAX_SIDE px, got $width x $height"
        }
        val last = maxOf(red, green, blue).toLong() + (height - 1L) * rowStride + (width - 1L) * pixelStride
        require(minOf(red, green, blue, rowStride, pixelStride) >= 0 && last < pixels.size) {
            "an image of $width x $height px in this layout needs ${last + 1} bytes, got ${pixels.size}"
        }
    }

    /** Returns the index in [pixels] of channel 0, 1, or 2 (red, green, blue) of the first pixel. */
    fun offset(channel: Int): Int =
        when (channel) {
            0 -> red
            1 -> green
            else -> blue
        }

    /** Returns a view of [side] x [side] pixels (fewer at the edges) from ([x], [y]). */
    fun view(x: Int, y: Int, side: Int): RgbImage {
        val start = y * rowStride + x * pixelStride
        val columns = minOf(side, width - x)
        val rows = minOf(side, height - y)
        return RgbImage(pixels, columns, rows, rowStride, pixelStride, red + start, green + start, blue + start)
    }

    companion object {
        /** Maximum side, pixels: the limit of the crop's fixed-point arithmetic. */
        const val MAX_SIDE = 32766

        /** RGB pixels, rows without padding. */
        fun rgb(pixels: ByteArray, width: Int, height: Int) = RgbImage(pixels, width, height, 3 * width, 3, 0, 1, 2)

        /** Three planes of width x height bytes: red, green, blue. */
        fun planar(pixels: ByteArray, width: Int, height: Int) =
            RgbImage(pixels, width, height, width, 1, 0, width * height, 2 * width * height)
    }
}
