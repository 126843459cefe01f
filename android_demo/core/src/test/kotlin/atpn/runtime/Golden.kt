package atpn.runtime

import java.util.zip.CRC32
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotNull

/** Maximum difference from the runtime's results, in their unit. */
const val TOLERANCE = 1e-4

/** Interval of recorded pixels. */
private const val SAMPLE_STEP = 16

/** Golden vectors of `edge_runtime`, written by `python -m export golden`. */
object Golden {
    val faces: List<RgbImage> = listOf("face_0.ppm", "face_1.ppm").map(::ppm)
    val networkSpec = ModelSpec.read(bytes("network.tflite"), "network.tflite")
    val detectorSpec = ModelSpec.read(bytes("detector.tflite"), "detector.tflite")

    fun bytes(name: String): ByteArray {
        val stream = javaClass.getResourceAsStream("/golden/$name")
        assertNotNull("no golden/$name among the test resources: python -m export golden", stream)
        return stream!!.use { it.readBytes() }
    }

    fun json(name: String) = parseJson(bytes(name).decodeToString()).obj

    private fun ppm(name: String): RgbImage {
        val content = bytes(name)
        val header = content.decodeToString(0, 20).split('\n', limit = 4)
        val (width, height) = header[1].split(' ').map { it.toInt() }
        return RgbImage.rgb(content.copyOfRange(content.size - 3 * width * height, content.size), width, height)
    }
}

typealias Json = Map<*, *>

val Any?.obj get() = this as Json
val Any?.list get() = this as List<*>
val Any?.int get() = (this as Double).toInt()
val Any?.double get() = this as Double? ?: Double.NaN
val Any?.doubles get() = list.map { it.double }.toDoubleArray()
val Any?.floats get() = list.map { it.double.toFloat() }.toFloatArray()
val Any?.roi get() = doubles.let { (cx, cy, size, roll) -> Roi(cx, cy, size, roll) }
val Any?.intrinsics get() = doubles.let { (fx, fy, cx, cy) -> Intrinsics(fx, fy, cx, cy) }

val Roi.values get() = doubleArrayOf(cx, cy, size, roll)

/** Renders frame [number] of a sequence by the rule of export/testing/golden/scenes.py. */
fun composite(width: Int, height: Int, number: Int, sprites: List<List<Int>>): RgbImage {
    val pixels = ByteArray(width * height * 3)
    for (y in 0 until height) {
        for (x in 0 until width) {
            // Int arithmetic is modulo 2^32.
            var mixed = x * 0x9E3779B1.toInt() xor y * 0x85EBCA77.toInt() xor number * 0xC2B2AE3D.toInt()
            mixed = (mixed xor (mixed ushr 15)) * 0x2C1B3C6D
            val noise = ((mixed xor (mixed ushr 12)) ushr 8) and 7
            val sprite = sprites.lastOrNull { (face, left, top, scale) ->
                val image = Golden.faces[face]
                x >= left && y >= top && x < left + scale * image.width && y < top + scale * image.height
            }
            for (channel in 0..2) {
                val base = if (sprite == null) {
                    60 + (x + 2 * y) / 8 % 64 + 20 * channel
                } else {
                    val (face, left, top, scale) = sprite
                    val image = Golden.faces[face]
                    image.pixels[(y - top) / scale * image.rowStride + (x - left) / scale * 3 + channel].toInt() and 0xFF
                }
                pixels[(y * width + x) * 3 + channel] = minOf(base + noise, 255).toByte()
            }
        }
    }
    return RgbImage.rgb(pixels, width, height)
}

fun assertClose(what: String, expected: Any?, actual: DoubleArray) {
    val expected = expected.doubles
    assertEquals("$what: how many", expected.size, actual.size)
    for (i in expected.indices) assertEquals("$what[$i]", expected[i], actual[i], TOLERANCE)
}

/** Asserts that both are null or close. */
fun assertCloseOrNull(what: String, expected: Any?, actual: DoubleArray?) {
    if (expected == null || actual == null) assertEquals(what, expected, actual) else assertClose(what, expected, actual)
}

/** Asserts that size x size RGB pixels equal the recorded ones. */
fun assertPixels(what: String, expected: Any?, pixels: ByteArray, size: Int) {
    val half = SAMPLE_STEP / 2
    val samples = (half until size step SAMPLE_STEP).flatMap { y ->
        (half until size step SAMPLE_STEP).flatMap { x -> (0..2).map { pixels[(y * size + x) * 3 + it].toInt() and 0xFF } }
    }
    assertEquals("$what: sampled pixels", expected.obj["samples"].list.map { it.int }, samples)
    assertEquals("$what: checksum", expected.obj["crc"].double.toLong(), CRC32().apply { update(pixels) }.value)
}
