"""The commands of a page of the docs, and what the page says that they print. Pure: runs nothing.

A block of ``sh`` is typed into the terminal that its title names, else into the second one, and the block of ``text``
that follows shows what one sees. There ``...`` in a line stands for what is another each time, and a line of nothing
but ``...`` for any number of lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: The title of blocks for the terminal in which the server runs: each of them ends what ran there before.
FIRST = "First terminal"

_FENCE = re.compile(r"^( *)```(\S*)([^\n]*)\n(.*?)^\1```[ ]*$", re.DOTALL | re.MULTILINE)
_TITLE = re.compile(r'title="([^"]*)"')


@dataclass(frozen=True)
class Step:
    """What is typed, where, and what is seen then; ``expected`` is None where the page does not show it."""

    line: int
    commands: str
    in_first: bool
    expected: str | None


def steps(markdown: str) -> list[Step]:
    """The steps of a page, in order.

    Raises:
        ValueError: a block of text follows no commands, or a title names no terminal.
    """
    found: list[Step] = []
    shown = True
    for fence in _FENCE.finditer(markdown):
        indent, language, title, body = fence.groups()
        line = markdown.count("\n", 0, fence.start()) + 1
        text = "".join(part.removeprefix(indent) for part in body.splitlines(keepends=True))
        if language == "sh":
            named = _TITLE.search(title)
            if named and named[1] != FIRST:
                raise ValueError(f"line {line}: there is no terminal called {named[1]!r}")
            found.append(Step(line, text, named is not None, None))
            shown = False
        elif language == "text":
            if shown:
                raise ValueError(f"line {line}: this text follows no commands")
            last = found[-1]
            found[-1] = Step(last.line, last.commands, last.in_first, text)
            shown = True
        else:
            shown = True
    return found


def fits(expected: str, seen: str) -> bool:
    """Whether what was seen is, from its first line to its last, what the page shows."""
    return re.fullmatch(rf"\s*{_pattern(expected, '')}\s*", _plain(seen)) is not None


def fits_so_far(expected: str, seen: str) -> bool:
    """Whether all that the page shows was seen, in this order, among other lines."""
    anything = r"(?:.*\n)*?"
    return re.match(anything + _pattern(expected, anything), _plain(seen)) is not None


def _pattern(expected: str, between: str) -> str:
    parts = []
    for line in expected.strip("\n").splitlines():
        if line.strip() == "...":
            parts.append(r"(?:.*\n)*?")
        else:
            words = ".*".join(re.escape(part.rstrip() if part is line else part) for part in line.split("..."))
            parts.append(rf"{words}[ ]*\n{between}")
    return "".join(parts)


def _plain(seen: str) -> str:
    """Without the colours of a terminal, and with one end of line for all."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.replace("\r\n", "\n"))
    return text.rstrip() + "\n"
