"""Code that a page of the docs has whole: files by the title of their block, and changes of files that are there."""

from __future__ import annotations

import re
from pathlib import Path

_FILE = re.compile(r'^```\w+ title="([^"]+\.\w+)"\n(.*?)^```$', re.DOTALL | re.MULTILINE)
_DIFF = re.compile(r"^```diff\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def put_into(clone: Path, markdown: str) -> list[str]:
    """Write the page's files into a clone and make its changes; answer the names of all files that are touched.

    Raises:
        ValueError: a file is there already, or what a change begins with is not there exactly once.
    """
    touched = []
    for name, text in _FILE.findall(markdown):
        if (clone / name).exists():
            raise ValueError(f"{name} is there already")
        (clone / name).write_text(text)
        touched.append(name)
    for diff in _DIFF.findall(markdown):
        for change in re.split(r"^--- a/", diff, flags=re.MULTILINE)[1:]:
            name, _, hunks = change.partition("\n")
            _change(clone / name, hunks.split("@@\n")[1:])
            touched.append(name)
    return touched


def _change(file: Path, hunks: list[str]) -> None:
    text = "\n" + file.read_text("utf-8")
    for hunk in hunks:
        lines = hunk.splitlines(keepends=True)
        before = "\n" + "".join(line[1:] for line in lines if line[:1] in " -")
        after = "\n" + "".join(line[1:] for line in lines if line[:1] in " +")
        found = len(re.findall(f"(?={re.escape(before)})", text))
        if found != 1:
            raise ValueError(f"{file.name} has this {found} times rather than once:{before}")
        text = text.replace(before, after)
    file.write_text(text[1:], "utf-8")
