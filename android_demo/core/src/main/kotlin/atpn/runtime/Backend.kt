package atpn.runtime

/** A loaded model. */
interface Backend {
    /** Spec of the model. */
    val spec: ModelSpec

    /** Runs the model on inputSize x inputSize RGB pixels, row by row; returns its outputs, flattened, by name. */
    fun run(crop: ByteArray): Map<String, FloatArray>
}
