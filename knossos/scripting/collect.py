"""What is kept of a run that has ended: its output, what it shared, a runner's attachments and results.

No process of the run lives any more, but what it left may be a trap: links that lead out of the folder, FIFOs that
block whoever opens them, files without end, names that are no text. So folders are walked without following links,
only regular files are taken, and their number and their sizes are bounded: what they take on disk was, while it ran,
but a file with holes takes nearly nothing and is as long as it likes.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import stat
from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from knossos.scripting.plan import FileRole, ResultsPlan
from knossos.scripting.run_records import KeptFile, run_prefix
from knossos.scripting.runners.outputs import linked_results, missing_results, parse_results
from knossos.storage import Storage

#: Most files that are kept of one run, and that its folders are searched for.
MAX_KEPT = 1_000
MAX_SEARCHED = 100_000
#: Folders below each other that are searched.
MAX_DEPTH = 100
#: Files of which is said, one by one, why they are not kept.
MAX_TOLD = 20
_OURS = 0o700


class Collector:
    """Keeps files of one run, ``most_bytes`` at the most. ``warn`` is told what was left out, and why."""

    def __init__(self, run_id: str, storage: Storage, warn: Callable[[str], None], most_bytes: int) -> None:
        self._run_id = run_id
        self._storage = storage
        self._warn = warn
        self._left = most_bytes
        #: Files that were left out, and those of them of which nothing was said yet.
        self._told = self._untold = 0
        self.kept: list[KeptFile] = []

    def keep(self, role: FileRole, path: Path, name: str) -> None:
        """Keep a file; it leaves its folder."""
        about = path.stat()
        if not about.st_mode & stat.S_IRUSR:
            path.chmod(0o600)
        size = about.st_size
        key = f"{run_prefix(self._run_id)}/{len(self.kept)}"
        self._storage.put_file(key, path)
        self.kept.append(KeptFile(len(self.kept), role, name, size, key))

    def keep_output(self, paths: dict[FileRole, Path]) -> None:
        """Keep the streams that brought something."""
        for role, path in paths.items():
            if path.stat().st_size:
                self.keep(role, path, str(role))

    def keep_shared(self, folder: Path) -> None:
        """Keep all files of SHARED_DIR."""
        for name, path in self._regular_files(folder):
            self.keep(FileRole.SHARED, path, name)

    def keep_results(self, plan: ResultsPlan, folder: Path, output: dict[FileRole, Path], spare: Path) -> None:
        """Read a runner's results, and keep them as JSON. ``spare`` is a path for that on the same disk.

        Raises:
            ResultsBroken: there are none, or they are not what the runner says.
        """
        path = output[FileRole(plan.source)] if plan.source != "file" else _result_file(folder, plan)
        with path.open("rb") as stream:
            found: Any = parse_results(plan, stream)
        spare.write_text(json.dumps(found, ensure_ascii=False, allow_nan=False), "utf-8")
        self.keep(FileRole.RESULTS, spare, "results.json")

    def keep_attachments(self, patterns: tuple[str, ...], folder: Path) -> None:
        """Keep the files of the run's directory that one of the patterns matches."""
        if patterns:
            for name, path in self._regular_files(folder, lambda name: matches(name, patterns)):
                self.keep(FileRole.ATTACHMENT, path, name)

    def keep_all(self, folder: Path, skip: Collection[str] = ()) -> None:
        """Keep all files of the run's directory but those with a name of ``skip``."""
        for name, path in self._regular_files(folder, lambda name: name not in skip):
            self.keep(FileRole.WRITTEN, path, name)

    def _regular_files(
        self, folder: Path, wanted: Callable[[str], bool] = lambda name: True
    ) -> Iterator[tuple[str, Path]]:
        self._untold = 0
        for searched, (name, path) in enumerate(_files_below(folder), 1):
            if not wanted(name):
                continue
            if len(self.kept) >= MAX_KEPT or searched > MAX_SEARCHED:
                self._warn(f"There are more than {MAX_KEPT} files to keep; those from {_shown(name)} on are not.")
                break
            size = _size_of(path)
            if reason := _why_not(path, name) or (f"it is too large ({size} bytes)" if size > self._left else ""):
                self._leave_out(name, reason)
            else:
                self._left -= size
                yield name, path
        if self._untold:
            self._warn(f"{self._untold} more files are not kept.")

    def _leave_out(self, name: str, reason: str) -> None:
        self._told += 1
        if self._told <= MAX_TOLD:
            self._warn(f"{_shown(name)} is not kept: {reason}.")
        else:
            self._untold += 1


def _files_below(folder: Path) -> Iterator[tuple[str, Path]]:
    """All that is no folder, with its name below ``folder``: in each folder by name, and then those below by name."""
    left = [(folder, 0)]
    while left:
        parent, depth = left.pop()
        below = []
        for entry in _listed(parent):
            if entry.is_dir(follow_symlinks=False):
                below.append((Path(entry.path), depth + 1))
            else:
                path = Path(entry.path)
                yield path.relative_to(folder).as_posix(), path
        if depth < MAX_DEPTH:
            left += reversed(below)


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, which a run may have closed to its own user, and to us; nothing where it stays closed."""
    try:
        if folder.lstat().st_mode & _OURS != _OURS:
            folder.chmod(_OURS)
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _size_of(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether one of the patterns matches a path: ``*`` and ``?`` stay within a name and pass over hidden ones."""
    return any(_matches(name.split("/"), pattern.strip("/").split("/")) for pattern in patterns)


def _matches(parts: list[str], patterns: list[str]) -> bool:
    if not patterns or not parts:
        return not patterns and not parts
    if patterns[0] == "**":
        return _matches(parts, patterns[1:]) or (not parts[0].startswith(".") and _matches(parts[1:], patterns))
    hidden = parts[0].startswith(".") and not patterns[0].startswith(".")
    return not hidden and bool(_pattern(patterns[0]).match(parts[0])) and _matches(parts[1:], patterns[1:])


@lru_cache(maxsize=256)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))


def _result_file(folder: Path, plan: ResultsPlan) -> Path:
    """The file with a runner's results, if it is a file and lies in the run's directory."""
    path = folder / plan.path
    if not path.is_symlink() and not path.exists():
        raise missing_results(plan)
    if _why_not(path, plan.path) or not path.parent.resolve().is_relative_to(folder.resolve()):
        raise linked_results(plan)
    return path


def _why_not(path: Path, name: str) -> str:
    """Why a path is no file that can be kept; "" where it is one."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return "there is no such file"
    if stat.S_ISLNK(mode):
        return "it is a symbolic link"
    if not stat.S_ISREG(mode):
        return "it is not a regular file"
    if not name.isprintable() or name.encode("utf-8", "replace") != name.encode("utf-8", "surrogateescape"):
        return "its name holds characters that are no text"
    return ""


def _shown(name: str) -> str:
    return name.encode("utf-8", "replace").decode()[:200]
