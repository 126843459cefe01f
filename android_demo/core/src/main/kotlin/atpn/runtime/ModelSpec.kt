/*
 * Inputs, outputs, and thresholds of a model, read from its file: edge_runtime/spec.py.
 */
package atpn.runtime

/** Supported version of the spec. Fields and outputs that this reader does not know do not change it. */
const val FORMAT_VERSION = 1

private const val HOW_TO_MAKE = "make one with `make export-tflite`"
private val SCHEMES = mapOf("wflw98" to 98, "ibug68" to 68, "cofw29" to 29)
private val REQUIRED = listOf("name", "outputs")
private val REQUIRED_OF_LANDMARKS = listOf("scheme", "mean_shape")
private val KNOWN_OUTPUTS = standardOutputs(1, points = 1, withExpressions = true).keys + detectorOutputs(1).keys

/** Names in specs of earlier versions, which are still read. */
private val RENAMED = mapOf("most_uncertain" to "uncertainty_threshold")
private val RENAMED_OUTPUTS = mapOf("regions" to "rois")

/** A model file is empty or damaged, has no spec, or does not match it. */
class ModelFileException(message: String, cause: Throwable? = null) : IllegalArgumentException(message, cause)

/** Specification of one exported model; an IllegalArgumentException names an invalid field. */
data class ModelSpec(
    /** Name of the model, for instance `atpn`. */
    val name: String,
    /** Landmark scheme of the outputs; unknown names are templates. Empty for a detector. */
    val scheme: String,
    /** x0, y0, x1 ...: upright mean face in [0, 1] of the crop, the reference of a crop's roll. */
    val meanShape: FloatArray,
    /** Name to shape without the batch axis, in the file's order: those of [knownOutputs], then any of later versions. */
    val outputs: Map<String, List<Int>>,
    /** Side of the square RGB input, pixels. */
    val inputSize: Int = 112,
    /** Margin of the crop rule in training. */
    val cropMargin: Double = ROI_MARGIN,
    /** The model was trained on upright crops; see [uprightRoll]. */
    val upright: Boolean = true,
    /** Minimum confidence for a crop to count as a face. For a detector: minimum score of a detection. */
    val trackThreshold: Double = 0.7,
    /** Confidence below which a tracked face is lost at once; between the two thresholds, after some frames. */
    val lostThreshold: Double = 0.4,
    /** Maximum mean standard deviation of a new face's landmarks, crop widths. */
    val uncertaintyThreshold: Double = 0.07,
    /** Storage of weights and activations: `fp32`, `fp16`, or `int8`. */
    val precision: String = "fp32",
    /** Template that the model was exported with. */
    val template: Template? = null,
    /** Number of query points of the second input; 0: none. */
    val prompts: Int = 0,
) {
    init {
        val landmarks = meanShape.size / 2
        require(prompts >= 0 && (prompts == 0 || template == null)) { "a model has a template or query points" }
        val points = template?.count ?: prompts
        val expected = when {
            isDetector -> listOf(true, false).map { detectorOutputs(outputs.getValue("scores").firstOrNull() ?: 0, it) }
            else -> listOf(true to false, false to false, true to true).map { (heads, expressions) ->
                standardOutputs(landmarks, heads, points, expressions)
            }
        }
        if (isDetector) {
            require(landmarks == 0 && scheme.isEmpty() && points == 0) {
                "a detector has no scheme, no mean shape and no template, got '$scheme', $landmarks and $points points"
            }
        } else {
            require(landmarks > 0) { "mean_shape must hold finite (N, 2) points, got none" }
        }
        require(expected.any { it.toList() == outputs.toList().take(knownOutputs.size) }) {
            "outputs must be ${expected.joinToString(" or ")} in this order, others only after them, got $outputs"
        }
        SCHEMES[scheme]?.let { require(it == landmarks) { "scheme $scheme has $it points, mean_shape has $landmarks" } }
        require(inputSize >= 8) { "input_size must be at least 8 pixels, got $inputSize" }
        require(cropMargin.isFinite() && cropMargin >= 0) { "crop_margin must be 0 or more, got $cropMargin" }
        require(0 < lostThreshold && lostThreshold <= trackThreshold && trackThreshold < 1) {
            "thresholds must satisfy 0 < lost_threshold <= track_threshold < 1, got $lostThreshold and $trackThreshold"
        }
        require(uncertaintyThreshold > 0) { "uncertainty_threshold must be positive, got $uncertaintyThreshold" }
    }

    /** Whether the model is a face detector. */
    val isDetector get() = "scores" in outputs

    /** Whether the model gives expressions and gaze. */
    val hasExpressions get() = "expressions" in outputs

    /** Outputs that this version knows: those that a [Backend] returns. */
    val knownOutputs get() = outputs.filterKeys { it in KNOWN_OUTPUTS }

    companion object {
        /** Reads the spec of a .tflite file of these bytes. ModelFileException, with the file's [name], if it has none. */
        fun read(file: ByteArray, name: String): ModelSpec {
            if (file.isEmpty()) throw ModelFileException("$name is empty; $HOW_TO_MAKE")
            // Bytes 4 to 8 of every TFLite file.
            if (file.size < 8 || String(file, 4, 4, Charsets.ISO_8859_1) != "TFL3") {
                throw ModelFileException("$name is not a TFLite file or is damaged; $HOW_TO_MAKE")
            }
            val text = associatedFile(file, SPEC_FILE) ?: throw ModelFileException(
                "$name has no model spec: it was not exported by this project or is truncated; $HOW_TO_MAKE",
            )
            try {
                return fromJson(text)
            } catch (error: IllegalArgumentException) {
                throw ModelFileException("$name: ${error.message}; $HOW_TO_MAKE", error)
            }
        }

        /**
         * Parses a spec's JSON, of this or another version; unknown fields are ignored.
         *
         * IllegalArgumentException names an invalid field.
         */
        fun fromJson(text: String): ModelSpec {
            val json = try {
                parseJson(text)
            } catch (error: JsonException) {
                throw IllegalArgumentException("the model spec is not JSON: ${error.message}", error)
            }
            require(json is Map<*, *>) { "the model spec must be a JSON object" }
            val values = json.mapKeys { (name, _) -> RENAMED[name] ?: name }
            // First: another version may have other fields.
            require(values["format_version"] == FORMAT_VERSION.toDouble()) {
                "the model spec's format_version is ${values["format_version"]}, this runtime reads $FORMAT_VERSION: " +
                    "update the app, or export the model again"
            }
            val isDetector = "scores" in (values["outputs"] as? Map<*, *>).orEmpty()
            val missing = (if (isDetector) REQUIRED else REQUIRED + REQUIRED_OF_LANDMARKS).filter { it !in values }
            require(missing.isEmpty()) { "the model spec lacks ${missing.joinToString()}" }
            return Fields(values).spec()
        }
    }
}

/**
 * Returns the outputs of a landmark model in order; [points] are those of a template or query points.
 *
 * Expressions are in the order of [EXPRESSIONS]; each eye's gaze is in the pose's frame.
 */
fun standardOutputs(
    landmarks: Int,
    withHeads: Boolean = true,
    points: Int = 0,
    withExpressions: Boolean = false,
): Map<String, List<Int>> = buildMap {
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
    if (withExpressions) {
        put("expressions", listOf(EXPRESSIONS.size))
        put("gaze", listOf(2, 2))
    }
}

/** Returns the outputs of a face detector with [grid] cells per side. Detectors of earlier versions have no roll. */
fun detectorOutputs(grid: Int, withRoll: Boolean = true): Map<String, List<Int>> = buildMap {
    put("scores", listOf(grid, grid))
    put("rois", listOf(grid, grid, 3))
    if (withRoll) put("roll", listOf(grid, grid, 2))
}

/** Typed access to the values of a spec's JSON. */
private class Fields(private val values: Map<*, *>) {
    fun spec() = ModelSpec(
        name = take("name", ""),
        scheme = take("scheme", ""),
        meanShape = pointsOf(values["mean_shape"] ?: emptyList<Any?>(), "mean_shape"),
        outputs = take("outputs", emptyMap<String, Any?>()).entries.associate { (name, shape) ->
            (RENAMED_OUTPUTS[name] ?: name) to shapeOf(name, shape)
        },
        inputSize = whole("input_size", 112),
        cropMargin = take("crop_margin", ROI_MARGIN),
        upright = take("upright", true),
        trackThreshold = take("track_threshold", 0.7),
        lostThreshold = take("lost_threshold", 0.4),
        uncertaintyThreshold = take("uncertainty_threshold", 0.07),
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
