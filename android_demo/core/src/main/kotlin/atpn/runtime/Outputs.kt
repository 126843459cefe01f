package atpn.runtime

/** An output of a model file: its own [name] and its [shape] without the batch axis. */
data class FileOutput(val name: String, val shape: List<Int>)

/**
 * For each output of the spec, in its order, the index of the file's that it is: edge_runtime/backends.py's
 * `match_outputs`. Converters scramble names.
 *
 * By name where the file kept ours, else by shape where each shape occurs once, else by the number at the names' ends,
 * else by position. ModelFileException, which calls the file [file], when the shapes are not the spec's.
 */
fun matchOutputs(file: String, spec: ModelSpec, outputs: List<FileOutput>): List<Int> {
    val declared = spec.outputs.toList().map { (name, shape) -> FileOutput(name, shape) }
    if (outputs.map { it.shape.toString() }.sorted() != declared.map { it.shape.toString() }.sorted()) {
        throw ModelFileException("$file gives $outputs, its spec promises $declared")
    }
    if (declared.all { it in outputs }) return declared.map(outputs::indexOf)
    if (declared.map { it.shape }.toSet().size == declared.size) {
        return declared.map { expected -> outputs.indexOfFirst { it.shape == expected.shape } }
    }
    val numbers = outputs.map { output -> output.name.takeLastWhile(Char::isDigit).toIntOrNull() }
    val order = if (null in numbers) outputs.indices.toList() else outputs.indices.sortedBy { numbers[it] }
    if (order.map { outputs[it].shape } != declared.map { it.shape }) {
        throw ModelFileException("$file: cannot tell which of $outputs is which of $declared")
    }
    return order
}
