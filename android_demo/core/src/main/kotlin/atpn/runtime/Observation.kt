/*
 * One look of the network at one region: `_observe` of edge_runtime/tracker.py.
 */
package atpn.runtime

import kotlin.math.max
import kotlin.math.min

/** Pixels; fewer hold no face. */
const val MIN_ROI_SIZE = 8.0

/** Share of the landmarks' rectangle that must lie inside the frame. */
const val MIN_INSIDE_FRACTION = 0.5

/** The landmarks' longer extent as a share of the crop; outside these limits they collapsed or exploded. */
val EXTENT_LIMITS = 0.25..1.25

/** Longer over shorter extent of the landmarks; a profile with the mouth wide open stays below 2.5. */
const val MAX_ASPECT = 3.0

/** What the network said about one crop, in pixels of the frame and in the camera's frame. */
internal class Observation(
    val roi: Roi,
    val landmarks: DoubleArray,
    val uncertainty: DoubleArray,
    /** From head to camera, the crop's viewing ray taken into account. */
    val rotation: DoubleArray,
    val confidence: Double,
    /** Mean standard deviation of the landmarks, crop widths. */
    val meanSigma: Double,
    /** The crop that these landmarks ask for. */
    val nextRoi: Roi,
    val direction: DoubleArray,
    val points: DoubleArray?,
    val pointsUncertainty: DoubleArray?,
)

/** Runs the network on a region; null when its results are not numbers or its landmarks cannot be a face's. */
internal fun observe(
    frame: RgbImage,
    roi: Roi,
    camera: Intrinsics,
    spec: ModelSpec,
    run: (ByteArray) -> Map<String, FloatArray>,
): Observation? {
    if (roi.size < MIN_ROI_SIZE) return null
    val outputs = run(extractCrop(frame, roi, spec.inputSize))
    val landmarks = roi.toFrame(outputs.getValue("landmarks"))
    val uncertainty = outputs.getValue("uncertainty")
    val (pitch, yaw, turn) = outputs.getValue("pose").map { it.toDouble() }
    val confidence = outputs.getValue("confidence")[0].toDouble()
    val meanSigma = uncertainty.sumOf { it.toDouble() } / uncertainty.size
    val numbers = doubleArrayOf(pitch, yaw, turn, confidence, meanSigma) + landmarks
    if (!numbers.all { it.isFinite() }) return null
    val roll = if (spec.upright) uprightRoll(landmarks, spec.meanShape) else 0.0
    val rectangle = Rectangle.around(landmarks, roll)
    if (!isPlausible(rectangle, roi, frame.width, frame.height)) return null
    val nextRoi = rectangle.squared(spec.cropMargin)
    fun inPixels(fraction: FloatArray) = DoubleArray(fraction.size) { fraction[it] * roi.size }
    return Observation(
        roi = roi,
        landmarks = landmarks,
        uncertainty = inPixels(uncertainty),
        rotation = product(cropToCamera(roi, camera), anglesToMatrix(pitch, yaw, turn)),
        confidence = confidence,
        meanSigma = meanSigma,
        nextRoi = nextRoi,
        direction = camera.ray(nextRoi.cx, nextRoi.cy),
        points = outputs["points"]?.let(roi::toFrame),
        pointsUncertainty = outputs["points_uncertainty"]?.let(::inPixels),
    )
}

/** Whether landmarks seen in a region can be a face's, by size, aspect and place of the rectangle around them. */
fun isPlausible(rectangle: Rectangle, roi: Roi, frameWidth: Int, frameHeight: Int): Boolean {
    val longer = max(rectangle.width, rectangle.height)
    val shorter = min(rectangle.width, rectangle.height)
    return longer / roi.size in EXTENT_LIMITS &&
        longer <= MAX_ASPECT * shorter &&
        rectangle.fractionInside(frameWidth, frameHeight) >= MIN_INSIDE_FRACTION
}
