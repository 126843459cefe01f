package atpn.runtime

import java.io.ByteArrayOutputStream
import java.util.zip.ZipEntry
import java.util.zip.ZipOutputStream
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class ModelSpecTest {
    private val json = """{
        "name": "lips", "scheme": "pair", "mean_shape": [[0.25, 0.5], [0.75, 0.5]], "format_version": 1,
        "outputs": {"landmarks": [2, 2], "uncertainty": [2], "pose": [3], "confidence": [1]}
    }"""

    @Test fun theExportedFilesSpecsAreRead() {
        val spec = Golden.networkSpec
        assertEquals("wflw98", spec.scheme)
        assertEquals(listOf(98, 2), spec.outputs["landmarks"])
        assertEquals(98 * 2, spec.meanShape.size)
        assertEquals(112, spec.inputSize)
        assertTrue(spec.upright)
        assertFalse(spec.isDetector)
        assertTrue(Golden.detectorSpec.isDetector)
        assertEquals(192, Golden.detectorSpec.inputSize)
        assertEquals(listOf("scores", "rois", "roll"), Golden.detectorSpec.knownOutputs.keys.toList())
    }

    @Test fun omittedFieldsHaveTheRuntimesDefaults() {
        val spec = ModelSpec.fromJson(json)
        assertEquals(listOf(0.7, 0.4), listOf(spec.trackThreshold, spec.lostThreshold))
        assertEquals(listOf(0.07, 0.25), listOf(spec.uncertaintyThreshold, spec.cropMargin))
        assertArrayEquals(floatArrayOf(0.25f, 0.5f, 0.75f, 0.5f), spec.meanShape, 0f)
    }

    @Test fun theDefinitionOfASchemeIsAccepted() {
        val defined = "\"scheme_definition\": {\"name\": \"pair\", \"count\": 2}, \"scheme\""
        assertEquals("pair", ModelSpec.fromJson(json.replace("\"scheme\"", defined)).scheme)
    }

    @Test fun namesOfEarlierSpecsAreRead() {
        val spec = ModelSpec.fromJson(json.replace("\"name\"", "\"most_uncertain\": 0.05, \"name\""))
        assertEquals(0.05, spec.uncertaintyThreshold, 0.0)
        val detector = """{"name": "d", "scheme": "", "mean_shape": [], "format_version": 1,
            "outputs": {"scores": [2, 2], "regions": [2, 2, 3]}}"""
        assertEquals(listOf("scores", "rois"), ModelSpec.fromJson(detector).outputs.keys.toList())
    }

    @Test fun whatLaterVersionsAddIsIgnored() {
        val later = json.replace("\"name\"", "\"checksum\": {\"network\": \"ab\"}, \"name\"")
            .replace("\"confidence\": [1]", "\"confidence\": [1], \"visemes\": [15], \"wrinkles\": [2, 2]")
        val spec = ModelSpec.fromJson(later)
        assertEquals(listOf("landmarks", "uncertainty", "pose", "confidence"), spec.knownOutputs.keys.toList())
        assertEquals(listOf(2, 2), spec.outputs["wrinkles"])
        val between = json.replace("\"pose\": [3]", "\"wrinkles\": [2, 2], \"pose\": [3]")
        val error = assertThrows(IllegalArgumentException::class.java) { ModelSpec.fromJson(between) }
        assertTrue(error.message, "others only after them" in error.message.orEmpty())
    }

    @Test fun expressionsAndGazeComeLast() {
        fun outputs(text: String) = json.replace("\"confidence\": [1]", "\"confidence\": [1], $text")
        val spec = ModelSpec.fromJson(outputs("\"expressions\": [52], \"gaze\": [2, 2], \"wrinkles\": [9]"))
        assertTrue(spec.hasExpressions)
        assertEquals(listOf("expressions", "gaze"), spec.knownOutputs.keys.toList().takeLast(2))
        assertFalse(ModelSpec.fromJson(json).hasExpressions)
        val wrong = listOf("\"expressions\": [51], \"gaze\": [2, 2]", "\"gaze\": [2, 2], \"expressions\": [52]", "\"gaze\": [2, 2]")
        for (text in wrong) {
            val error = assertThrows(IllegalArgumentException::class.java) { ModelSpec.fromJson(outputs(text)) }
            assertTrue(error.message, "outputs must be" in error.message.orEmpty())
        }
    }

    @Test fun aDetectorNeedsNoSchemeAndNoMeanShape() {
        val text = """{"name": "d", "format_version": 1, "outputs": {"scores": [2, 2], "rois": [2, 2, 3]}}"""
        assertTrue(ModelSpec.fromJson(text.replace("\"name\"", "\"lost_threshold\": 0.3, \"name\"")).isDetector)
    }

    @Test fun aTemplateComesWithItsPoints() {
        val template = """{"name": "mouth", "points": [[0.4, 0.7], [0.5, 0.6], [0.6, 0.7]], "edges": [[0, 1]]}"""
        val outputs = """"confidence": [1], "points": [3, 2], "points_uncertainty": [3]"""
        val text = json.replace("\"confidence\": [1]", outputs).replace("\"lips\"", "\"lips\", \"template\": $template")
        val spec = ModelSpec.fromJson(text)
        assertEquals(3, spec.template?.count)
        assertEquals(listOf(0 to 1), spec.template?.edges)
    }

    @Test fun invalidFieldsAreNamed() {
        fun rejects(text: String, expected: String) {
            val error = assertThrows(IllegalArgumentException::class.java) { ModelSpec.fromJson(text) }
            assertTrue("'${error.message}' should say '$expected'", expected in error.message.orEmpty())
        }
        rejects("[1]", "must be a JSON object")
        rejects("{", "not JSON: expected a name at character 1")
        rejects(json.replace("\"format_version\": 1", "\"format_version\": 2"), "format_version is 2.0, this runtime reads 1")
        rejects(json.replace(", \"format_version\": 1", ""), "format_version is null")
        rejects(json.replace("\"scheme\": \"pair\", ", ""), "lacks scheme")
        rejects(json.replace("\"lips\"", "5"), "wrong type: name is 5.0")
        rejects(json.replace("[0.25, 0.5]", "[0.25]"), "mean_shape must hold finite (N, 2) points")
        rejects(json.replace("\"pair\"", "\"wflw98\""), "scheme wflw98 has 98 points, mean_shape has 2")
        rejects(json.replace("\"landmarks\": [2, 2]", "\"landmarks\": [3, 2]"), "outputs must be")
        rejects(json.replace("\"pose\": [3], \"confidence\": [1]", "\"confidence\": [1], \"pose\": [3]"), "in this order")
        rejects(json.replace("\"name\"", "\"input_size\": 4, \"name\""), "input_size must be at least 8 pixels, got 4")
        rejects(json.replace("\"name\"", "\"input_size\": 8.5, \"name\""), "input_size must be a whole number")
        rejects(json.replace("\"name\"", "\"lost_threshold\": 0.8, \"name\""), "got 0.8 and 0.7")
        rejects(json.replace("\"name\"", "\"uncertainty_threshold\": 0, \"name\""), "uncertainty_threshold must be positive")
    }

    @Test fun invalidFilesAreRejected() {
        fun rejects(file: ByteArray, expected: String) {
            val error = assertThrows(ModelFileException::class.java) { ModelSpec.read(file, "face.tflite") }
            val message = error.message.orEmpty()
            assertTrue("'$message' should say '$expected'", message.startsWith("face.tflite") && expected in message)
        }
        val whole = Golden.bytes("network.tflite")
        rejects(ByteArray(0), "is empty")
        rejects("<html>not found</html>".toByteArray(), "is not a TFLite file")
        rejects(whole.copyOf(8), "has no model spec")
        rejects(whole.copyOf(whole.size / 2), "has no model spec")
        rejects(whole.copyOf(whole.size - 1), "has no model spec")
        rejects(model(mapOf("labels.txt" to "lips")), "has no model spec")
        rejects(model(mapOf(SPEC_FILE to "{}")), "format_version is null")
    }

    @Test fun theSpecMayBeOneOfSeveralFiles() {
        assertEquals("lips", ModelSpec.read(model(mapOf("labels.txt" to "a\nb", SPEC_FILE to json)), "a.tflite").name)
    }

    /** A model file without a network, with these associated files. */
    private fun model(files: Map<String, String>): ByteArray {
        val head = byteArrayOf(28, 0, 0, 0) + "TFL3".toByteArray()
        val content = ByteArrayOutputStream()
        content.write(head)
        ZipOutputStream(content).use { archive ->
            for ((name, text) in files) {
                archive.putNextEntry(ZipEntry(name))
                archive.write(text.toByteArray())
            }
        }
        val bytes = content.toByteArray()
        // Java counts from the archive's beginning, Python's and TFLite's tools from the file's.
        return bytes.also { shiftOffsets(it, head.size) }
    }

    private fun shiftOffsets(file: ByteArray, by: Int) {
        val bytes = java.nio.ByteBuffer.wrap(file).order(java.nio.ByteOrder.LITTLE_ENDIAN)
        val end = file.size - 22
        val directory = bytes.getInt(end + 16) + by
        bytes.putInt(end + 16, directory)
        bytes.putInt(directory + 42, bytes.getInt(directory + 42) + by)
    }
}
