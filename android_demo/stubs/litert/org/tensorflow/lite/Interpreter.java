package org.tensorflow.lite;

import java.nio.ByteBuffer;
import java.util.Map;

/** What the app calls of LiteRT's Java API, to compile it against where the library itself is not at hand. */
public final class Interpreter implements AutoCloseable {
    public static class Options {
        public Options() {}
        public native Options setNumThreads(int threads);
        public native Options setUseXNNPACK(boolean use);
        public native Options addDelegate(Delegate delegate);
    }

    public Interpreter(ByteBuffer model, Options options) {}
    public native int getInputTensorCount();
    public native int getOutputTensorCount();
    public native Tensor getInputTensor(int index);
    public native Tensor getOutputTensor(int index);
    public native String[] getSignatureKeys();
    public native String[] getSignatureOutputs(String key);
    public native Tensor getOutputTensorFromSignature(String name, String key);
    public native void runForMultipleInputsOutputs(Object[] inputs, Map<Integer, Object> outputs);
    public native void close();
}
