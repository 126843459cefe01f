"""Software bill: the packages and model files of this installation of the runtime, and their licenses."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from edge_runtime.errors import EdgeRuntimeError
from edge_runtime.models import model_paths

PACKAGE = "atpn"
"""Name of the runtime's distribution."""
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Component:
    """An installed package, or a model file of the runtime."""

    name: str
    version: str
    license: str
    """What its metadata say; `unknown` if they say nothing."""
    requires: tuple[str, ...] = ()
    """Names of the installed packages that it needs."""
    sha256: str | None = None
    """Hash of a model file; None for a package."""

    @property
    def reference(self) -> str:
        """Package URL, or the hash of a model file."""
        return f"pkg:pypi/{self.name}@{self.version}" if self.sha256 is None else f"sha256:{self.sha256}"


def installed_components() -> list[Component]:
    """Return the runtime's package, all installed packages that it needs, and its model files.

    Packages that extras ask for are left out. EdgeRuntimeError if the runtime is not installed as a package.
    """
    try:
        found = {PACKAGE: distribution(PACKAGE)}
    except PackageNotFoundError as error:
        raise EdgeRuntimeError(
            f"the package {PACKAGE} is not installed, so what it needs is not known: pip install it; "
            "a copied folder has no metadata"
        ) from error
    queue = [PACKAGE]
    packages = []
    while queue:
        name = queue.pop(0)
        needed = _requirements(found[name])
        queue += [each for each in needed if each not in found]
        found |= needed
        packages.append(Component(name, found[name].version, license_of(found[name]), tuple(needed)))
    models = [_model(path, packages[0]) for path in model_paths()]
    return [packages[0], *sorted(packages[1:], key=lambda package: package.name), *models]


def _model(path: Path, package: Component) -> Component:
    """Return the component of a model file, which has its package's version and license."""
    return Component(path.name, package.version, package.license, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def _requirements(package: Distribution) -> dict[str, Distribution]:
    """Return the installed packages that a package needs, by their normal names."""
    found = {}
    for requirement in package.requires or []:
        name, _, marker = requirement.partition(";")
        if "extra" in marker:
            continue
        # Markers for other systems name packages that are not installed here.
        stem = re.split(r"[^\w.-]", name.strip(), maxsplit=1)[0]
        normal = re.sub(r"[-_.]+", "-", stem).lower()
        try:
            found[normal] = distribution(stem)
        except PackageNotFoundError:
            continue
    return found


def license_of(package: Distribution) -> str:
    """Return a package's license by its metadata: an expression, its classifiers, or the name in the text field."""
    metadata = package.metadata.json
    text = str(metadata.get("license", "")).strip()
    classifiers = [
        entry.rpartition(" :: ")[2] for entry in metadata.get("classifier", []) if entry.startswith("License :: ")
    ]
    if expression := metadata.get("license_expression"):
        return str(expression)
    return " and ".join(classifiers) or (text if "\n" not in text else "") or UNKNOWN


def as_table(components: Sequence[Component]) -> str:
    """Return a line per component: name, version, license, and a model file's SHA-256."""
    rows = [(each.name, each.version, f"{each.license}  {each.sha256 or ''}".rstrip()) for each in components]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "\n".join(f"{name:{widths[0]}}  {version:{widths[1]}}  {license}" for name, version, license in rows)


def as_cyclonedx(components: Sequence[Component]) -> dict[str, Any]:
    """Return the bill as a CycloneDX 1.5 document, whose main component is the first one."""
    main, *others = components
    packages = {each.name: each for each in components if each.sha256 is None}
    models = [each.reference for each in components if each.sha256 is not None]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {**_entry(main), "type": "application"}},
        "components": [_entry(each) for each in others],
        "dependencies": [
            {
                "ref": each.reference,
                "dependsOn": [packages[name].reference for name in each.requires] + (models if each is main else []),
            }
            for each in packages.values()
        ],
    }


def _entry(component: Component) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "type": "library",
        "bom-ref": component.reference,
        "name": component.name,
        "version": component.version,
        "licenses": [{"license": {"name": component.license}}],
    }
    if component.sha256 is None:
        return {**entry, "purl": component.reference}
    hashes = [{"alg": "SHA-256", "content": component.sha256}]
    return {**entry, "type": "machine-learning-model", "hashes": hashes}
