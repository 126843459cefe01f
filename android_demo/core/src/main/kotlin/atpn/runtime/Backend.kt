package atpn.runtime

/** A loaded model, whichever engine runs it: edge_runtime/backends.py's `Backend`. */
interface Backend {
    /** What the model takes and gives. */
    val spec: ModelSpec

    /**
     * Runs the network on one picture: inputSize x inputSize RGB pixels, row by row, channels last.
     *
     * The outputs that the spec names, each flattened, without the batch axis.
     */
    fun run(crop: ByteArray): Map<String, FloatArray>
}
