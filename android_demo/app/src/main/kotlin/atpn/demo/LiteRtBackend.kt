package atpn.demo

import atpn.runtime.Accelerator
import atpn.runtime.FileOutput
import atpn.runtime.ModelFileException
import atpn.runtime.ModelSpec
import atpn.runtime.Backend
import atpn.runtime.matchOutputs
import java.io.Closeable
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.tensorflow.lite.DataType
import org.tensorflow.lite.Interpreter
import org.tensorflow.lite.gpu.GpuDelegate
import org.tensorflow.lite.nnapi.NnApiDelegate

/**
 * A .tflite file in LiteRT. Use and close it on the thread that created it, for the GPU delegate.
 *
 * ModelFileException if the file does not match its spec; exceptions of LiteRT if the accelerator does not support it.
 */
class LiteRtBackend(model: ModelFile, accelerator: Accelerator, threads: Int) : Backend, Closeable {
    override val spec = ModelSpec.read(model.bytes, model.name)
    private val delegate = when (accelerator) {
        Accelerator.GPU -> GpuDelegate()
        Accelerator.NNAPI -> NnApiDelegate()
        Accelerator.CPU, Accelerator.XNNPACK -> null
    }
    private val interpreter = orClose(delegate) { Interpreter(direct(model.bytes), options(accelerator, threads)) }
    private val input = ByteBuffer.allocateDirect(spec.inputSize * spec.inputSize * 3)
    private val indices: List<Int>
    private val results: List<ByteBuffer>

    init {
        indices = orClose(this) {
            check(model.name)
            matchOutputs(model.name, spec, outputs())
        }
        results = spec.knownOutputs.values.map { shape ->
            ByteBuffer.allocateDirect(4 * shape.fold(1, Int::times)).order(ByteOrder.nativeOrder())
        }
    }

    override fun run(crop: ByteArray): Map<String, FloatArray> {
        input.rewind()
        input.put(crop)
        input.rewind()
        results.forEach(ByteBuffer::rewind)
        interpreter.runForMultipleInputsOutputs(arrayOf(input), indices.zip(results).toMap())
        return spec.knownOutputs.keys.zip(results).associate { (name, result) ->
            result.rewind()
            val values = result.asFloatBuffer()
            name to FloatArray(values.remaining()).also(values::get)
        }
    }

    override fun close() {
        interpreter.close()
        delegate?.close()
    }

    private fun options(accelerator: Accelerator, threads: Int): Interpreter.Options {
        val options = Interpreter.Options().setNumThreads(threads).setUseXNNPACK(accelerator == Accelerator.XNNPACK)
        return delegate?.let(options::addDelegate) ?: options
    }

    private fun check(name: String) {
        val shapes = (0 until interpreter.getInputTensorCount()).map { interpreter.getInputTensor(it).shape().toList() }
        val declared = listOf(listOf(1, spec.inputSize, spec.inputSize, 3))
        if (shapes != declared || interpreter.getInputTensor(0).dataType() != DataType.UINT8) {
            throw ModelFileException("$name takes $shapes, its spec declares bytes of $declared")
        }
    }

    /** Returns the outputs by their names in the signature if there is one, which converters change less. */
    private fun outputs(): List<FileOutput> {
        val key = interpreter.getSignatureKeys().singleOrNull()
        val names = key?.let { interpreter.getSignatureOutputs(it) }.orEmpty().associateBy { name ->
            interpreter.getOutputTensorFromSignature(name, key).index()
        }
        return (0 until interpreter.getOutputTensorCount()).map(interpreter::getOutputTensor).map { tensor ->
            FileOutput(names[tensor.index()] ?: tensor.name(), tensor.shape().drop(1))
        }
    }
}

/** Returns the result of [make]; closes [opened] if it fails. */
private fun <T> orClose(opened: AutoCloseable?, make: () -> T): T =
    try {
        make()
    } catch (error: RuntimeException) {
        opened?.close()
        throw error
    }

private fun direct(bytes: ByteArray): ByteBuffer {
    val buffer = ByteBuffer.allocateDirect(bytes.size).order(ByteOrder.nativeOrder())
    buffer.put(bytes)
    buffer.rewind()
    return buffer
}
