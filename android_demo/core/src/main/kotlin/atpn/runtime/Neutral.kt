/*
 * Resting faces, whose expression coefficients are subtracted: edge_runtime/neutral.py.
 */
package atpn.runtime

/** Maximum time for which a resting face is watched. */
const val MAX_CALIBRATION_SECONDS = 60.0

/** Maximum that is subtracted of a coefficient, so that the rest of its range can still be reached. */
const val MAX_NEUTRAL = 0.8

/** Coefficients of resting faces, each the median over the time of a calibration: a blink does not count. */
class RestingFaces {
    private val neutral = HashMap<Int, DoubleArray>()
    private val samples = HashMap<Int, MutableList<DoubleArray>>()

    /** Length of the calibration; null if there is none. */
    private var seconds: Double? = null

    /** Time of its first frame with a face. */
    private var start: Double? = null

    /** Whether a calibration is under way, or waits for a face. */
    val calibrating get() = seconds != null

    /** Begins a calibration with the next frame that has a face. What was subtracted before stays until it ends. */
    fun begin(seconds: Double) {
        require(seconds > 0 && seconds <= MAX_CALIBRATION_SECONDS) {
            "seconds must lie in (0, $MAX_CALIBRATION_SECONDS], got $seconds"
        }
        this.seconds = seconds
        start = null
        samples.clear()
    }

    /** Takes the coefficients of one frame's [faces], by their keys; [timestamp] in seconds. */
    fun watch(faces: Map<Int, DoubleArray>, timestamp: Double) {
        val length = seconds ?: return
        // Timestamps may decrease.
        if (faces.isNotEmpty() && timestamp < (start ?: Double.POSITIVE_INFINITY)) start = timestamp
        for ((key, coefficients) in faces) samples.getOrPut(key) { ArrayList() }.add(coefficients)
        val began = start ?: return
        if (timestamp - began < length) return
        for ((key, seen) in samples) {
            neutral[key] = DoubleArray(seen[0].size) { i -> median(seen.map { it[i] }).coerceIn(0.0, MAX_NEUTRAL) }
        }
        seconds = null
        samples.clear()
    }

    /** Returns coefficients that are 0 for this face at rest; unchanged if it was not calibrated. */
    fun subtract(key: Int, coefficients: DoubleArray): DoubleArray {
        val rest = neutral[key] ?: return coefficients
        return DoubleArray(rest.size) { ((coefficients[it] - rest[it]) / (1 - rest[it])).coerceIn(0.0, 1.0) }
    }
}

private fun median(values: List<Double>) = values.sorted().let { (it[(it.size - 1) / 2] + it[it.size / 2]) / 2 }
