"""Finding the file that was probably meant by a path that does not exist, without comparing each with each."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable


class Spellings:
    """The paths that there are. Made for many questions: each takes the same time, however many paths there are."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._whole: dict[str, str] = {}
        self._last: dict[str, str] = {}
        for path in paths:
            key = _comparable(path)
            self._whole.setdefault(key, path)
            self._last.setdefault(key.rpartition("/")[2], path)

    def meant_by(self, wanted: str) -> str | None:
        """The path that is the same but for case and slashes; else one whose file is called the same."""
        key = _comparable(wanted)
        return self._whole.get(key) or self._last.get(key.rpartition("/")[2])

    def same_but_for_case(self, wanted: str) -> str | None:
        return self._whole.get(_comparable(wanted))


def _comparable(path: str) -> str:
    return posixpath.normpath(path.replace("\\", "/")).lstrip("/").casefold()
