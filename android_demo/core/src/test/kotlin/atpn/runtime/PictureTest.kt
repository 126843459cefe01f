package atpn.runtime

import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertThrows
import org.junit.Test

class PictureTest {
    private val width = 50
    private val height = 40
    private val rgb = paint(width, height, 1, listOf(listOf(0, 3, -5, 1)))
    private val roi = Roi(22.0, 18.0, 30.0, 0.4)

    /** The same pixels in another layout. */
    private fun laidOut(rowStride: Int, pixelStride: Int, red: Int, green: Int, blue: Int, size: Int): Picture {
        val bytes = ByteArray(size)
        for (y in 0 until height) {
            for (x in 0 until width) {
                for ((channel, offset) in listOf(red, green, blue).withIndex()) {
                    bytes[offset + y * rowStride + x * pixelStride] = rgb.pixels[(y * width + x) * 3 + channel]
                }
            }
        }
        return Picture(bytes, width, height, rowStride, pixelStride, red, green, blue)
    }

    @Test fun everyLayoutGivesTheSamePixels() {
        val plane = width * height
        val layouts = listOf(
            laidOut(4 * width + 12, 4, 0, 1, 2, (4 * width + 12) * height),
            laidOut(3 * width, 3, 2, 1, 0, 3 * plane),
            Picture.planar(laidOut(width, 1, 0, plane, 2 * plane, 3 * plane).pixels, width, height),
        )
        for (picture in layouts) {
            assertArrayEquals(extractCrop(rgb, roi, 112), extractCrop(picture, roi, 112))
            assertArrayEquals(fitFrame(rgb, 24).pixels, fitFrame(picture, 24).pixels)
            assertArrayEquals(fitFrame(rgb.part(10, 8, 36), 24).pixels, fitFrame(picture.part(10, 8, 36), 24).pixels)
        }
    }

    @Test fun buffersThatAreTooSmallAreRefused() {
        assertThrows(IllegalArgumentException::class.java) { Picture.rgb(ByteArray(10 * 10 * 3 - 1), 10, 10) }
        assertThrows(IllegalArgumentException::class.java) { Picture.planar(ByteArray(10 * 10), 10, 10) }
        assertThrows(IllegalArgumentException::class.java) { Picture.rgb(ByteArray(0), 0, 10) }
        assertThrows(IllegalArgumentException::class.java) { Picture.rgb(ByteArray(3), Picture.LONGEST_SIDE + 1, 1) }
    }
}
