package org.tensorflow.lite.nnapi;

import org.tensorflow.lite.Delegate;

public class NnApiDelegate implements Delegate {
    public NnApiDelegate() {}
    public native void close();
}
