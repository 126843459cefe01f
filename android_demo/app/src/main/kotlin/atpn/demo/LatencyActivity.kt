package atpn.demo

import android.app.Activity
import android.content.Intent
import android.content.IntentFilter
import android.os.BatteryManager
import android.os.Build
import android.os.Bundle
import android.widget.Button
import android.widget.LinearLayout
import android.widget.ScrollView
import android.widget.TextView
import atpn.runtime.Accelerator
import atpn.runtime.Device
import atpn.runtime.LATENCY_FRAMES
import atpn.runtime.LatencyRun
import atpn.runtime.latencyJson
import java.io.IOException
import java.util.Random
import kotlin.concurrent.thread
import org.tensorflow.lite.TensorFlowLite

private const val REQUEST_FILE = 1
private val THREADS = listOf(1, 4)

/** Measures the latency of every model on every accelerator, and saves JSON for `python -m benchmarks`. */
class LatencyActivity : Activity() {
    private lateinit var measure: Button
    private lateinit var save: Button
    private lateinit var log: TextView
    private var report: String? = null

    @Volatile
    private var stopped = false

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        measure = Button(this).apply { text = "Measure"; setOnClickListener { begin() } }
        save = Button(this).apply { text = "Save the JSON"; isEnabled = false; setOnClickListener { requestFile() } }
        log = TextView(this)
        log.text = "Let the phone cool down, and do not use it during the measurement.\n"
        setContentView(
            LinearLayout(this).apply {
                orientation = LinearLayout.VERTICAL
                addView(measure)
                addView(save)
                addView(ScrollView(this@LatencyActivity).apply { addView(log) })
            },
        )
    }

    override fun onDestroy() {
        stopped = true
        super.onDestroy()
    }

    override fun onActivityResult(code: Int, result: Int, data: Intent?) {
        val document = data?.data
        val content = report
        if (code != REQUEST_FILE || result != RESULT_OK || document == null || content == null) return
        try {
            val stream = contentResolver.openOutputStream(document) ?: throw IOException("cannot open the file")
            stream.use { it.write(content.toByteArray()) }
            print("saved")
        } catch (error: IOException) {
            print("cannot save the file: ${error.message}")
        }
    }

    private fun begin() {
        measure.isEnabled = false
        val store = ModelStore(this)
        // One thread: a GPU delegate must stay on the thread that created it.
        thread(name = "latency") {
            val before = batteryCelsius()
            val runs = ArrayList<LatencyRun>()
            for (name in store.trackers()) {
                val model = store.read(name)
                for ((accelerator, threads) in runners()) {
                    if (stopped) return@thread
                    runs += measureLatency(model, accelerator, threads).also { print(describe(it)) }
                }
            }
            val battery = Pair(before, batteryCelsius())
            val json = latencyJson(device(), appVersion(), TensorFlowLite.runtimeVersion(), battery, runs)
            runOnUiThread {
                report = json
                save.isEnabled = runs.isNotEmpty()
                measure.isEnabled = true
                if (runs.isEmpty()) print("no model files")
            }
        }
    }

    private fun runners() =
        listOf(Accelerator.CPU, Accelerator.XNNPACK).flatMap { on -> THREADS.map { on to it } } +
            listOf(Accelerator.GPU, Accelerator.NNAPI).map { it to THREADS.last() }

    private fun print(line: String) = runOnUiThread { log.append("$line\n") }

    private fun requestFile() {
        val name = "atpn-latency-${Build.MODEL.replace(Regex("[^A-Za-z0-9]+"), "-")}.json"
        val intent = Intent(Intent.ACTION_CREATE_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE)
        startActivityForResult(intent.setType("application/json").putExtra(Intent.EXTRA_TITLE, name), REQUEST_FILE)
    }

    private fun batteryCelsius(): Double? {
        val state = registerReceiver(null, IntentFilter(Intent.ACTION_BATTERY_CHANGED))
        val tenths = state?.getIntExtra(BatteryManager.EXTRA_TEMPERATURE, Int.MIN_VALUE) ?: Int.MIN_VALUE
        return if (tenths == Int.MIN_VALUE) null else tenths / 10.0
    }

    private fun appVersion() = packageManager.getPackageInfo(packageName, 0).versionName.orEmpty()
}

/** Measures a network on noise; returns the error if the accelerator fails. */
private fun measureLatency(model: ModelFile, accelerator: Accelerator, threads: Int): LatencyRun {
    fun run(initMs: Double?, framesMs: List<Double>, error: String?) =
        LatencyRun(model.name, model.sha256, accelerator, threads, initMs, framesMs, error)
    return try {
        val began = System.nanoTime()
        LiteRtBackend(model, accelerator, threads).use { network ->
            val ready = System.nanoTime()
            val crop = ByteArray(network.spec.inputSize * network.spec.inputSize * 3).also(Random(0)::nextBytes)
            val frames = List(LATENCY_FRAMES) {
                val start = System.nanoTime()
                network.run(crop)
                (System.nanoTime() - start) / 1e6
            }
            run((ready - began) / 1e6, frames, null)
        }
    } catch (error: RuntimeException) { // each delegate has its own exceptions
        run(null, emptyList(), error.message ?: error.javaClass.simpleName)
    } catch (error: LinkageError) { // the delegate's library cannot be loaded
        run(null, emptyList(), error.message ?: error.javaClass.simpleName)
    }
}

private fun describe(run: LatencyRun): String {
    val median = run.framesMs.sorted().getOrNull(run.framesMs.size / 2)
    val result = if (median == null) run.error.orEmpty().lineSequence().first() else "%.2f ms".format(median)
    return "${run.model}, ${run.accelerator.name}, ${run.threads}: $result"
}

private fun device() = Device(
    manufacturer = Build.MANUFACTURER,
    model = Build.MODEL,
    soc = soc(),
    hardware = Build.HARDWARE,
    cores = Runtime.getRuntime().availableProcessors(),
    fingerprint = Build.FINGERPRINT,
    release = Build.VERSION.RELEASE,
    api = Build.VERSION.SDK_INT,
)

/** Returns the SoC by reflection: the fields exist from API level 31. */
private fun soc(): String? =
    try {
        listOf("SOC_MANUFACTURER", "SOC_MODEL").joinToString(" ") { Build::class.java.getField(it).get(null) as String }
    } catch (_: NoSuchFieldException) {
        null
    }
