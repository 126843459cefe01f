package atpn.runtime

import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class OutputsTest {
    private val spec = Golden.networkSpec.copy(outputs = standardOutputs(98))
    private val template = Template("lips", FloatArray(6) { it / 10f }, emptyList())
    private val withPoints = spec.copy(outputs = standardOutputs(98, points = 3), template = template)

    /** Returns outputs of the spec's shapes in this order, with these names. */
    private fun outputs(spec: ModelSpec, order: List<Int>, name: (Int) -> String): List<FileOutput> {
        val declared = spec.outputs.toList()
        return order.map { FileOutput(name(it), declared[it].second) }
    }

    @Test fun namesWin() {
        val names = spec.outputs.keys.toList()
        assertEquals(listOf(3, 0, 2, 1), matchOutputs("a", spec, outputs(spec, listOf(1, 3, 2, 0)) { names[it] }))
    }

    @Test fun shapesTellWhereTheyDiffer() {
        assertEquals(listOf(3, 0, 2, 1), matchOutputs("a", spec, outputs(spec, listOf(1, 3, 2, 0)) { "x" }))
    }

    @Test fun numbersTellWhereShapesDoNot() {
        val result = outputs(withPoints, listOf(5, 4, 3, 2, 1, 0)) { "StatefulPartitionedCall:$it" }
        assertEquals(listOf(5, 4, 3, 2, 1, 0), matchOutputs("a", withPoints, result))
    }

    @Test fun positionTellsTheRest() {
        assertEquals((0..5).toList(), matchOutputs("a", withPoints, outputs(withPoints, (0..5).toList()) { "x" }))
    }

    @Test fun outputsOfLaterVersionsAreLeftOut() {
        val later = spec.copy(outputs = spec.outputs + ("visemes" to listOf(2, 2)))
        assertEquals(listOf(4, 1, 3, 2), matchOutputs("a", later, outputs(later, listOf(4, 1, 3, 2, 0)) { "x" }))
        val ambiguous = spec.copy(outputs = spec.outputs + ("wrinkles" to listOf(3)))
        assertEquals((0..3).toList(), matchOutputs("a", ambiguous, outputs(ambiguous, (0..4).toList()) { "x" }))
    }

    @Test fun filesThatDoNotMatchTheSpecAreRejected() {
        val fewer = outputs(spec, listOf(0, 1, 2)) { "x" }
        val error = assertThrows(ModelFileException::class.java) { matchOutputs("face.tflite", spec, fewer) }
        assertTrue(error.message, "face.tflite gives" in error.message.orEmpty())
        val shuffled = outputs(withPoints, listOf(5, 4, 3, 2, 1, 0)) { "x" }
        assertThrows(ModelFileException::class.java) { matchOutputs("a", withPoints, shuffled) }
    }
}
