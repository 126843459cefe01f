import dataclasses
import hashlib
import io
import json
import logging
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edge_runtime import backends
from edge_runtime.backends import load_backend
from edge_runtime.errors import ModelFileError
from edge_runtime.model_file import MAX_SPEC_BYTES, NO_CHECKSUM, SPEC_FILE, content_sha256, read_model_file
from edge_runtime.models import model_path, model_paths
from edge_runtime.reading import MAX_MODEL_BYTES
from edge_runtime.spec import ModelSpec, read_spec

CHANGE_BYTES = """
import sys
from pathlib import Path
import numpy as np
from edge_runtime.backends import load_backend
from edge_runtime.errors import ModelFileError

whole, path = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
rng, refused = np.random.default_rng(0), 0
for position in rng.integers(0, len(whole) - 8000, 60):
    changed = bytearray(whole)
    changed[position] ^= rng.integers(1, 256)
    path.write_bytes(changed)
    try:
        load_backend(path)
    except ModelFileError:
        refused += 1
print("refused", refused)
"""


@pytest.fixture
def no_engine(monkeypatch):
    """An engine that must not see a file."""

    def load(*arguments):
        raise AssertionError("the engine saw the file")

    monkeypatch.setattr(backends, "_load_interpreter", load)


def test_the_checksum_of_a_tflite_file_is_of_what_lies_before_the_archive_and_the_spec(checked_tflite, bare_tflite):
    spec = read_spec(checked_tflite)
    unfilled = dataclasses.replace(spec, content_sha256="0" * 64).to_json()
    assert spec.content_sha256 == hashlib.sha256(bare_tflite.read_bytes() + unfilled.encode()).hexdigest()
    assert json.loads(read_model_file(checked_tflite).spec_json)["content_sha256"] == spec.content_sha256


def test_a_whole_file_loads_without_a_warning(checked_tflite, caplog):
    pytest.importorskip("ai_edge_litert")
    with caplog.at_level(logging.WARNING):
        load_backend(checked_tflite).run(np.zeros((16, 16, 3), np.uint8))
    assert caplog.text == ""


def test_every_shipped_file_has_its_checksum():
    assert all(len(read_spec(path).content_sha256) == 64 for path in model_paths())


def test_a_file_without_a_checksum_loads_with_one_warning(tiny_tflite, caplog):
    pytest.importorskip("ai_edge_litert")
    load_backend(tiny_tflite)
    (record,) = caplog.records
    assert "tiny.tflite is unchecked, as it has no checksum" in record.message


def test_a_changed_byte_is_refused_before_an_engine_sees_it(checked_tflite, bare_tflite, no_engine):
    whole, end = checked_tflite.read_bytes(), bare_tflite.stat().st_size
    for position in (8, 100, end // 2, end - 1):
        changed = bytearray(whole)
        changed[position] ^= 1
        checked_tflite.write_bytes(changed)
        with pytest.raises(ModelFileError, match=r"checked\.tflite is damaged: the checksum .* copy it again"):
            load_backend(checked_tflite, "litert")


def test_changed_bytes_of_the_archive_change_no_spec(checked_tflite, bare_tflite, no_engine):
    whole, start = checked_tflite.read_bytes(), bare_tflite.stat().st_size
    spec, kept = read_spec(checked_tflite).to_json(), 0
    for position in range(start, len(whole)):
        # Of the spec itself, some bytes are enough: a sum protects them all.
        if start + 60 < position < len(whole) - 200 and position % 97:
            continue
        for bit in (1, 128):
            changed = bytearray(whole)
            changed[position] ^= bit
            checked_tflite.write_bytes(changed)
            try:
                assert read_spec(checked_tflite).to_json() == spec, position
                kept += 1
            except ModelFileError:
                pass
    assert kept < 150, "times of change, versions of zip, and the like"


def test_a_file_that_is_cut_anywhere_is_refused(checked_tflite, no_engine):
    whole = checked_tflite.read_bytes()
    for length in [*range(8, len(whole), len(whole) // 40), *range(len(whole) - 30, len(whole))]:
        checked_tflite.write_bytes(whole[:length])
        with pytest.raises(ModelFileError):
            load_backend(checked_tflite, "litert")


def test_a_spec_is_not_taken_from_another_file(checked_tflite, bare_tflite, no_engine):
    archive = checked_tflite.read_bytes()[bare_tflite.stat().st_size :]
    checked_tflite.write_bytes(model_path("detector_fp32").read_bytes() + archive)
    with pytest.raises(ModelFileError, match="is damaged"):
        load_backend(checked_tflite, "litert")


def test_changed_bytes_end_no_process(tmp_path):
    pytest.importorskip("ai_edge_litert")
    command = [sys.executable, "-c", CHANGE_BYTES, str(model_path("detector_fp32")), str(tmp_path / "m.tflite")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "refused 60"


def archive_of(text, compression=zipfile.ZIP_DEFLATED, name=SPEC_FILE):
    content = io.BytesIO(b"\x1c\0\0\0TFL3")
    with zipfile.ZipFile(content, "a", compression) as archive:
        archive.writestr(name, text)
    return content.getvalue()


def test_a_spec_that_expands_without_end_is_refused(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(archive_of(b" " * (50 * MAX_SPEC_BYTES)))
    assert path.stat().st_size < MAX_SPEC_BYTES / 10
    with pytest.raises(ModelFileError, match=rf"52428800 bytes, at most {MAX_SPEC_BYTES} are read"):
        read_spec(path)
    # The archive says a smaller size than it has.
    lying = path.read_bytes().replace((50 * MAX_SPEC_BYTES).to_bytes(4, "little"), (9).to_bytes(4, "little"))
    path.write_bytes(lying)
    with pytest.raises(ModelFileError, match=r"m\.tflite: the model spec is damaged"):
        read_spec(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(tmp_path, compression):
    path = tmp_path / "m.tflite"
    path.write_bytes(archive_of(b"{}", compression))
    with pytest.raises(ModelFileError, match=r"the model spec is damaged [(]compression"):
        read_spec(path)


def test_an_encrypted_spec_is_refused(tmp_path):
    path, content = tmp_path / "m.tflite", bytearray(archive_of(b"{}"))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"the model spec is damaged .*encrypted"):
        read_spec(path)


def test_an_archive_without_a_spec_has_none(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(archive_of(b"cat", name="labels.txt"))
    with pytest.raises(ModelFileError, match="has no model spec"):
        read_spec(path)


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_files_that_cannot_be_read_whole_are_refused(tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    path.symlink_to("/dev/zero")
    with pytest.raises(ModelFileError, match="not a regular file"):
        load_backend(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ModelFileError, match="not a regular file"):
        read_spec(path)
    path.unlink()
    with path.open("wb") as file:
        file.truncate(MAX_MODEL_BYTES + 1)  # sparse
    with pytest.raises(ModelFileError, match=f"at most {MAX_MODEL_BYTES} are read"):
        read_spec(path)


def field(number, content):
    """A field of protobuf's wire format."""

    def varint(value):
        return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)

    return varint(number << 3 | 2) + varint(len(content)) + content


def with_checksum(make, *parts):
    """Return the bytes of a file, made from its checksum, which hold it; `parts` are hashed, too."""
    return make(content_sha256([make(NO_CHECKSUM), *parts]))


def test_an_onnx_file_with_a_checksum_is_checked(tmp_path, spec):
    def content(checksum):
        text = dataclasses.replace(spec, content_sha256=checksum).to_json()
        return field(7, b"a graph" * 50) + field(14, field(1, b"model_spec") + field(2, text.encode()))

    path, whole = tmp_path / "m.onnx", with_checksum(content)
    path.write_bytes(whole)
    assert ModelSpec.read(path).name == "tiny"
    for changed in (whole.replace(b"a graph", b"a grabh", 1), whole.replace(b"0.7", b"0.6")):
        path.write_bytes(changed)
        with pytest.raises(ModelFileError, match="is damaged"):
            load_backend(path, "onnxruntime")


@pytest.fixture
def package(tmp_path, spec):
    """A CoreML package, as far as its checksum reaches."""

    def content(checksum):
        text = dataclasses.replace(spec, content_sha256=checksum).to_json()
        entry = field(100, field(1, b"model_spec") + field(2, text.encode()))
        return field(2, field(100, entry)) + field(5, b"a program")

    path, weights = tmp_path / "m.mlpackage", b"weights" * 9
    program = path / "Data" / "com.apple.CoreML" / "model.mlmodel"
    (program.parent / "weights").mkdir(parents=True)
    (program.parent / "weights" / "weight.bin").write_bytes(weights)
    program.write_bytes(with_checksum(content, weights))
    return path


@pytest.mark.parametrize(
    ("name", "old"), [("model.mlmodel", b"program"), ("model.mlmodel", b"0.7"), ("weights/weight.bin", b"weights")]
)
def test_a_coreml_package_is_checked_with_its_weights(package, name, old):
    assert ModelSpec.read(package).name == "tiny"
    changed = package / "Data" / "com.apple.CoreML" / name
    changed.write_bytes(changed.read_bytes().replace(old, old[:-1] + b"9", 1))
    with pytest.raises(ModelFileError, match="is damaged"):
        ModelSpec.read(package)


def test_a_package_that_is_a_file_is_refused(tmp_path):
    path = tmp_path / "m.mlpackage"
    path.write_bytes(b"x")
    with pytest.raises(ModelFileError, match="is not a folder"):
        read_spec(path)


def test_a_spec_of_many_bytes_is_refused_in_any_format(tmp_path):
    path = Path(tmp_path / "m.onnx")
    path.write_bytes(field(14, field(1, b"model_spec") + field(2, b" " * (MAX_SPEC_BYTES + 1))))
    with pytest.raises(ModelFileError, match=f"the model spec has {MAX_SPEC_BYTES + 1} bytes"):
        read_spec(path)


def test_what_is_said_about_a_spec_is_short(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(
        archive_of(json.dumps({"format_version": 1, "name": 5 * ["x" * 90_000], "outputs": {"scores": []}}))
    )
    with pytest.raises(ModelFileError) as error:
        read_spec(path)
    assert len(str(error.value)) < 2000
