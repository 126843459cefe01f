"""Inference engines for the baselines' files, with one thread like ours."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from edge_runtime.errors import BackendError, ModelFileError, first_line

IR_VERSION_OF_CONSTANT_WEIGHTS = 4


class OnnxNetwork:
    """An ONNX file with one relevant input and output, in onnxruntime on the CPU."""

    def __init__(self, path: Path) -> None:
        """Load a file. Raise BackendError without onnxruntime, ModelFileError for an invalid file."""
        if importlib.util.find_spec("onnxruntime") is None:
            raise BackendError("onnxruntime is not installed: pip install 'atpn[bench]'")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # without warnings about unused tensors
        try:
            content = with_constant_weights(path.read_bytes())
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no base class below Exception
            raise ModelFileError(f"{path} is not an ONNX model or is damaged: {first_line(error)}") from error
        self._input, self._output = self._session.get_inputs()[0].name, self._session.get_outputs()[0].name

    def __call__(self, tensor: np.ndarray) -> np.ndarray:
        """Return the first output for the (1, ...) float32 input, without the batch axis."""
        return np.asarray(self._session.run([self._output], {self._input: tensor})[0][0])


def with_constant_weights(content: bytes) -> bytes:
    """Return an ONNX model whose weights are not among the graph's inputs.

    Before IR version 4 they had to be. An engine must then expect other weights at every run, folds no batch norm, and
    runs the model at a third of its speed.
    """
    import onnx

    model = onnx.load_model_from_string(content)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) == len(model.graph.input):
        return content
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = IR_VERSION_OF_CONSTANT_WEIGHTS
    return bytes(model.SerializeToString())


class TFLiteNetwork:
    """A TFLite model in LiteRT with XNNPACK."""

    def __init__(self, content: bytes, name: str) -> None:
        """Load a model. Raise ModelFileError if LiteRT cannot."""
        from ai_edge_litert.interpreter import Interpreter

        try:
            self._interpreter = Interpreter(model_content=content, num_threads=1)
            self._interpreter.allocate_tensors()
        except Exception as error:
            raise ModelFileError(f"LiteRT cannot load {name}: {first_line(error)}") from error
        details = self._interpreter.get_input_details()[0]
        self._input = details["index"]
        self.input_size = int(details["shape"][1])
        outputs = self._interpreter.get_output_details()
        self._output = max(outputs, key=lambda output: int(np.prod(output["shape"])))["index"]

    def __call__(self, tensor: np.ndarray) -> np.ndarray:
        """Return the largest output for the (1, ...) float32 input, flat."""
        self._interpreter.set_tensor(self._input, tensor)
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._output)).ravel()
