"""The interpreter's operators against plain formulas, on programs that coremltools builds and saves."""

from __future__ import annotations

import numpy as np
import pytest

from export.errors import ExportError
from export.testing.mil import MILProgram

coremltools = pytest.importorskip("coremltools")


def _saved(path, program, precision="fp32"):
    half = precision == "fp16"
    package = coremltools.convert(
        program,
        inputs=[coremltools.ImageType(name="image", shape=(1, 3, 6, 6), color_layout=coremltools.colorlayout.RGB)],
        convert_to="mlprogram",
        minimum_deployment_target=coremltools.target.iOS16,
        compute_precision=coremltools.precision.FLOAT16 if half else coremltools.precision.FLOAT32,
        skip_model_load=True,
    )
    package.save(str(path))
    return MILProgram(path)


@pytest.fixture(scope="module")
def crop():
    return np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)


def _program(body):
    from coremltools.converters import mil

    @mil.Builder.program(
        input_specs=[mil.Builder.TensorSpec(shape=(1, 3, 6, 6))], opset_version=coremltools.target.iOS16
    )
    def program(image):
        return body(mil.Builder, image)

    return program


def _planes(crop):
    return crop.transpose(2, 0, 1).astype(np.float64)


def _convolved(image, weight, stride):
    size = weight.shape[-1]
    rows = range(0, image.shape[1] - size + 1, stride)
    windows = [[image[:, r : r + size, c : c + size] for c in rows] for r in rows]
    return np.einsum("hwckl,ockl->ohw", np.array(windows), weight)


def test_convolution(tmp_path, crop):
    weight = np.random.default_rng(1).normal(size=(4, 3, 3, 3)).astype(np.float32)
    program = _program(
        lambda mb, x: mb.conv(x=x, weight=weight, strides=[2, 2], pad_type="custom", pad=[1, 0, 1, 0], name="y")
    )
    result = _saved(tmp_path / "m.mlpackage", program).run(crop)["y"]
    padded = np.pad(_planes(crop), ((0, 0), (1, 0), (1, 0)))
    np.testing.assert_allclose(result, _convolved(padded, weight, 2), rtol=1e-4, atol=1e-2)


def test_transposed_convolution_spreads_each_pixel(tmp_path, crop):
    weight = np.random.default_rng(2).normal(size=(3, 2, 2, 2)).astype(np.float32)
    program = _program(lambda mb, x: mb.conv_transpose(x=x, weight=weight, strides=[2, 2], name="y"))
    result = _saved(tmp_path / "m.mlpackage", program).run(crop)["y"]
    expected = np.einsum("chw,cokl->ohkwl", _planes(crop), weight).reshape(2, 12, 12)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize(
    ("body", "formula"),
    [
        (lambda mb, x: mb.sigmoid_hard(x=x, alpha=0.01, beta=-0.5), lambda x: np.clip(0.01 * x - 0.5, 0, 1)),
        (lambda mb, x: mb.thresholded_relu(x=x, alpha=100.0), lambda x: np.where(x >= 100, x, 0)),
        (lambda mb, x: mb.relu6(x=mb.sub(x=x, y=120.0)), lambda x: np.clip(x - 120, 0, 6)),
        (lambda mb, x: mb.rsqrt(x=mb.add(x=x, y=1.0)), lambda x: 1 / np.sqrt(x + 1)),
        (lambda mb, x: mb.tanh(x=mb.mul(x=x, y=0.01)), lambda x: np.tanh(0.01 * x)),
        (lambda mb, x: mb.abs(x=mb.sub(x=x, y=120.0)), lambda x: np.abs(x - 120)),
        (lambda mb, x: mb.matmul(x=x, y=mb.mul(x=x, y=0.01)), lambda x: x @ (0.01 * x)),
        (
            lambda mb, x: mb.matmul(x=x, y=mb.mul(x=x, y=0.01), transpose_x=True, transpose_y=True),
            lambda x: x.transpose(0, 2, 1) @ (0.01 * x).transpose(0, 2, 1),
        ),
        (lambda mb, x: mb.exp(x=mb.mul(x=x, y=0.01)), lambda x: np.exp(0.01 * x)),
        (lambda mb, x: mb.reduce_mean(x=x, axes=[2, 3], keep_dims=True), lambda x: x.mean((1, 2), keepdims=True)),
        (lambda mb, x: mb.reduce_min(x=x, axes=[1], keep_dims=False), lambda x: x.min(0)),
        (
            lambda mb, x: mb.slice_by_index(x=x, begin=[0, 1, 2, 0], end=[1, 3, 6, 6], stride=[1, 1, 2, 3]),
            lambda x: x[1:3, 2:6:2, 0:6:3],
        ),
        (
            lambda mb, x: mb.concat(values=[x, mb.relu(x=mb.sub(x=x, y=9.0))], axis=1),
            lambda x: np.concatenate([x, np.maximum(x - 9, 0)]),
        ),
        (lambda mb, x: mb.softmax(x=mb.mul(x=x, y=0.01), axis=3), lambda x: _softmax(0.01 * x)),
    ],
)
def test_operators_against_formulas(tmp_path, crop, body, formula):
    program = _saved(tmp_path / "m.mlpackage", _program(body))
    (result,) = program.run(crop).values()
    np.testing.assert_allclose(result, formula(_planes(crop)), rtol=1e-5, atol=1e-6)


def _softmax(x):
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


def test_half_precision_is_rounded_where_the_program_says_so(tmp_path, crop):
    program = _program(lambda mb, x: mb.mul(x=x, y=np.float32(1.001), name="y"))
    result = _saved(tmp_path / "m.mlpackage", program, "fp16").run(crop)["y"]
    expected = (_planes(crop).astype(np.float16) * np.float16(1.001)).astype(np.float32)
    np.testing.assert_array_equal(result, expected)


def test_unknown_operators_are_named(tmp_path):
    with pytest.raises(ExportError, match=r"uses erf, which the interpreter in export/testing/mil\.py does not know"):
        _saved(tmp_path / "m.mlpackage", _program(lambda mb, x: mb.erf(x=x)))


def test_damaged_packages_are_refused(tmp_path, crop):
    path = tmp_path / "m.mlpackage"
    _saved(path, _program(lambda mb, x: mb.relu(x=x)))
    model = path / "Data" / "com.apple.CoreML" / "model.mlmodel"
    model.write_bytes(model.read_bytes()[:-7])
    with pytest.raises(ExportError, match="is not a CoreML package or is damaged"):
        MILProgram(path)
    with pytest.raises(ExportError, match="is not a CoreML package or is damaged"):
        MILProgram(tmp_path / "absent.mlpackage")


def test_a_cut_weight_file_is_refused(dist):
    path = dist / "atpn_int8.mlpackage"
    weights = path / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
    weights.write_bytes(weights.read_bytes()[:2000])
    with pytest.raises(ExportError, match="the weight file has no entry"):
        MILProgram(path)
