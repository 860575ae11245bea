"""What MkDocs does besides for our pages (a hook of mkdocs.yml): links to files of the repository lead somewhere.

Pages link to conf/, examples/ and the like, which are no pages. The site brings a copy of each such file as text, below
``tree/``, so that it is whole by itself, wherever it lies.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from scripts.docs_links import DOCS, ROOT, Link, links


def on_files(files: Files, config: Any) -> Files:
    """Add the files of the repository that pages link to."""
    for page in sorted(DOCS.rglob("*.md")):
        for link in _leaving(page):
            address = _address(link.file)
            if files.get_file_from_path(address) is None:
                files.append(File.generated(config, address, content=_content(link.file)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Lead the links of a page that leave docs/ to those copies."""
    source = DOCS / page.file.src_uri
    for link in _leaving(source):
        there = posixpath.relpath(_address(link.file), posixpath.dirname(page.file.src_uri) or ".")
        markdown = re.sub(rf"\]\({re.escape(link.target)}\)", f"]({there})", markdown)
    return markdown


def _leaving(page: Path) -> Iterator[Link]:
    return (link for link in links(page) if not link.is_external and not link.file.is_relative_to(DOCS))


def _address(file: Path) -> str:
    return f"tree/{file.relative_to(ROOT).as_posix()}.txt"


def _content(file: Path) -> str:
    """A file's text; of a folder the names of what is in it."""
    if file.is_dir():
        return "".join(f"{one.name}{'/' if one.is_dir() else ''}\n" for one in sorted(file.iterdir()))
    return file.read_text("utf-8")
