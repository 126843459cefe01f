/*
 * Finding a face's first region of interest: edge_runtime/detector.py without OpenCV's cascades.
 *
 * The tracking network judges every candidate, so a detector here may be rough and generous.
 */
package atpn.runtime

import kotlin.math.ceil
import kotlin.math.max
import kotlin.math.min

/** Candidates that overlap more than this are one face. */
const val NMS_IOU_THRESHOLD = 0.3

/** Times the detector network's input: frames this long are searched in parts, too. */
const val LARGE_FRAME_RATIO = 3

/** Side of a part, of the frame's longer side. */
const val TILE_FRACTION = 0.5

/** Share that neighbouring parts have in common, at least. */
const val TILE_OVERLAP = 0.25

/** Parts that one search looks at. */
const val TILES_PER_SEARCH = 2

/** Grey level beside a frame that is not square: the middle of the range, to a network nothing at all. */
const val PAD_VALUE = 127

/** A region of the frame, and how sure the detector is of it. */
data class Candidate(val score: Double, val roi: Roi)

/** Finds faces in a picture. */
fun interface Detector {
    /** Regions by the crop rule, best first. */
    fun detect(frame: RgbImage): List<Roi>
}

/**
 * A detector network of this project.
 *
 * In a large frame small faces are smaller than the network sees. Each search therefore looks at the whole frame and at
 * two of its overlapping parts, the next ones in turn: a few searches see all of it, and each costs the same.
 */
class NetworkDetector(private val backend: Backend) : Detector {
    private var turn = 0

    init {
        val spec = backend.spec
        if (!spec.isDetector) {
            throw ModelFileException(
                "the model ${spec.name} gives ${spec.outputs.keys.joinToString()}, a detector gives scores and regions; " +
                    "`make export-tflite` makes one",
            )
        }
    }

    override fun detect(frame: RgbImage): List<Roi> {
        val found = scored(frame).toMutableList()
        val parts = tiles(frame.width, frame.height, backend.spec.inputSize)
        repeat(min(TILES_PER_SEARCH, parts.size)) {
            val (x, y, side) = parts[turn++ % parts.size]
            found += scored(frame.part(x, y, side)).map { (score, roi) ->
                Candidate(score, roi.copy(cx = roi.cx + x, cy = roi.cy + y))
            }
        }
        return nms(found.sortedByDescending { it.score }).map { it.roi }
    }

    private fun scored(frame: RgbImage): List<Candidate> {
        val spec = backend.spec
        val letterboxed = letterbox(frame, spec.inputSize)
        val outputs = backend.run(letterboxed.pixels)
        val threshold = spec.trackThreshold
        return decodeDetections(outputs.getValue("scores"), outputs.getValue("rois"), letterboxed.place, threshold)
    }
}

/** A square part of a frame, in pixels. */
data class Tile(val x: Int, val y: Int, val side: Int)

/** Overlapping squares that cover a frame too large to be seen at once; none for others. */
fun tiles(width: Int, height: Int, inputSize: Int): List<Tile> {
    val longest = max(width, height)
    if (longest < LARGE_FRAME_RATIO * inputSize) return emptyList()
    val side = Math.rint(TILE_FRACTION * longest).toInt()

    fun starts(extent: Int): List<Int> {
        val steps = ceil(max(extent - side, 0) / (side * (1 - TILE_OVERLAP))).toInt()
        return if (steps == 0) listOf(0) else (0..steps).map { Math.rint(it * (extent - side) / steps.toDouble()).toInt() }
    }
    return starts(height).flatMap { y -> starts(width).map { x -> Tile(x, y, side) } }
}

/** size x size RGB [pixels] of a whole frame, and the square of the frame, bars included, that they show. */
class LetterboxedFrame(val pixels: ByteArray, val place: Roi)

/** A frame in the middle of a square picture of [size] pixels, bars beside it. */
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
    // Pixel centres at integers: the frame's own edges lie half a pixel outside its outermost centres.
    val side = size / scale
    return LetterboxedFrame(pixels, Roi(-left / scale - 0.5 + side / 2, -top / scale - 0.5 + side / 2, side))
}

/**
 * What a detector network says about its G x G cells, best first.
 *
 * [rois] has each cell's centre x, y and size, in sides of the square [place], from its top left on. A face is the
 * best cell among its neighbours, from [threshold] on; of two that overlap by NMS_IOU_THRESHOLD the better one stays.
 */
fun decodeDetections(scores: FloatArray, rois: FloatArray, place: Roi, threshold: Double): List<Candidate> {
    val grid = Math.rint(Math.sqrt(scores.size.toDouble())).toInt()
    val peaks = scores.indices.filter { cell ->
        val row = cell / grid
        val column = cell % grid
        scores[cell] >= threshold.toFloat() && (max(row - 1, 0)..min(row + 1, grid - 1)).all { y ->
            (max(column - 1, 0)..min(column + 1, grid - 1)).all { x -> scores[cell] >= scores[y * grid + x] }
        }
    }
    val found = peaks.sortedByDescending { scores[it] }.map { cell ->
        val (x, y, size) = List(3) { (rois[3 * cell + it] * place.size.toFloat()).toDouble() }
        Candidate(scores[cell].toDouble(), Roi(x + place.cx - place.size / 2, y + place.cy - place.size / 2, size))
    }
    return nms(found)
}

/** The candidates, best first, whose regions no earlier one overlaps much. */
private fun nms(found: List<Candidate>): List<Candidate> {
    val kept = ArrayList<Candidate>()
    for (candidate in found) {
        if (kept.all { candidate.roi.iou(it.roi) < NMS_IOU_THRESHOLD }) kept += candidate
    }
    return kept
}
