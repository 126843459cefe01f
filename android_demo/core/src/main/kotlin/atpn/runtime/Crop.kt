/*
 * `geometry.extract_crop`, equal to the byte: like OpenCV's `warpAffine`, it rounds coordinates to 1/32 px and uses weights
 * of 15 bits.
 */
package atpn.runtime

import kotlin.math.ceil

/** Fraction bits of intermediate and of final coordinates. */
private const val FINE_BITS = 10
private const val FRACTION_BITS = 5
private const val ONE = 1 shl FRACTION_BITS

/** Maximum number of samples per crop pixel and axis. */
const val MAX_OVERSAMPLING = 8

/**
 * Crops an image to the ROI: cropSize x cropSize RGB pixels, row by row; border pixels are replicated.
 *
 * If the crop shrinks the image more than twofold, it is sampled on a k times finer grid and averaged in k x k blocks.
 */
fun extractCrop(image: RgbImage, roi: Roi, cropSize: Int): ByteArray {
    val k = ceil(roi.size / (2 * cropSize)).toInt().coerceIn(1, MAX_OVERSAMPLING)
    val fine = warpAffine(image, roi.cropMatrix(cropSize * k), cropSize * k)
    return if (k == 1) fine else resize(RgbImage.rgb(fine, cropSize * k, cropSize * k), cropSize, cropSize)
}

/** Returns size x size RGB pixels, row by row; [matrix] (2, 3) maps image pixels to crop pixels. */
private fun warpAffine(image: RgbImage, matrix: DoubleArray, size: Int): ByteArray {
    val inverse = inverseAffine(matrix)
    val unit = (1 shl FINE_BITS).toDouble()
    val stepsX = IntArray(size) { Math.rint(inverse[0] * it * unit).toInt() }
    val stepsY = IntArray(size) { Math.rint(inverse[3] * it * unit).toInt() }
    val half = 1 shl (FINE_BITS - FRACTION_BITS - 1)
    val pixels = image.pixels
    val crop = ByteArray(size * size * 3)
    var at = 0
    for (row in 0 until size) {
        val startX = Math.rint((inverse[1] * row + inverse[2]) * unit).toInt() + half
        val startY = Math.rint((inverse[4] * row + inverse[5]) * unit).toInt() + half
        for (column in 0 until size) {
            val x = (startX + stepsX[column]) shr (FINE_BITS - FRACTION_BITS)
            val y = (startY + stepsY[column]) shr (FINE_BITS - FRACTION_BITS)
            val right = x and (ONE - 1)
            val down = y and (ONE - 1)
            val left = (x shr FRACTION_BITS).coerceIn(0, image.width - 1) * image.pixelStride
            val nextX = ((x shr FRACTION_BITS) + 1).coerceIn(0, image.width - 1) * image.pixelStride
            val top = (y shr FRACTION_BITS).coerceIn(0, image.height - 1) * image.rowStride
            val nextY = ((y shr FRACTION_BITS) + 1).coerceIn(0, image.height - 1) * image.rowStride
            for (channel in 0..2) {
                val offset = image.offset(channel)
                val upper = (pixels[offset + top + left].toInt() and 0xFF) * (ONE - right) +
                    (pixels[offset + top + nextX].toInt() and 0xFF) * right
                val lower = (pixels[offset + nextY + left].toInt() and 0xFF) * (ONE - right) +
                    (pixels[offset + nextY + nextX].toInt() and 0xFF) * right
                val sum = upper * (ONE - down) + lower * down
                crop[at++] = ((sum + ONE * ONE / 2) shr (2 * FRACTION_BITS)).toByte()
            }
        }
    }
    return crop
}

/** Inverts an affine matrix, in OpenCV's order of operations. */
private fun inverseAffine(m: DoubleArray): DoubleArray {
    val scale = 1 / (m[0] * m[4] - m[1] * m[3])
    val (a, b, c, d) = listOf(m[4] * scale, m[1] * -scale, m[3] * -scale, m[0] * scale)
    return doubleArrayOf(a, b, -a * m[2] - b * m[5], c, d, -c * m[2] - d * m[5])
}
