"""Hooks of mkdocs: pages whose text is a file in the repository's root."""

from pathlib import Path
from typing import Any

ROOT_FILES = {"changelog.md": "CHANGELOG.md", "security.md": "SECURITY.md"}
"""File in the repository's root by page."""


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Return the page's text; for those of the root, the file's, with its links made relative to `docs`."""
    if page.file.src_uri not in ROOT_FILES:
        return markdown
    file = Path(config["config_file_path"]).with_name(ROOT_FILES[page.file.src_uri])
    return file.read_text().replace("](docs/", "](")
