package atpn.runtime

import org.junit.Assert.assertEquals
import org.junit.Test

/** The tests of `benchmarks` read the same example. */
class LatencyReportTest {
    @Test fun theReportEqualsTheExample() {
        val frames = List(LATENCY_FRAMES) { if (it == 0) 9.5 else 2.25 }
        val hash = "ab".repeat(32)
        val message = "a \"delegate\" that\nrefuses"
        val runs = listOf(
            LatencyRun("atpn_int8.tflite", hash, Accelerator.XNNPACK, 4, 31.5, frames, null),
            LatencyRun("atpn_int8.tflite", hash, Accelerator.GPU, 1, null, emptyList(), message),
        )
        val device = Device("Maker", "Phone 1", null, "board", 8, "maker/phone/1", "15", 35)
        val result = parseJson(latencyJson(device, "0.1.0", "1.4.0", Pair(28.4, null), runs))
        val example = javaClass.getResourceAsStream("/latency.json")!!.use { it.readBytes().decodeToString() }
        assertEquals(parseJson(example), result)
    }
}
