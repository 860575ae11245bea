"""The documents of a request: the one that was sent, and on the command line the files that it includes.

An included file lies below the folder of the description that was given first, symlinks resolved. A file that is
included twice is read once, so that a circle ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knossos.packaging.description.json_text import read_json
from knossos.packaging.description.problems import DescriptionInvalid, Problem, join_path, json_kind, problem

#: Most files that one description may include, directly and through others, and the largest of them in bytes.
MAX_INCLUDES = 1000
MAX_BYTES = 64 * 1024**2


@dataclass(frozen=True)
class Document:
    """One description: the path of errors in it, the keys around its mods, and the mods, each with its path."""

    path: str
    envelope: dict[str, Any]
    mods: list[tuple[str, Any]]


def read_documents(data: Any, folder: Path | None) -> tuple[list[Document], list[Problem]]:
    """All documents, the first one first; without a folder, ``includes`` are a problem."""
    reader = _Reader(folder.resolve() if folder else None)
    reader.add("", data, reader.root)
    return reader.documents, reader.problems


class _Reader:
    def __init__(self, root: Path | None) -> None:
        self.root = root
        self.documents: list[Document] = []
        self.problems: list[Problem] = []
        self._seen: set[Path] = set()

    def add(self, path: str, data: Any, folder: Path | None) -> None:
        if not isinstance(data, dict):
            self.problems.append(
                problem(path, f'expected an object with "mods", or one mod, but this is {json_kind(data)}')
            )
            return
        if _is_bare_mod(data):
            self.documents.append(Document(path, {}, [(path, data)]))
            return
        self.documents.append(Document(path, data, list(_numbered(join_path(path, "mods"), data.get("mods")))))
        if "mods" not in data and not data.get("includes") and not data.get("remote_includes"):
            self.problems.append(problem(join_path(path, "mods"), "this is required: a list of mods"))
        self._follow(join_path(path, "includes"), data.get("includes"), folder)

    def _follow(self, path: str, includes: Any, folder: Path | None) -> None:
        if not includes:
            return
        if folder is None or self.root is None:
            self.problems.append(
                problem(path, "expected no includes: only the command-line tool reads files; put all mods under mods")
            )
            return
        for place, name in _numbered(path, includes):
            if not isinstance(name, str):
                continue  # the envelope's check names it
            try:
                self._include(place, (folder / name).resolve())
            except DescriptionInvalid as error:
                self.problems += [problem(join_path(place, one["path"]), one["message"]) for one in error.errors]
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                self.problems.append(problem(place, f"{name} cannot be read: {reason}"))

    def _include(self, path: str, file: Path) -> None:
        if self.root is None or not file.is_relative_to(self.root):
            raise ValueError("expected a file below the folder of the description")
        if file in self._seen:
            return
        self._seen.add(file)
        if len(self._seen) > MAX_INCLUDES:
            raise ValueError(f"expected at most {MAX_INCLUDES} included files")
        if not file.is_file():
            raise ValueError("expected a file that exists")
        if file.stat().st_size > MAX_BYTES:
            raise ValueError(f"expected a file of at most {MAX_BYTES} bytes")
        self.add(path, read_json(file.read_bytes()), file.parent)


def _is_bare_mod(data: dict[str, Any]) -> bool:
    return "mods" not in data and any(key in data for key in ("id", "title", "version", "packages"))


def _numbered(path: str, value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield join_path(path, index), item
