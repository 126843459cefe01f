package atpn.runtime

import java.nio.ByteBuffer
import kotlin.math.roundToInt
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Test

class YuvTest {
    private val width = 8
    private val height = 6

    /** Returns a plane of [value], with padded rows; most phones have a [pixelStride] of 2 for u and v. */
    private fun plane(columns: Int, rows: Int, pixelStride: Int, value: (Int, Int) -> Int): Plane {
        val rowStride = columns * pixelStride + 4
        val bytes = ByteBuffer.allocate(rows * rowStride)
        for (y in 0 until rows) for (x in 0 until columns) bytes.put(y * rowStride + x * pixelStride, value(x, y).toByte())
        return Plane(bytes, rowStride, pixelStride)
    }

    private fun luma(x: Int, y: Int) = 40 + 5 * x + 20 * y
    private fun cb(x: Int, y: Int) = 100 + 20 * x + y
    private fun cr(x: Int, y: Int) = 150 - 10 * x + 15 * y

    private fun image(degrees: Int): RgbImage {
        val u = plane(width / 2, height / 2, 2, ::cb)
        val v = plane(width / 2, height / 2, 2, ::cr)
        return uprightRgb(plane(width, height, 1, ::luma), u, v, width, height, degrees)
    }

    private fun rgb(image: RgbImage, x: Int, y: Int) =
        (0..2).map { image.pixels[y * image.rowStride + 3 * x + it].toInt() and 0xFF }

    @Test fun colorsFollowTheStandard() {
        val image = image(0)
        for (y in 0 until height) {
            for (x in 0 until width) {
                val u = cb(x / 2, y / 2) - 128
                val v = cr(x / 2, y / 2) - 128
                val expected = listOf(1.402 * v, -0.344136 * u - 0.714136 * v, 1.772 * u).map { (luma(x, y) + it).roundToInt().coerceIn(0, 255) }
                rgb(image, x, y).zip(expected).forEach { (ours, theirs) -> assertEquals("$x, $y", theirs.toDouble(), ours.toDouble(), 1.0) }
            }
        }
    }

    @Test fun turnsAreClockwise() {
        val still = image(0)
        val places = mapOf<Int, (Int, Int) -> Pair<Int, Int>>(
            90 to { x, y -> height - 1 - y to x },
            180 to { x, y -> width - 1 - x to height - 1 - y },
            270 to { x, y -> y to width - 1 - x },
        )
        for ((degrees, place) in places) {
            val turned = image(degrees)
            assertEquals(if (degrees == 180) width to height else height to width, turned.width to turned.height)
            for (y in 0 until height) {
                for (x in 0 until width) {
                    val (tx, ty) = place(x, y)
                    assertEquals("$degrees: $x, $y", rgb(still, x, y), rgb(turned, tx, ty))
                }
            }
        }
        assertThrows(IllegalArgumentException::class.java) { image(45) }
    }
}
