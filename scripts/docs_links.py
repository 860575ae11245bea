"""The links of README.md and docs/: where each leads, and which lead nowhere.

Usage: python -m scripts.docs_links        (exit code 1, and a line for each broken link or missing file)

A link within the repository leads to a file that is there, and where it names a heading, to one that is there; a file
of the repository that is only named, in `code`, is there as well. The pages are read as they stand, so this needs no
MkDocs, which checks its own pages once more when it builds them. Links to other hosts are not followed: only that they
could be addresses is looked at.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^( *)(`{3,}|~{3,}).*?^\1\2`*[ ]*$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")
_LINK = re.compile(r"\]\(<?([^()\s<>]*)>?(?: \"[^\"]*\")?\)")
_AUTOMATIC = re.compile(r"<(https?:[^>]*)>")
#: What pages name as a file or folder of the repository.
_NAMED = re.compile(r"`((?:benchmarks|conf|docs|examples|knossos|scripts|static|tests)/[\w./@-]*)`")
#: What an installation has and the repository has not.
_MADE = {"conf/settings.py"}
_HEADING = re.compile(r"^#{1,6} +(.+?)(?: +#+)?$", re.MULTILINE)


@dataclass(frozen=True)
class Link:
    page: Path
    line: int
    target: str

    @property
    def is_external(self) -> bool:
        return bool(urlsplit(self.target).scheme)

    @property
    def file(self) -> Path:
        """The file that a link within the repository leads to."""
        path = unquote(urlsplit(self.target).path)
        return (self.page.parent / path).resolve() if path else self.page

    @property
    def heading(self) -> str:
        return unquote(urlsplit(self.target).fragment)

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}: {self.target}"


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def without_code(text: str) -> str:
    """The text with blanks where code stands, so that lines keep their numbers and characters their places."""
    blank = re.compile(r"[^\n]")
    text = _FENCE.sub(lambda found: blank.sub(" ", found[0]), text)
    return _CODE.sub(lambda found: found[0] if "](" in found[0] else blank.sub("x", found[0]), text)


def links(page: Path) -> Iterator[Link]:
    text = without_code(page.read_text("utf-8"))
    for pattern in (_LINK, _AUTOMATIC):
        for found in pattern.finditer(text):
            yield Link(page, text.count("\n", 0, found.start()) + 1, found[1])


def anchors(page: Path) -> set[str]:
    """What headings are called in addresses: lower case, hyphens for blanks, nothing but letters, digits and _."""
    text = _FENCE.sub("", page.read_text("utf-8"))
    found: list[str] = []
    for heading in _HEADING.findall(text):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w -]", "", words.lower()).strip().replace(" ", "-")
        found.append(f"{name}_{found.count(name)}" if name in found else name)
    return set(found)


def wrong(link: Link) -> str:
    """What is wrong with a link; "" for a good one."""
    if link.is_external:
        parts = urlsplit(link.target)
        if parts.scheme == "mailto":
            return "" if "@" in parts.path else "this is no address of a mailbox"
        good = parts.scheme in ("http", "https") and re.fullmatch(r"[a-z0-9.-]+(:[0-9]+)?", parts.netloc)
        return "" if good else "this is no address"
    if not link.target:
        return "it leads nowhere"
    if link.target.startswith("/") or not link.file.is_relative_to(ROOT):
        return "it leads out of the repository"
    if not link.file.exists():
        return "there is no such file"
    if link.heading and (link.file.suffix != ".md" or link.heading not in anchors(link.file)):
        return "there is no such heading"
    return ""


def missing_names(page: Path) -> Iterator[str]:
    """Files that a page names and that are not there."""
    text = _FENCE.sub("", page.read_text("utf-8"))
    yield from (name for name in _NAMED.findall(text) if name not in _MADE and not (ROOT / name).exists())


def broken() -> list[str]:
    found = [f"{link}: {reason}" for page in pages() for link in links(page) if (reason := wrong(link))]
    named = [f"{page.relative_to(ROOT)}: {name} is not there" for page in pages() for name in missing_names(page)]
    return found + named


if __name__ == "__main__":
    found = broken()
    print("\n".join(found) or "all links lead somewhere")
    sys.exit(1 if found else 0)
