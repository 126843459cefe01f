/*
 * `cv2.resize`, equal to the byte: by area to shrink, bilinear to enlarge.
 */
package atpn.runtime

import kotlin.math.abs
import kotlin.math.ceil
import kotlin.math.floor
import kotlin.math.max
import kotlin.math.roundToInt

/** Fraction bits of a bilinear weight. */
private const val WEIGHT_BITS = 11

/** Resizes an image to width x height RGB pixels, row by row. */
fun resize(image: RgbImage, width: Int, height: Int): ByteArray {
    val scaleX = 1 / (width.toDouble() / image.width)
    val scaleY = 1 / (height.toDouble() / image.height)
    val stepX = scaleX.roundToInt()
    val stepY = scaleY.roundToInt()
    return when {
        width == image.width && height == image.height -> blocks(image, width, height, 1, 1)
        scaleX < 1 || scaleY < 1 -> bilinear(image, width, height)
        max(abs(scaleX - stepX), abs(scaleY - stepY)) < Math.ulp(1.0) -> blocks(image, width, height, stepX, stepY)
        else -> areas(image, width, height, scaleX, scaleY)
    }
}

/** Averages blocks of whole pixels. */
private fun blocks(image: RgbImage, width: Int, height: Int, stepX: Int, stepY: Int): ByteArray {
    val result = ByteArray(width * height * 3)
    val scale = 1f / (stepX * stepY)
    var at = 0
    for (row in 0 until height) {
        for (column in 0 until width) {
            for (channel in 0..2) {
                var sum = 0
                for (y in row * stepY until (row + 1) * stepY) {
                    val line = image.offset(channel) + y * image.rowStride
                    for (x in column * stepX until (column + 1) * stepX) {
                        sum += image.pixels[line + x * image.pixelStride].toInt() and 0xFF
                    }
                }
                // 2 x 2 rounds half up, other blocks half to even.
                val mean = if (stepX == 2 && stepY == 2) (sum + 2) shr 2 else Math.rint((sum * scale).toDouble()).toInt()
                result[at++] = mean.toByte()
            }
        }
    }
    return result
}

/** [weights] of a line's pixels, from [first], in one pixel of a shorter line. */
private class Cell(val first: Int, val weights: FloatArray)

private fun cells(from: Int, to: Int, scale: Double) = List(to) { i ->
    val begin = i * scale
    val end = begin + scale
    val width = minOf(scale, from - begin)
    val lastWhole = minOf(floor(end).toInt(), from - 1)
    val firstWhole = minOf(ceil(begin).toInt(), lastWhole)
    val before = firstWhole - begin > 1e-3
    val weights = ArrayList<Float>()
    if (before) weights += ((firstWhole - begin) / width).toFloat()
    repeat(lastWhole - firstWhole) { weights += (1.0 / width).toFloat() }
    if (end - lastWhole > 1e-3) weights += (minOf(end - lastWhole, 1.0, width) / width).toFloat()
    Cell(if (before) firstWhole - 1 else firstWhole, weights.toFloatArray())
}

/** Averages areas of fractional pixels. */
private fun areas(image: RgbImage, width: Int, height: Int, scaleX: Double, scaleY: Double): ByteArray {
    val columns = cells(image.width, width, scaleX)
    val result = ByteArray(width * height * 3)
    val sums = FloatArray(width * 3)
    for ((row, lines) in cells(image.height, height, scaleY).withIndex()) {
        sums.fill(0f)
        for ((k, weight) in lines.weights.withIndex()) {
            for (channel in 0..2) {
                val line = image.offset(channel) + (lines.first + k) * image.rowStride
                for ((column, cell) in columns.withIndex()) {
                    var sum = 0f
                    for ((i, fraction) in cell.weights.withIndex()) {
                        sum += (image.pixels[line + (cell.first + i) * image.pixelStride].toInt() and 0xFF) * fraction
                    }
                    sums[3 * column + channel] += weight * sum
                }
            }
        }
        for (i in sums.indices) result[row * width * 3 + i] = Math.rint(sums[i].toDouble()).toInt().coerceIn(0, 255).toByte()
    }
    return result
}

/** The two pixels of a line that are interpolated, and the [weight] of the second in 1/2048. */
private class Neighbors(val first: Int, val second: Int, val weight: Int)

private fun neighbors(from: Int, to: Int) = List(to) { i ->
    val scale = 1 / (to.toDouble() / from)
    val position = ((i + 0.5) * scale - 0.5).toFloat()
    val first = floor(position).toInt()
    val weight = Math.rint((position - first).toDouble() * (1 shl WEIGHT_BITS)).toInt()
    Neighbors(first.coerceIn(0, from - 1), (first + 1).coerceIn(0, from - 1), weight)
}

private fun bilinear(image: RgbImage, width: Int, height: Int): ByteArray {
    val columns = neighbors(image.width, width)
    val one = 1 shl WEIGHT_BITS
    val result = ByteArray(width * height * 3)
    var at = 0
    for (row in neighbors(image.height, height)) {
        for (column in columns) {
            for (channel in 0..2) {
                fun line(y: Int): Int {
                    val start = image.offset(channel) + y * image.rowStride
                    val left = image.pixels[start + column.first * image.pixelStride].toInt() and 0xFF
                    val right = image.pixels[start + column.second * image.pixelStride].toInt() and 0xFF
                    return (left * (one - column.weight) + right * column.weight) shr 4
                }
                val upper = (line(row.first) * (one - row.weight)) shr 16
                val lower = (line(row.second) * row.weight) shr 16
                result[at++] = ((upper + lower + 2) shr 2).toByte()
            }
        }
    }
    return result
}
