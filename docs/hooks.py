"""Hooks of mkdocs: the changelog's page is the file in the repository's root."""

from pathlib import Path
from typing import Any


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Return the page's text; for the changelog, the root's, with its links made relative to `docs`."""
    if page.file.src_uri != "changelog.md":
        return markdown
    changelog = Path(config["config_file_path"]).with_name("CHANGELOG.md")
    return changelog.read_text().replace("](docs/", "](")
