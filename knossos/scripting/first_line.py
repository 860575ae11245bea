"""The first line of a script, which names its interpreter; where that is no good, the system's words lead astray."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

#: Bytes of a first line that the system looks at (linux/binfmts.h).
MAX_BYTES = 256


def what_is_wrong(program: Path, is_there: Callable[[str], bool] = lambda path: True) -> str:
    """Why the system cannot start a program by its first line; "" where it can, or where it has no such line.

    What is said of a line is that line alone, without anything of where the program lies.

    Args:
        is_there: whether the program will find a path of this machine, where it does not see all of it.
    """
    try:
        with open(program, "rb") as file:
            line, _, _ = file.read(MAX_BYTES).partition(b"\n")
    except OSError:
        return ""
    if not line.startswith(b"#!"):
        return ""
    if line.endswith(b"\r"):
        return "its lines end as in files of Windows; expected a line feed alone"
    words = line[2:].split()
    there = bool(words) and os.access(words[0], os.X_OK)
    if there and is_there(os.fsdecode(words[0])):
        return ""
    shown = "".join(sign if sign.isprintable() else "?" for sign in line.decode("utf-8", "replace"))
    if there:
        return f"scripts cannot see the interpreter of its first line: {shown}"
    return f"the interpreter of its first line is not there: {shown}"
