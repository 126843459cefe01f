"""Links of the pages lead somewhere, and the commands that they name exist."""

import importlib
import re
import shlex
from pathlib import Path

import pytest
import tyro

import atpn.__main__
import benchmarks.__main__
import export.__main__
import platform_checks.__main__
from atpn.ablation.rows import TABLES
from atpn.evaluate.protocols.registry import PROTOCOLS
from edge_runtime.doctor import DoctorConfig
from edge_runtime.flags import parse_flags
from edge_runtime.webcam import WebcamConfig

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    ROOT / "android_demo/README.md",
    ROOT / "web_demo/README.md",
    ROOT / "atpn/weights/README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
COMMANDS = {
    "atpn": set(atpn.__main__.COMMANDS),
    "benchmarks": set(benchmarks.__main__.COMMANDS),
    "export": set(export.__main__.COMMANDS),
    "platform_checks": set(platform_checks.__main__.COMMANDS),
}
PLACEHOLDER = re.compile(r"[A-Z]+$")
"""As in `python -m benchmarks NAME`."""

COMMAND_LINE = re.compile(
    r" {4,}.*(?:-m |(?=atpn-webcam))(atpn-webcam|atpn|benchmarks|export|platform_checks|edge_runtime\.\w+)\b(.*)"
)


def anchors(page):
    """The names that a page's headings get: lower case, words joined by hyphens."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page):
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.is_file() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist(page):
    unknown = []
    for package, name in re.findall(r"-m (atpn|benchmarks|export|platform_checks) ([\w-]+)", page.read_text()):
        if name not in COMMANDS[package] and not PLACEHOLDER.match(name):
            unknown.append(f"{package} {name}")
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in re.findall(r"(?:`|^    )make ([a-z0-9 -]+)", page.read_text(), re.MULTILINE):
        unknown += [f"make {name}" for name in line.split() if name not in targets and "-" not in name[:1]]
    assert unknown == []


def parse(package, arguments):
    """Parse a command line without running it; SystemExit if it is wrong."""
    if package in ("edge_runtime.webcam", "atpn-webcam"):
        return parse_flags(WebcamConfig, package, "", arguments)
    if package == "edge_runtime.doctor":
        return parse_flags(DoctorConfig, package, "", arguments)
    name, *rest = arguments
    if package == "atpn":
        module, config, _ = atpn.__main__.COMMANDS[name]
        return tyro.cli(getattr(importlib.import_module(module), config), args=rest)
    if package == "export":
        return tyro.cli(export.__main__.COMMANDS[name][1], args=rest)
    if package == "benchmarks":
        module, _, config, _ = benchmarks.__main__.COMMANDS[name]
        return parse_flags(getattr(importlib.import_module(f"benchmarks.{module}"), config), name, "", rest)
    return parse_flags(platform_checks.__main__.COMMANDS[name][1], name, "", rest)


def command_lines(page):
    """Yield package and arguments of the page's commands in blocks; those with placeholders are left out."""
    for line in page.read_text().replace("\\\n", " ").splitlines():
        found = COMMAND_LINE.match(line)
        if found and not re.search(r"…|\.\.\.| NAME\b|--help", found[2]):
            yield found[1], shlex.split(found[2], comments=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_options_of_commands_exist(page):
    wrong = []
    for package, arguments in command_lines(page):
        try:
            parse(package, arguments)
        except SystemExit:
            wrong.append(f"{package} {shlex.join(arguments)}")
    assert wrong == []


def test_command_lines_of_the_pages_are_found():
    assert sum(len(list(command_lines(page))) for page in PAGES) > 50


@pytest.mark.parametrize("package", [atpn, benchmarks, export, platform_checks], ids=lambda package: package.__name__)
def test_help_lists_the_commands_on_standard_output(package, capsys):
    assert package.__main__.main(["--help"]) == 0
    listed = capsys.readouterr().out
    assert [name for name in COMMANDS[package.__name__] if f"  {name} " not in listed] == []
    assert package.__main__.main(["unknown"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == listed


def test_the_papers_page_names_code_and_tests_that_exist():
    text = (ROOT / "docs/papers.md").read_text()
    named = re.findall(r"`((?:atpn|edge_runtime|tests)/[\w/]+\.py)(?:::(\w+))?`", text)
    assert len(named) > 40
    for path, test in named:
        assert (ROOT / path).is_file(), path
        assert not test or f"def {test}(" in (ROOT / path).read_text(), f"{path}::{test}"
    rows = [row for row in text.splitlines() if row.startswith("| ") and " --- " not in row]
    assert all("tests/" in row or "| test |" in row for row in rows)
    for table in re.findall(r"`ablate --table ([\w-]+)`", text):
        assert table in TABLES
    for protocol in re.findall(r"`evaluate --protocol ([\w-]+)", text):
        assert protocol in PROTOCOLS
