package org.tensorflow.lite;

public interface Delegate extends AutoCloseable {
    void close();
}
