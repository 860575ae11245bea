"""What the checks of a release found: errors, which keep it from going out, and warnings, each with its path.

A path points into the full mod as it was sent, such as ``packages.0.filelist.3.checksum``. Nothing is lost sight of:
of one kind the first are spelled out and the others counted, so that a thousand wrong sums do not hide a missing mod.
"""

from __future__ import annotations

from collections import Counter

from knossos.packaging.description import Problem
from knossos.packaging.description.problems import problem

#: How many problems of one kind are spelled out.
MOST_OF_A_KIND = 25


class Findings:
    """Takes problems from all checks in any order."""

    def __init__(self) -> None:
        self._lists: dict[bool, dict[tuple[str, str], None]] = {True: {}, False: {}}
        self._counts: Counter[tuple[bool, str]] = Counter()

    def error(self, kind: str, path: str, message: str) -> None:
        """A problem that has to be solved. ``kind`` is what it is counted with, such as "files in filelist"."""
        self._add(True, kind, path, message)

    def warning(self, kind: str, path: str, message: str) -> None:
        """Something the releaser should look at; the release goes out all the same."""
        self._add(False, kind, path, message)

    @property
    def errors(self) -> list[Problem]:
        """All errors, by their place in the document; the uncounted ones of a kind in one line at the end."""
        return self._listed(True)

    @property
    def warnings(self) -> list[Problem]:
        return self._listed(False)

    def __bool__(self) -> bool:
        """Whether there is any error."""
        return bool(self._lists[True])

    def _add(self, is_error: bool, kind: str, path: str, message: str) -> None:
        listed = self._lists[is_error]
        if (path, message) in listed:
            return
        self._counts[is_error, kind] += 1
        if self._counts[is_error, kind] <= MOST_OF_A_KIND:
            listed[path, message] = None

    def _listed(self, is_error: bool) -> list[Problem]:
        found = sorted(self._lists[is_error], key=lambda item: _place(item[0]))
        problems = [problem(path, message) for path, message in found]
        for (of_errors, kind), count in self._counts.items():
            if of_errors is is_error and count > MOST_OF_A_KIND:
                problems.append(problem("", f"and {count - MOST_OF_A_KIND:,} more: {kind}"))
        return problems


def _place(path: str) -> list[tuple[int, str]]:
    """Numbers in a path sort as numbers."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in path.split(".")]
