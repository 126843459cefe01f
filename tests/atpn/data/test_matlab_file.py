"""Matrices of MATLAB files, as another library writes them."""

import os

import numpy as np
import pytest
import scipy.io

from atpn.data.matlab_file import MatlabFileError, load_matrices

ARRAYS = {
    "double": np.arange(6.0).reshape(2, 3),
    "single": np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 3, 4),
    "small": np.array([[1, 2]], np.uint8),
    "signed": np.array([[-1], [300]], np.int16),
    "wide": np.array([[2**40]], np.int64),
    "logical": np.array([[True, False, True]]),
    "empty": np.empty((0, 5)),
    "a_rather_long_name": np.ones((1, 1)),
}
OTHERS = {"text": "abc", "complex": np.array([[1j]]), "cell": np.array([1, "a"], object), "struct": {"a": 1.0}}


@pytest.fixture(params=[False, True], ids=["plain", "compressed"])
def path(request, tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", OTHERS | ARRAYS, do_compression=request.param)
    return tmp_path / "a.mat"


def test_load_matrices_reads_numbers_of_every_type(path):
    found = load_matrices(path, list(ARRAYS))
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].dtype == np.float64
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("name", ["text", "complex", "cell", "struct", "absent"])
def test_load_matrices_refuses_what_is_not_a_matrix_of_numbers(path, name):
    with pytest.raises(MatlabFileError, match=r"a\.mat (is not a MATLAB 5 file|lacks)"):
        load_matrices(path, [name])


def test_load_matrices_names_a_damaged_file(path):
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    messages = []
    for _ in range(300):
        damaged = bytearray(whole[: rng.integers(len(whole) // 2, len(whole) + 1)])
        for at in rng.integers(0, len(damaged), 3):
            damaged[at] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            load_matrices(path, ["double", "single"])
        except MatlabFileError as error:
            messages.append(str(error))
    assert len(messages) > 100
    assert all("a.mat" in message and len(message) < 1000 for message in messages)


def test_load_matrices_refuses_a_shape_that_does_not_fit(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"a": np.zeros((7, 9))})
    content = path.read_bytes()
    for sides in ((7, 10), (-7, -9), (2**31 - 1, 2**31 - 1)):
        old, new = (np.array(each, "<i4").tobytes() for each in ((7, 9), sides))
        path.write_bytes(content.replace(old, new))
        with pytest.raises(MatlabFileError, match=r"a\.mat .*a matrix of 63 numbers has the shape"):
            load_matrices(path, ["a"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes by name")
def test_load_matrices_refuses_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe.mat")
    with pytest.raises(MatlabFileError, match=r"pipe\.mat is not a regular file"):
        load_matrices(tmp_path / "pipe.mat", ["a"])
