package atpn.runtime

/** Output of a model file: its own [name], and [shape] without the batch axis. */
data class FileOutput(val name: String, val shape: List<Int>)

/**
 * Returns, for each known output of the spec, the index of the file's: `match_outputs` of edge_runtime/backends.py.
 *
 * Outputs are matched by name if the file has the spec's names, else by shape if all shapes differ, else by the number at
 * the end of the names, else by position. ModelFileException if the shapes do not match the spec.
 */
fun matchOutputs(file: String, spec: ModelSpec, outputs: List<FileOutput>): List<Int> {
    val declared = spec.outputs.toList().map { (name, shape) -> FileOutput(name, shape) }
    if (outputs.map { it.shape.toString() }.sorted() != declared.map { it.shape.toString() }.sorted()) {
        throw ModelFileException("$file gives $outputs, its spec declares $declared")
    }
    val known = declared.take(spec.knownOutputs.size)
    if (declared.all { it in outputs }) return known.map(outputs::indexOf)
    if (declared.map { it.shape }.toSet().size == declared.size) {
        return known.map { expected -> outputs.indexOfFirst { it.shape == expected.shape } }
    }
    val numbers = outputs.map { output -> output.name.takeLastWhile(Char::isDigit).toIntOrNull() }
    val order = if (null in numbers) outputs.indices.toList() else outputs.indices.sortedBy { numbers[it] }
    if (order.map { outputs[it].shape } != declared.map { it.shape }) {
        throw ModelFileException("$file: cannot tell which of $outputs is which of $declared")
    }
    return order.take(known.size)
}
