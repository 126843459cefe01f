/*
 * What a model file takes and gives, read from the file itself: edge_runtime/spec.py.
 */
package atpn.runtime

/** The version of the spec that is read here. */
const val FORMAT_VERSION = 1

private const val HOW_TO_MAKE = "make one with `make export-tflite`"
private val SCHEMES = mapOf("wflw98" to 98, "ibug68" to 68, "cofw29" to 29)
private val REQUIRED = listOf("name", "scheme", "mean_shape", "outputs")
private val KNOWN = REQUIRED + listOf(
    "input_name", "input_size", "crop_margin", "upright", "track_threshold", "lost_threshold", "uncertainty_threshold",
    "precision", "template", "prompts", "weights_sha256", "provenance", "versions", "format_version",
)

/** Names in specs of earlier versions, which are still read. */
private val RENAMED = mapOf("most_uncertain" to "uncertainty_threshold")
private val RENAMED_OUTPUTS = mapOf("regions" to "rois")

/** A model file is empty, damaged, without a spec, or not what its spec says. */
class ModelFileException(message: String, cause: Throwable? = null) : IllegalArgumentException(message, cause)

/** The contract of one exported model; an IllegalArgumentException names the field that breaks it. */
data class ModelSpec(
    /** What people call the model, for instance `atpn`. */
    val name: String,
    /** Landmark scheme of the outputs; other names than the known ones are user-drawn templates. A detector: empty. */
    val scheme: String,
    /** x0, y0, x1 ...: mean face in [0, 1] of the crop, upright, against which a crop's roll is measured. */
    val meanShape: FloatArray,
    /** Name to shape without the batch axis, in the file's order. */
    val outputs: Map<String, List<Int>>,
    /** Side of the square RGB crop or picture, pixels. */
    val inputSize: Int = 112,
    /** Margin of the crop rule that the model was trained with. */
    val cropMargin: Double = ROI_MARGIN,
    /** The model was trained on crops turned upright by [uprightRoll]. */
    val upright: Boolean = true,
    /** Confidence from which a crop counts as a face; a detector's score from which it is told. */
    val trackThreshold: Double = 0.7,
    /** Confidence below which a tracked face is lost at once; between the two it is doubted for a while. */
    val lostThreshold: Double = 0.4,
    /** Mean standard deviation of the landmarks, crop widths, above which a new region holds no face. */
    val uncertaintyThreshold: Double = 0.06,
    /** How weights and activations are stored: `fp32`, `fp16`, `int8` ... */
    val precision: String = "fp32",
    /** What the model finds besides the landmarks, fixed when it was exported. */
    val template: Template? = null,
    /** So many points of the mean-face plane are a second input; 0: there is no such input. */
    val prompts: Int = 0,
) {
    init {
        val landmarks = meanShape.size / 2
        require(prompts >= 0 && (prompts == 0 || template == null)) { "a model finds one template, or so many prompts" }
        val points = template?.count ?: prompts
        val expected = when {
            !isDetector -> listOf(true, false).map { standardOutputs(landmarks, it, points) }
            else -> outputs.getValue("scores").firstOrNull().let { listOf(detectorOutputs(it ?: 0)) }
        }
        if (isDetector) {
            require(landmarks == 0 && scheme.isEmpty() && points == 0) {
                "a detector has no scheme, no mean shape and no template, got '$scheme', $landmarks and $points points"
            }
        } else {
            require(landmarks > 0) { "mean_shape must hold finite (N, 2) points, got none" }
        }
        require(expected.any { it.toList() == outputs.toList() }) {
            "outputs must be ${expected.joinToString(" or ")} in this order, got $outputs"
        }
        SCHEMES[scheme]?.let { require(it == landmarks) { "scheme $scheme has $it points, mean_shape has $landmarks" } }
        require(inputSize >= 8) { "input_size must be at least 8 pixels, got $inputSize" }
        require(cropMargin.isFinite() && cropMargin >= 0) { "crop_margin must be 0 or more, got $cropMargin" }
        require(0 < lostThreshold && lostThreshold <= trackThreshold && trackThreshold < 1) {
            "thresholds must satisfy 0 < lost_threshold <= track_threshold < 1, got $lostThreshold and $trackThreshold"
        }
        require(uncertaintyThreshold > 0) { "uncertainty_threshold must be positive, got $uncertaintyThreshold" }
    }

    /** Whether the model finds faces in whole pictures. */
    val isDetector get() = "scores" in outputs

    companion object {
        /** The spec in a .tflite file of these bytes; ModelFileException, which calls the file [name], when it has none. */
        fun read(file: ByteArray, name: String): ModelSpec {
            if (file.isEmpty()) throw ModelFileException("$name is empty; $HOW_TO_MAKE")
            // Bytes 4 to 8 of every TFLite file.
            if (file.size < 8 || String(file, 4, 4, Charsets.ISO_8859_1) != "TFL3") {
                throw ModelFileException("$name is not a TFLite file or is damaged; $HOW_TO_MAKE")
            }
            val text = associatedFile(file, SPEC_FILE) ?: throw ModelFileException(
                "$name carries no model spec: it was not exported by this project or was cut short; $HOW_TO_MAKE",
            )
            try {
                return fromJson(text)
            } catch (error: IllegalArgumentException) {
                throw ModelFileException("$name: ${error.message}; $HOW_TO_MAKE", error)
            }
        }

        /** A spec from its JSON; IllegalArgumentException says what is missing, unknown or out of bounds. */
        fun fromJson(text: String): ModelSpec {
            val json = try {
                parseJson(text)
            } catch (error: JsonException) {
                throw IllegalArgumentException("the model spec is not JSON: ${error.message}", error)
            }
            require(json is Map<*, *>) { "the model spec must be a JSON object" }
            val values = json.mapKeys { (name, _) -> RENAMED[name] ?: name }
            // First, because another version may well have other fields.
            require(values["format_version"] == FORMAT_VERSION.toDouble()) {
                "the model spec's format_version is ${values["format_version"]}, this runtime reads $FORMAT_VERSION: " +
                    "update the older of the two"
            }
            val missing = REQUIRED.filter { it !in values }
            require(missing.isEmpty()) { "the model spec lacks ${missing.joinToString()}" }
            val unknown = values.keys.filter { it !in KNOWN }
            require(unknown.isEmpty()) { "the model spec has unknown fields: ${unknown.joinToString()}" }
            return Fields(values).spec()
        }
    }
}

/** A model's outputs in order; [points] are those of a template or of prompts. */
fun standardOutputs(landmarks: Int, withHeads: Boolean = true, points: Int = 0): Map<String, List<Int>> = buildMap {
    put("landmarks", listOf(landmarks, 2))
    put("uncertainty", listOf(landmarks))
    if (withHeads) {
        put("pose", listOf(3))
        put("confidence", listOf(1))
    }
    if (points > 0) {
        put("points", listOf(points, 2))
        put("points_uncertainty", listOf(points))
    }
}

/** A face detector's outputs in order, for this many cells along a side. */
fun detectorOutputs(grid: Int): Map<String, List<Int>> =
    mapOf("scores" to listOf(grid, grid), "rois" to listOf(grid, grid, 3))

/** The values of a spec's JSON, taken by type. */
private class Fields(private val values: Map<*, *>) {
    fun spec() = ModelSpec(
        name = take("name", ""),
        scheme = take("scheme", ""),
        meanShape = pointsOf(values["mean_shape"], "mean_shape"),
        outputs = take("outputs", emptyMap<String, Any?>()).entries.associate { (name, shape) ->
            (RENAMED_OUTPUTS[name] ?: name) to shapeOf(name, shape)
        },
        inputSize = whole("input_size", 112),
        cropMargin = take("crop_margin", ROI_MARGIN),
        upright = take("upright", true),
        trackThreshold = take("track_threshold", 0.7),
        lostThreshold = take("lost_threshold", 0.4),
        uncertaintyThreshold = take("uncertainty_threshold", 0.06),
        precision = take("precision", "fp32"),
        template = values["template"]?.let(Template::of),
        prompts = whole("prompts", 0),
    )

    private inline fun <reified T> take(name: String, default: T): T {
        val value = values.getOrDefault(name, default)
        require(value is T) { "the model spec has a field of the wrong type: $name is $value" }
        return value
    }

    private fun whole(name: String, default: Int) = wholeOf(name, take(name, default.toDouble()))

    private fun shapeOf(name: String, shape: Any?) =
        (shape as? List<*>)?.map { wholeOf(name, it) } ?: throw IllegalArgumentException("output $name has no shape")

    private fun wholeOf(name: String, value: Any?): Int {
        require(value is Double && value == Math.rint(value)) { "$name must be a whole number, got $value" }
        return value.toInt()
    }
}
