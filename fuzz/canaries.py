"""Whether anything happened outside of the folders in which it may: a tree compared before and after."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Mapping
from pathlib import Path

from fuzz.crashes import Broken, CrashKind

#: What canaries hold: whoever gets to see it has read outside of a root.
SECRET = b"canary-4b1d0c9e7f"
#: What an answer must not hold, and what that is.
CANARIES: Mapping[bytes, str] = {SECRET: "a file from outside of its root"}

#: A path below the root, with what is there.
Tree = dict[str, tuple[int, str]]


def plant(folder: Path, name: str = "canary.txt") -> Path:
    """Put a file there that nobody may read, change or remove."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(SECRET)
    return path


class Watch:
    """Everything below ``root`` but for what is in ``free``, which may change."""

    def __init__(self, root: Path, free: Collection[Path]) -> None:
        self._root = root
        self._free = {str(path) for path in free}
        self._before = self._tree()

    def check(self) -> None:
        """Compare with what was there at the beginning.

        Raises:
            Broken: something is new, gone or changed. What is there now counts from here on.
        """
        now = self._tree()
        before, self._before = self._before, now
        if now != before:
            new, gone = sorted(now.keys() - before.keys()), sorted(before.keys() - now.keys())
            changed = sorted(name for name in now.keys() & before.keys() if now[name] != before[name])
            raise Broken(CrashKind.OUTSIDE, f"outside of the roots: new {new}, gone {gone}, changed {changed}"[:2000])

    def _tree(self) -> Tree:
        found: Tree = {}
        pending = [str(self._root)]
        while pending:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.path in self._free:
                        continue
                    about = entry.stat(follow_symlinks=False)
                    found[os.path.relpath(entry.path, self._root)] = (
                        about.st_mode,
                        _content(entry.path, about.st_mode),
                    )
                    if stat.S_ISDIR(about.st_mode):
                        pending.append(entry.path)
        return found


def must_not_tell(answer: bytes, secrets: Mapping[bytes, str] = CANARIES) -> None:
    """See that an answer holds nothing of a canary, or of another secret.

    Raises:
        Broken
    """
    for secret, what in secrets.items():
        if secret in answer:
            raise Broken(CrashKind.OUTSIDE, f"an answer holds {what}")


def _content(path: str, mode: int) -> str:
    if stat.S_ISLNK(mode):
        return os.readlink(path)
    if not stat.S_ISREG(mode):
        return ""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
