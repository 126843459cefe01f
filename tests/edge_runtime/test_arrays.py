"""Arrays from files that nobody has checked."""

import io
import os
import struct
import zipfile

import numpy as np
import pytest

from edge_runtime.arrays import ArrayFileError, load_arrays, parse_array, read_arrays

ARRAYS = {
    "numbers": np.arange(12, dtype=np.float32).reshape(3, 4),
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "empty": np.empty((0, 5), np.int16),
    "scalar": np.array("text"),
    "names": np.array(["a", "bc"]),
}


@pytest.fixture(params=[np.savez, np.savez_compressed])
def path(request, tmp_path):
    request.param(tmp_path / "a.npz", **ARRAYS)
    return tmp_path / "a.npz"


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def test_arrays_come_back_writable(path):
    found = load_arrays(path)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)
        assert found[name].flags.writeable
        assert found[name].flags.f_contiguous == array.flags.f_contiguous


def test_a_missing_array_is_named(path):
    assert load_arrays(path, ["names"]).keys() == {"names"}
    with pytest.raises(ArrayFileError, match=r"a\.npz .*it lacks colors; it has numbers, "):
        load_arrays(path, ["names", "colors"])


def test_every_cut_and_changed_byte_is_an_error_or_harmless(path):
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for number in range(300):
        damaged = bytearray(whole[: len(whole) - number] if number % 3 == 0 else whole)
        for at in rng.integers(0, len(damaged), rng.integers(1, 11)):
            damaged[at] = rng.integers(256)
        try:
            found = read_arrays(io.BytesIO(damaged), "a.npz", list(ARRAYS))
        except ArrayFileError:
            continue
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(found[name], array)


def test_python_objects_are_refused():
    with pytest.raises(ArrayFileError, match="an array is damaged"):
        parse_array(npy(np.array([{}, None], object)))


@pytest.mark.parametrize("shape", ["(10000000000,)", "(3, 100000, 100000)", "(-3, -4)", "(2, 4)", "()"])
def test_a_shape_that_the_bytes_do_not_fill_is_refused(shape):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}"
    header = header.ljust(117) + "\n"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + ARRAYS["numbers"].tobytes()
    with pytest.raises(ArrayFileError, match="an array is damaged"):
        parse_array(content)


@pytest.mark.parametrize(
    "header", ["(" * 5000, "[" * 5000, "{'descr': '<f4'", "x", "{'descr': 3, 'fortran_order': 0}", ""]
)
def test_a_wild_header_is_refused(header):
    with pytest.raises(ArrayFileError, match="an array is damaged"):
        parse_array(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())


def zipped(*, method=zipfile.ZIP_DEFLATED, patch=lambda content: content, content=None):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("a.npy", npy(ARRAYS["numbers"]) if content is None else content)
    return io.BytesIO(patch(stream.getvalue()))


def encrypted(content):
    for name, place in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        at = content.index(name) + place
        content = content[:at] + b"\x01\x00" + content[at + 2 :]
    return content


def of_method(number):
    def patch(content):
        for name, place in ((b"PK\x01\x02", 10), (b"PK\x03\x04", 8)):
            at = content.index(name) + place
            content = content[:at] + struct.pack("<H", number) + content[at + 2 :]
        return content

    return patch


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(zipped(patch=encrypted), id="encrypted"),
        pytest.param(zipped(patch=of_method(97)), id="unknown method"),
        pytest.param(zipped(method=zipfile.ZIP_LZMA), id="lzma"),
        pytest.param(zipped(method=zipfile.ZIP_BZIP2), id="bzip2"),
        pytest.param(zipped(content=b"text"), id="no array"),
        pytest.param(io.BytesIO(b""), id="empty"),
        pytest.param(io.BytesIO(npy(ARRAYS["numbers"])), id="npy"),
    ],
)
def test_odd_archives_are_one_error(file):
    with pytest.raises(ArrayFileError, match=r"a\.npz is not an \.npz file of arrays, or is damaged"):
        read_arrays(file, "a.npz")


def test_more_than_the_limit_is_refused_before_it_is_unpacked():
    bomb = zipped(content=npy(np.zeros(10**6)))
    assert bomb.getbuffer().nbytes < 20_000
    with pytest.raises(ArrayFileError, match="more than 100000 bytes"):
        read_arrays(bomb, "a.npz", limit=100_000)


def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "a.npz")
    with pytest.raises(ArrayFileError, match="not a regular file"):
        load_arrays(tmp_path / "a.npz")
