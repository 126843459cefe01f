package atpn.runtime

import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertThrows
import org.junit.Test

class RgbImageTest {
    private val width = 50
    private val height = 40
    private val rgb = composite(width, height, 1, listOf(listOf(0, 3, -5, 1)))
    private val roi = Roi(22.0, 18.0, 30.0, 0.4)

    /** Returns the same pixels in another layout. */
    private fun withLayout(rowStride: Int, pixelStride: Int, red: Int, green: Int, blue: Int, size: Int): RgbImage {
        val bytes = ByteArray(size)
        for (y in 0 until height) {
            for (x in 0 until width) {
                for ((channel, offset) in listOf(red, green, blue).withIndex()) {
                    bytes[offset + y * rowStride + x * pixelStride] = rgb.pixels[(y * width + x) * 3 + channel]
                }
            }
        }
        return RgbImage(bytes, width, height, rowStride, pixelStride, red, green, blue)
    }

    @Test fun everyLayoutGivesTheSamePixels() {
        val plane = width * height
        val layouts = listOf(
            withLayout(4 * width + 12, 4, 0, 1, 2, (4 * width + 12) * height),
            withLayout(3 * width, 3, 2, 1, 0, 3 * plane),
            RgbImage.planar(withLayout(width, 1, 0, plane, 2 * plane, 3 * plane).pixels, width, height),
        )
        for (image in layouts) {
            assertArrayEquals(extractCrop(rgb, roi, 112), extractCrop(image, roi, 112))
            assertArrayEquals(letterbox(rgb, 24).pixels, letterbox(image, 24).pixels)
            assertArrayEquals(letterbox(rgb.view(10, 8, 36), 24).pixels, letterbox(image.view(10, 8, 36), 24).pixels)
        }
    }

    @Test fun tooSmallBuffersAreRejected() {
        assertThrows(IllegalArgumentException::class.java) { RgbImage.rgb(ByteArray(10 * 10 * 3 - 1), 10, 10) }
        assertThrows(IllegalArgumentException::class.java) { RgbImage.planar(ByteArray(10 * 10), 10, 10) }
        assertThrows(IllegalArgumentException::class.java) { RgbImage.rgb(ByteArray(0), 0, 10) }
        assertThrows(IllegalArgumentException::class.java) { RgbImage.rgb(ByteArray(3), RgbImage.MAX_SIDE + 1, 1) }
    }
}
