/*
 * The crop: `geometry.extract_crop`, to the byte.
 *
 * What OpenCV's `warpAffine` does with bytes is not quite bilinear: places are rounded to 1/32 px and weights have 15
 * bits. A network hardly minds, but equal bytes are easier to test than nearly equal ones.
 */
package atpn.runtime

import kotlin.math.ceil

/** Bits of a place's fraction while it is worked out, and of what is kept of it. */
private const val FINE_BITS = 10
private const val KEPT_BITS = 5
private const val KEPT = 1 shl KEPT_BITS

/** Times that a crop is sampled more finely, at most. */
const val MAX_OVERSAMPLING = 8

/**
 * Cuts the region out of a picture: cropSize x cropSize RGB pixels, row by row, edges repeated outside the picture.
 *
 * A crop that shrinks the picture more than twofold is sampled on a k times finer grid and averaged in k x k blocks, so
 * that detail does not alias.
 */
fun extractCrop(image: RgbImage, roi: Roi, cropSize: Int): ByteArray {
    val k = ceil(roi.size / (2 * cropSize)).toInt().coerceIn(1, MAX_OVERSAMPLING)
    val fine = warpAffine(image, roi.cropMatrix(cropSize * k), cropSize * k)
    return if (k == 1) fine else resize(RgbImage.rgb(fine, cropSize * k, cropSize * k), cropSize, cropSize)
}

/** size x size RGB pixels, row by row, of the picture under an affine map from its pixels to theirs: (2, 3). */
private fun warpAffine(image: RgbImage, matrix: DoubleArray, size: Int): ByteArray {
    val inverse = inverseAffine(matrix)
    val unit = (1 shl FINE_BITS).toDouble()
    val stepsX = IntArray(size) { Math.rint(inverse[0] * it * unit).toInt() }
    val stepsY = IntArray(size) { Math.rint(inverse[3] * it * unit).toInt() }
    val half = 1 shl (FINE_BITS - KEPT_BITS - 1)
    val pixels = image.pixels
    val crop = ByteArray(size * size * 3)
    var at = 0
    for (row in 0 until size) {
        val startX = Math.rint((inverse[1] * row + inverse[2]) * unit).toInt() + half
        val startY = Math.rint((inverse[4] * row + inverse[5]) * unit).toInt() + half
        for (column in 0 until size) {
            val x = (startX + stepsX[column]) shr (FINE_BITS - KEPT_BITS)
            val y = (startY + stepsY[column]) shr (FINE_BITS - KEPT_BITS)
            val right = x and (KEPT - 1)
            val down = y and (KEPT - 1)
            val left = (x shr KEPT_BITS).coerceIn(0, image.width - 1) * image.pixelStride
            val nextX = ((x shr KEPT_BITS) + 1).coerceIn(0, image.width - 1) * image.pixelStride
            val top = (y shr KEPT_BITS).coerceIn(0, image.height - 1) * image.rowStride
            val nextY = ((y shr KEPT_BITS) + 1).coerceIn(0, image.height - 1) * image.rowStride
            for (channel in 0..2) {
                val offset = image.offset(channel)
                val upper = (pixels[offset + top + left].toInt() and 0xFF) * (KEPT - right) +
                    (pixels[offset + top + nextX].toInt() and 0xFF) * right
                val lower = (pixels[offset + nextY + left].toInt() and 0xFF) * (KEPT - right) +
                    (pixels[offset + nextY + nextX].toInt() and 0xFF) * right
                val sum = upper * (KEPT - down) + lower * down
                crop[at++] = ((sum + KEPT * KEPT / 2) shr (2 * KEPT_BITS)).toByte()
            }
        }
    }
    return crop
}

/** In OpenCV's order of operations. */
private fun inverseAffine(m: DoubleArray): DoubleArray {
    val scale = 1 / (m[0] * m[4] - m[1] * m[3])
    val (a, b, c, d) = listOf(m[4] * scale, m[1] * -scale, m[3] * -scale, m[0] * scale)
    return doubleArrayOf(a, b, -a * m[2] - b * m[5], c, d, -c * m[2] - d * m[5])
}
