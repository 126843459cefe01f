from __future__ import annotations

import numpy as np
import pytest

from export.errors import ExportError
from export.formats import quantize
from export.formats.flatbuffer import count_operators, pack, unpack
from export.formats.tflite import convert
from export.formats.upsampling import decompose_upsampling

OUTPUTS = ("landmarks", "uncertainty", "pose", "confidence")


@pytest.fixture(scope="module")
def converted(model):
    return convert(model, OUTPUTS)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_results_stay_the_same(converted, model, noise_crops, run_tflite, precision):
    crops = noise_crops(4, seed=61)
    content = converted
    if precision == "fp16":
        content = quantize.to_float16(converted)
    if precision == "int8":
        in_float = quantize.float_scopes(model, OUTPUTS)
        content = quantize.to_int8(
            convert(model, OUTPUTS, for_int8=True), [(c[None],) for c in crops], "min-max", in_float
        )
    assert count_operators(content)["TRANSPOSE_CONV"] == 2
    decomposed = decompose_upsampling(content)
    counts = count_operators(decomposed)
    assert (counts.get("TRANSPOSE_CONV", 0), counts["DEPTH_TO_SPACE"]) == (0, 2)
    for before, after in zip(run_tflite(content, crops[0]), run_tflite(decomposed, crops[0]), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_other_transposed_convolutions_are_refused(converted):
    file = unpack(converted)
    for operator in file.subgraphs[0].operators:
        if type(operator.builtinOptions).__name__ == "TransposeConvOptionsT":
            operator.builtinOptions.strideW = 1
    with pytest.raises(ExportError, match=r"kernel \[2, 2\] and stride \[2, 1\]"):
        decompose_upsampling(pack(file))
