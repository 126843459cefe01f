"""The software bill, of this environment and of packages whose metadata differ."""

import hashlib
import json
from importlib.metadata import PackageNotFoundError, PathDistribution, version

import pytest

from edge_runtime import software_bill
from edge_runtime.doctor import main
from edge_runtime.models import model_path, model_paths, network_files
from edge_runtime.software_bill import installed_components, license_of

try:
    version("atpn")
except PackageNotFoundError:
    pytest.skip("the runtime is not installed as a package", allow_module_level=True)


def package(tmp_path, name, requires=(), **fields):
    """Return a distribution with these metadata."""
    folder = tmp_path / f"{name}-1.0.dist-info"
    folder.mkdir()
    lines = ["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *(f"Requires-Dist: {each}" for each in requires)]
    lines += [f"{field.replace('_', '-')}: {value}" for field, values in fields.items() for value in values]
    (folder / "METADATA").write_text("\n".join(lines) + "\n\n")
    return PathDistribution(folder)


def test_the_table_has_the_runtime_and_what_it_needs(capsys):
    assert main(["--licenses"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert next(iter(rows)) == "atpn"
    assert rows["atpn"].endswith("Apache-2.0")
    assert version("numpy") in rows["numpy"]
    assert "BSD" in rows["numpy"]
    digest = hashlib.sha256(model_path(network_files().int8).read_bytes()).hexdigest()
    assert rows["atpn_int8.tflite"].endswith(f"Apache-2.0  {digest}")
    assert "torch" not in rows, "an extra's package is not the runtime's"


def test_the_bill_is_cyclonedx(capsys):
    assert main(["--licenses", "--json"]) == 0
    bill = json.loads(capsys.readouterr().out)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    entries = {entry["bom-ref"]: entry for entry in [bill["metadata"]["component"], *bill["components"]]}
    numpy = entries[f"pkg:pypi/numpy@{version('numpy')}"]
    assert (numpy["type"], numpy["name"], numpy["purl"]) == ("library", "numpy", numpy["bom-ref"])
    models = [entry for entry in entries.values() if entry["type"] == "machine-learning-model"]
    assert [entry["name"] for entry in models] == [path.name for path in model_paths()]
    assert all(len(entry["hashes"][0]["content"]) == 64 for entry in models)
    graph = {entry["ref"]: entry["dependsOn"] for entry in bill["dependencies"]}
    main_reference = bill["metadata"]["component"]["bom-ref"]
    assert numpy["bom-ref"] in graph[main_reference]
    assert {entry["bom-ref"] for entry in models} <= set(graph[main_reference])
    assert {reference for needed in graph.values() for reference in needed} <= entries.keys()


def test_requirements_are_followed_without_extras_and_loops(tmp_path, monkeypatch):
    packages = {
        "atpn": package(tmp_path, "atpn", ["Dot.Name_x[fast]>=1,<2", 'torch>=2; extra == "train"', "a (>=1)"]),
        "Dot.Name_x": package(tmp_path, "Dot.Name_x", ["a~=1.0", 'absent; sys_platform == "win32"']),
        "a": package(tmp_path, "a", ["atpn"]),
    }

    def find(name):
        if name not in packages:
            raise PackageNotFoundError(name)
        return packages[name]

    monkeypatch.setattr(software_bill, "distribution", find)
    found = {each.name: each.requires for each in installed_components() if each.sha256 is None}
    assert found == {"atpn": ("dot-name-x", "a"), "a": ("atpn",), "dot-name-x": ("a",)}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"License_Expression": ["MIT AND Apache-2.0"], "License": ["other"]}, "MIT AND Apache-2.0"),
        ({"Classifier": ["License :: OSI Approved :: BSD License", "Topic :: A"], "License": ["long"]}, "BSD License"),
        ({"Classifier": ["License :: OSI Approved :: A", "License :: OSI Approved :: B"]}, "A and B"),
        ({"License": ["3-Clause BSD License"]}, "3-Clause BSD License"),
        ({"License": ["Copyright (c) 2005.\n        All rights reserved."]}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_licenses_are_read_from_any_metadata(tmp_path, fields, expected):
    assert license_of(package(tmp_path, "a", **fields)) == expected


def test_a_copied_folder_has_no_bill(monkeypatch, capsys):
    monkeypatch.setattr(software_bill, "PACKAGE", "no-such-package")
    assert main(["--licenses"]) == 1
    assert "error: the package no-such-package is not installed" in capsys.readouterr().err
