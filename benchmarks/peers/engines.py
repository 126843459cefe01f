"""The engines that peers' files run in, one thread as ours."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from benchmarks.peers.onnx_file import with_constant_weights
from edge_runtime.errors import BackendError, ModelFileError, first_line


class OnnxNetwork:
    """An ONNX file with one input that matters and one output that does, in onnxruntime on the CPU."""

    def __init__(self, path: Path) -> None:
        """BackendError without onnxruntime, ModelFileError for what it cannot load."""
        if importlib.util.find_spec("onnxruntime") is None:
            raise BackendError("onnxruntime is not installed: pip install 'atpn[onnx-runtime]'")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # one warning per left-over tensor of other people's exporters
        try:
            content = with_constant_weights(path.read_bytes())
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no base class below Exception
            raise ModelFileError(f"{path} is not an ONNX model or is damaged: {first_line(error)}") from error
        self._input, self._output = self._session.get_inputs()[0].name, self._session.get_outputs()[0].name

    def __call__(self, tensor: np.ndarray) -> np.ndarray:
        """The first output for the (1, ...) float32 input, without the batch axis."""
        return np.asarray(self._session.run([self._output], {self._input: tensor})[0][0])


class TFLiteNetwork:
    """A TFLite model in LiteRT, XNNPACK included."""

    def __init__(self, content: bytes, name: str) -> None:
        """ModelFileError for what LiteRT cannot load."""
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
        """The largest output for the (1, ...) float32 input, flat."""
        self._interpreter.set_tensor(self._input, tensor)
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._output)).ravel()
