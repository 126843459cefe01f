"""What users import comes from the package itself."""

import ast
import re
from pathlib import Path

import pytest

import edge_runtime

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def imported_modules(code):
    """Yield the module of each import from the runtime."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("edge_runtime"):
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("edge_runtime"))


@pytest.mark.parametrize("path", [*sorted((ROOT / "examples").glob("*.py")), *PAGES], ids=lambda path: path.name)
def test_examples_and_pages_import_public_names_only(path):
    text = path.read_text()
    blocks = [text] if path.suffix == ".py" else re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for block in blocks:
        assert set(imported_modules(block)) <= {"edge_runtime"}


def test_every_public_name_exists_and_says_what_it_is():
    assert sorted(edge_runtime.__all__, key=str.lower) == sorted(set(edge_runtime.__all__), key=str.lower)
    for name in edge_runtime.__all__:
        value = getattr(edge_runtime, name)
        if isinstance(value, type) or callable(value):
            assert (value.__doc__ or "").strip(), name


def test_every_error_a_user_may_meet_is_public():
    errors = {name for name in vars(edge_runtime.errors) if name.endswith("Error") and name[0].isupper()}
    assert errors <= set(edge_runtime.__all__)
