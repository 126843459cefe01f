"""The wheel holds the runtime with its models and nothing else, and works without the checkout."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import cv2
import pytest

import edge_runtime
from edge_runtime.models import DETECTOR_MODEL, landmark_models
from platform_checks.device_outputs import EMPTY_FRAMES, FRAME_SIZE, frames

ROOT = Path(__file__).resolve().parents[1]
MODELS = {f"edge_runtime/models/{name}.tflite" for name in (*landmark_models(), DETECTOR_MODEL)}
OTHER_PACKAGES = ("atpn", "benchmarks", "export", "platform_checks")
MAX_BYTES = 9_000_000


def check_files(names):
    """Check the files of the wheel's packages, with / between folders."""
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "edge_runtime").rglob("*.py")}
    assert set(names) == sources | MODELS | {"edge_runtime/py.typed"}


def test_the_wheels_configuration_has_the_runtime_and_its_models_only():
    wheel = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed: make setup")
    included = wheel.WheelBuilder(str(ROOT)).recurse_included_files()
    check_files([Path(file.distribution_path).as_posix() for file in included])


def test_the_version_is_the_packages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" in project["project"]["dynamic"]
    metadata = pytest.importorskip("hatchling.metadata.core", reason="hatchling is not installed: make setup")
    plugins = pytest.importorskip("hatchling.plugin.manager").PluginManager()
    assert metadata.ProjectMetadata(str(ROOT), plugins).version == edge_runtime.__version__
    assert re.search(rf"^## {re.escape(edge_runtime.__version__)}$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def run(*command, folder):
    """Run a program without the checkout on its path; return its standard output."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONNOUSERSITE": "1"}
    done = subprocess.run(list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("build", reason="build is not installed: make setup")
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Python of a new environment with the wheel, and with this environment's libraries but not its checkout."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    python = programs / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    run(*pip, folder=folder)
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder).strip())
    # The libraries' folder becomes a part of the path; .pth files in it, as of an editable install, are not read.
    (packages / "libraries.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return python


@pytest.mark.slow
def test_wheel_has_the_runtime_only(wheel):
    assert wheel.name == f"atpn-{edge_runtime.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    check_files([name for name in names if ".dist-info/" not in name])
    assert wheel.stat().st_size <= MAX_BYTES


@pytest.mark.slow
@pytest.mark.parametrize("package", OTHER_PACKAGES)
def test_nothing_else_of_the_checkout_is_importable(installed, package, tmp_path):
    code = f"import importlib.util; print(importlib.util.find_spec({package!r}))"
    assert run(installed, "-c", code, folder=tmp_path).strip() == "None"


@pytest.mark.slow
def test_installed_command_tracks_a_face(installed, tmp_path):
    pytest.importorskip("ai_edge_litert")
    clip, out = tmp_path / "clip.avi", tmp_path / "faces.jsonl"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, FRAME_SIZE)
    for frame in frames():
        writer.write(frame)
    writer.release()
    run(installed.with_name("atpn-webcam"), "--source", clip, "--headless", "--jsonl", out, folder=tmp_path)
    faces = [json.loads(line)["faces"] for line in out.read_text().splitlines()]
    assert all(len(found[0]["landmarks"]) == 98 for found in faces[: EMPTY_FRAMES.start])
    assert not faces[EMPTY_FRAMES.stop - 1]
    assert faces[-1]


@pytest.mark.slow
def test_installed_doctor_knows_the_version_and_the_models(installed, tmp_path):
    pytest.importorskip("ai_edge_litert")
    report = json.loads(run(installed, "-m", "edge_runtime.doctor", "--json", "--seconds", "0.2", folder=tmp_path))
    assert report["edge_runtime"] == edge_runtime.__version__
    assert Path(report["recommendation"]["model"]).is_relative_to(installed.parents[1])
    assert Path(report["recommendation"]["saved"]).is_relative_to(tmp_path / "cache")
