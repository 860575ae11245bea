"""Regular expressions that an operator wrote, over texts that anybody sends.

They mean what they mean to Python's ``re`` (look-around and letters of all alphabets too), but none is kept busy by a
text for longer than `MOST_SECONDS`: thirty letters are enough for ``re`` to try ``(a+)+$`` for a minute, and the whole
process stands still meanwhile. Where a pattern has no need of all that, `line_patterns` has RE2, whose time is in
proportion to the text.
"""

from __future__ import annotations

from functools import lru_cache

import regex

Match = regex.Match[str]

#: Seconds of processor time that one text may take.
MOST_SECONDS = 0.25


@lru_cache(maxsize=256)
def read(pattern: str, *, ascii_only: bool = False) -> regex.Pattern[str]:
    r"""A pattern, ready to be used.

    Args:
        ascii_only: whether ``\d``, ``\w`` and ``\s`` stand for ASCII only, as they do in browsers.

    Raises:
        ValueError: it is none.
    """
    try:
        return regex.compile(pattern, regex.VERSION0 | (regex.ASCII if ascii_only else regex.UNICODE))
    except (regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"expected a regular expression: {error}") from error


def match(pattern: str, text: str) -> Match | None:
    """What the pattern finds at the start of the text.

    Raises:
        TimeoutError: the text would keep it busy for too long.
    """
    return read(pattern).match(text, timeout=MOST_SECONDS)


def is_all(pattern: str, text: str) -> bool:
    """Whether the pattern matches all of the text, as in a form of HTML.

    Raises:
        TimeoutError: the text would keep it busy for too long.
    """
    return read(pattern, ascii_only=True).fullmatch(text, timeout=MOST_SECONDS) is not None
