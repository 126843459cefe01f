/*
 * Face detection: edge_runtime/detector without OpenCV's cascades.
 */
package atpn.runtime

import kotlin.math.abs
import kotlin.math.atan2
import kotlin.math.ceil
import kotlin.math.max
import kotlin.math.min

/** Maximum number of detections of a network's run, and of a frame; the best ones are kept. Bounds the time of NMS. */
const val MAX_DETECTIONS = 300

/** Maximum score: 1, and what rounding adds. */
const val MAX_SCORE = 1.001

/** Maximum magnitude of an ROI's center and size, pixels: beyond any frame. */
const val MAX_COORDINATE = 1e6

/** IoU from which the lower-scored of two detections is suppressed. */
const val NMS_IOU_THRESHOLD = 0.3

/** Ratio of a frame's longer side to the network's input from which it is searched in tiles, too; likewise of a tile. */
const val LARGE_FRAME_RATIO = 2.5

/** Maximum number of divisions. */
const val MAX_TILE_LEVELS = 2

/** Side of a tile, as a fraction of the longer side of what it divides. */
const val TILE_FRACTION = 0.5

/** Minimum overlap of adjacent tiles, as a fraction of their side. */
const val TILE_OVERLAP = 0.25

/** Number of tiles per search. */
const val TILES_PER_SEARCH = 4

/** Gray level of the letterbox's padding: the middle of the range. */
const val PAD_VALUE = 127

/** A detected ROI and its score. */
data class Detection(val score: Double, val roi: Roi)

/** Face detector. */
fun interface Detector {
    /** Returns the ROIs of the faces, by the crop rule, best first. */
    fun detect(frame: RgbImage): List<Roi>

    /** Searches the part of a stream's frame whose turn it is, at a bounded cost; [turn] counts searches from 0. */
    fun search(frame: RgbImage, turn: Int): List<Roi> = detect(frame)
}

/**
 * Detector network of this project. Large frames are also searched in overlapping tiles, for small faces: all of them by
 * [detect], [TILES_PER_SEARCH] in turn by [search].
 */
class NetworkDetector(private val backend: Backend) : Detector {
    init {
        val spec = backend.spec
        if (!spec.isDetector) {
            throw ModelFileException(
                "model '${spec.name}' is not a detector: its outputs are ${spec.outputs.keys.joinToString()}, " +
                    "expected scores and rois; run `make export-tflite`",
            )
        }
    }

    override fun detect(frame: RgbImage) = detect(frame, tilesOf(frame))

    override fun search(frame: RgbImage, turn: Int): List<Roi> {
        val parts = tilesOf(frame)
        return detect(frame, List(min(TILES_PER_SEARCH, parts.size)) { parts[(turn * TILES_PER_SEARCH + it) % parts.size] })
    }

    private fun tilesOf(frame: RgbImage) = tiles(frame.width, frame.height, backend.spec.inputSize)

    private fun detect(frame: RgbImage, parts: List<Tile>): List<Roi> {
        val found = scored(frame).toMutableList()
        for ((x, y, side) in parts) {
            found += scored(frame.view(x, y, side)).map { (score, roi) ->
                Detection(score, roi.copy(cx = roi.cx + x, cy = roi.cy + y))
            }
        }
        return nms(found.sortedByDescending { it.score }).map { it.roi }
    }

    private fun scored(frame: RgbImage): List<Detection> {
        val spec = backend.spec
        val letterboxed = letterbox(frame, spec.inputSize)
        val outputs = backend.run(letterboxed.pixels)
        val threshold = spec.trackThreshold
        val (scores, rois) = listOf("scores", "rois").map(outputs::getValue)
        return decodeDetections(scores, rois, letterboxed.square, threshold, outputs["roll"])
    }
}

/** Square tile of a frame, in pixels. */
data class Tile(val x: Int, val y: Int, val side: Int)

/** Returns overlapping square tiles that cover a frame, larger ones first; none for a small frame. */
fun tiles(width: Int, height: Int, inputSize: Int): List<Tile> {
    val found = ArrayList<Tile>()
    var side = max(width, height)
    repeat(MAX_TILE_LEVELS) {
        if (side < LARGE_FRAME_RATIO * inputSize) return found
        side = Math.rint(TILE_FRACTION * side).toInt()
        for (y in starts(height, side)) for (x in starts(width, side)) found += Tile(x, y, side)
    }
    return found
}

private fun starts(extent: Int, side: Int): List<Int> {
    val steps = ceil(max(extent - side, 0) / (side * (1 - TILE_OVERLAP))).toInt()
    return if (steps == 0) listOf(0) else (0..steps).map { Math.rint(it * (extent - side) / steps.toDouble()).toInt() }
}

/** RGB [pixels] of a letterboxed frame, and their square in the frame. */
class LetterboxedFrame(val pixels: ByteArray, val square: Roi)

/** Scales a frame into a padded square of [size] pixels. */
fun letterbox(frame: RgbImage, size: Int): LetterboxedFrame {
    val scale = size.toDouble() / max(frame.width, frame.height)
    val width = max(1, Math.rint(frame.width * scale).toInt())
    val height = max(1, Math.rint(frame.height * scale).toInt())
    val left = (size - width) / 2
    val top = (size - height) / 2
    val inner = resize(frame, width, height)
    val pixels = ByteArray(size * size * 3) { PAD_VALUE.toByte() }
    for (row in 0 until height) {
        inner.copyInto(pixels, ((top + row) * size + left) * 3, row * width * 3, (row + 1) * width * 3)
    }
    // Pixel centers at integers: the frame's edges are half a pixel outside the outermost centers.
    val side = size / scale
    return LetterboxedFrame(pixels, Roi(-left / scale - 0.5 + side / 2, -top / scale - 0.5 + side / 2, side))
}

/**
 * Decodes the outputs of a detector network to detections, best first, after NMS.
 *
 * Cells with a number that no network that works gives are left out. Of many detections, [MAX_DETECTIONS] are decoded.
 *
 * [scores] are (G, G); a detection is a local maximum of 3 x 3 cells with at least [threshold]. [rois] are (G, G, 3):
 * center x, center y, and size, in sides of [square] from its top left. [roll] is (G, G, 2): sine and cosine of the roll,
 * times any positive factor; null: 0.
 */
fun decodeDetections(
    scores: FloatArray,
    rois: FloatArray,
    square: Roi,
    threshold: Double,
    roll: FloatArray? = null,
): List<Detection> {
    val grid = Math.rint(Math.sqrt(scores.size.toDouble())).toInt()
    val corner = doubleArrayOf(square.cx - square.size / 2, square.cy - square.size / 2, 0.0)
    fun place(cell: Int) = List(3) { (rois[3 * cell + it] * square.size.toFloat()).toDouble() + corner[it] }
    fun isPossible(cell: Int): Boolean {
        val place = place(cell)
        val turn = roll?.let { listOf(it[2 * cell], it[2 * cell + 1]) }.orEmpty()
        return scores[cell] <= MAX_SCORE && place.all { abs(it) <= MAX_COORDINATE } && place[2] > 0 && turn.all { it.isFinite() }
    }
    val possible = BooleanArray(scores.size) { scores[it] >= threshold.toFloat() && isPossible(it) }
    val peaks = scores.indices.filter { cell ->
        val row = cell / grid
        val column = cell % grid
        possible[cell] && (max(row - 1, 0)..min(row + 1, grid - 1)).all { y ->
            (max(column - 1, 0)..min(column + 1, grid - 1)).all { x ->
                !possible[y * grid + x] || scores[cell] >= scores[y * grid + x]
            }
        }
    }
    val found = peaks.sortedByDescending { scores[it] }.take(MAX_DETECTIONS).map { cell ->
        val (x, y, size) = place(cell)
        val angle = roll?.let { atan2(it[2 * cell].toDouble(), it[2 * cell + 1].toDouble()) } ?: 0.0
        Detection(scores[cell].toDouble(), Roi(x, y, size, angle))
    }
    return nms(found)
}

/** Suppresses detections whose ROI overlaps an earlier one's; [found] is sorted, best first. Keeps [MAX_DETECTIONS]. */
private fun nms(found: List<Detection>): List<Detection> {
    val kept = ArrayList<Detection>()
    for (detection in found) {
        if (kept.size == MAX_DETECTIONS) break
        if (kept.all { detection.roi.iou(it.roi) < NMS_IOU_THRESHOLD }) kept += detection
    }
    return kept
}
