/*
 * What the network sees in one crop: edge_runtime/observation.py.
 */
package atpn.runtime

import kotlin.math.PI
import kotlin.math.max
import kotlin.math.min

/** Minimum side of an ROI, pixels. */
const val MIN_ROI_SIZE = 8.0

/** Minimum fraction of the landmarks' rectangle inside the frame. */
const val MIN_INSIDE_FRACTION = 0.5

/** Maximum side of a detected ROI, longer sides of the frame. A face of which half is inside needs less. */
const val MAX_ROI_FRACTION = 4.0

/** Limits of the landmarks' longer extent, as a fraction of the crop. The crop rule makes it 0.67. */
val EXTENT_LIMITS = 0.25..1.25

/** Maximum aspect ratio of the landmarks; a profile with an open mouth stays below 2.5. */
const val MAX_ASPECT = 3.0

/** Ranges of the outputs: crop widths, radians, and what lies in [0, 1] with what rounding adds. */
private val RANGES = mapOf(
    "landmarks" to -10.0..10.0,
    "uncertainty" to 0.0..10.0,
    "pose" to -2 * PI..2 * PI,
    "confidence" to -1e-3..1 + 1e-3,
    "points" to -10.0..10.0,
    "points_uncertainty" to 0.0..10.0,
    "expressions" to -1e-3..1 + 1e-3,
    "gaze" to -2 * PI..2 * PI,
)

/** The network's results for one crop, in frame pixels and the camera frame. */
internal class Observation(
    val roi: Roi,
    val landmarks: DoubleArray,
    val uncertainty: DoubleArray,
    /** Head to camera, with the crop's viewing ray. */
    val rotation: DoubleArray,
    val confidence: Double,
    /** Mean standard deviation of the landmarks, crop widths. */
    val meanSigma: Double,
    /** Crop around these landmarks. */
    val nextRoi: Roi,
    val direction: DoubleArray,
    val points: DoubleArray?,
    val pointsUncertainty: DoubleArray?,
    /** Coefficients in [0, 1], in the order of [EXPRESSIONS]. */
    val expressions: DoubleArray?,
    /** Yaw and pitch of the subject's left eye, then of the right one, radians, camera frame. */
    val gaze: DoubleArray?,
)

/** Runs the network on an ROI. Returns null if a result is not possible or the landmarks are not plausible. */
internal fun observe(
    frame: RgbImage,
    roi: Roi,
    camera: Intrinsics,
    spec: ModelSpec,
    run: (ByteArray) -> Map<String, FloatArray>,
): Observation? {
    if (roi.size < MIN_ROI_SIZE) return null
    val outputs = run(extractCrop(frame, roi, spec.inputSize))
    if (!isPossible(outputs)) return null
    val landmarks = roi.toFrame(outputs.getValue("landmarks"))
    val uncertainty = outputs.getValue("uncertainty")
    val (pitch, yaw, turn) = outputs.getValue("pose").map { it.toDouble() }
    val confidence = outputs.getValue("confidence")[0].toDouble().coerceIn(0.0, 1.0)
    val meanSigma = uncertainty.sumOf { it.toDouble() } / uncertainty.size
    val roll = if (spec.upright) uprightRoll(landmarks, spec.meanShape) else 0.0
    val rectangle = Rectangle.around(landmarks, roll)
    if (!isPlausible(rectangle, roi, frame.width, frame.height)) return null
    val nextRoi = rectangle.squared(spec.cropMargin)
    val toCamera = cropToCamera(roi, camera)
    fun inPixels(fraction: FloatArray) = DoubleArray(fraction.size) { fraction[it] * roi.size }
    return Observation(
        roi = roi,
        landmarks = landmarks,
        uncertainty = inPixels(uncertainty),
        rotation = product(toCamera, anglesToMatrix(pitch, yaw, turn)),
        confidence = confidence,
        meanSigma = meanSigma,
        nextRoi = nextRoi,
        direction = camera.ray(nextRoi.cx, nextRoi.cy),
        points = outputs["points"]?.let(roi::toFrame),
        pointsUncertainty = outputs["points_uncertainty"]?.let(::inPixels),
        expressions = outputs["expressions"]?.let { values -> DoubleArray(values.size) { values[it].toDouble().coerceIn(0.0, 1.0) } },
        gaze = outputs["gaze"]?.let { values -> turnGaze(DoubleArray(values.size) { values[it].toDouble() }, toCamera) },
    )
}

/** Returns whether all outputs of a landmark model are finite and in their ranges; if one is not, all are worthless. */
internal fun isPossible(outputs: Map<String, FloatArray>) =
    RANGES.all { (name, range) -> outputs[name].let { it == null || it.all { value -> value.toDouble() in range } } }

/** Returns whether a detector's ROI has a possible size and touches the frame. */
internal fun mayHoldFace(roi: Roi, frameWidth: Int, frameHeight: Int) =
    roi.size in MIN_ROI_SIZE..MAX_ROI_FRACTION * max(frameWidth, frameHeight) &&
        roi.cx in -roi.size..frameWidth + roi.size &&
        roi.cy in -roi.size..frameHeight + roi.size

/** Returns whether size, aspect, and position of the landmarks' rectangle can be a face's. */
fun isPlausible(rectangle: Rectangle, roi: Roi, frameWidth: Int, frameHeight: Int): Boolean {
    val longer = max(rectangle.width, rectangle.height)
    val shorter = min(rectangle.width, rectangle.height)
    return longer / roi.size in EXTENT_LIMITS &&
        longer <= MAX_ASPECT * shorter &&
        rectangle.fractionInside(frameWidth, frameHeight) >= MIN_INSIDE_FRACTION
}
