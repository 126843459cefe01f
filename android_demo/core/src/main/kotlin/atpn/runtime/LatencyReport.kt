/*
 * JSON of the latency page; benchmarks/phone/app.py reads it and documents its values.
 */
package atpn.runtime

/** Version of the format. */
const val LATENCY_FORMAT = 1

/** Number of timed frames per run. */
const val LATENCY_FRAMES = 200

/** Runtime of a network, by its name in the format. */
enum class Accelerator { CPU, XNNPACK, GPU, NNAPI }

/** Times of one model on one accelerator in milliseconds, or an [error]. */
class LatencyRun(
    val model: String,
    val sha256: String,
    val accelerator: Accelerator,
    val threads: Int,
    val initMs: Double?,
    val framesMs: List<Double>,
    val error: String?,
)

/** The phone. */
class Device(
    val manufacturer: String,
    val model: String,
    val soc: String?,
    val hardware: String,
    val cores: Int,
    val fingerprint: String,
    val release: String,
    val api: Int,
)

/** Returns all runs as JSON; [battery] is the temperature before and after in degrees Celsius, null if unknown. */
fun latencyJson(
    device: Device,
    appVersion: String,
    litertVersion: String,
    battery: Pair<Double?, Double?>,
    runs: List<LatencyRun>,
): String = writeJson(
    mapOf(
        "format" to LATENCY_FORMAT,
        "device" to mapOf(
            "manufacturer" to device.manufacturer,
            "model" to device.model,
            "soc" to device.soc,
            "hardware" to device.hardware,
            "cores" to device.cores,
            "fingerprint" to device.fingerprint,
        ),
        "android" to mapOf("release" to device.release, "api" to device.api),
        "app" to mapOf("version" to appVersion, "litert" to litertVersion),
        "battery_celsius" to mapOf("before" to battery.first, "after" to battery.second),
        "runs" to runs.map { run ->
            mapOf(
                "model" to run.model,
                "sha256" to run.sha256,
                "delegate" to run.accelerator.name.lowercase(),
                "threads" to run.threads,
                "init_ms" to run.initMs,
                "frames_ms" to run.framesMs,
                "nodes_delegated" to null,
                "error" to run.error,
            )
        },
    ),
)
