"""Writing a result to where the user wants it: a file, a device or a pipe, standard output.

A file is there as a whole or not at all, and keeps the permissions that it had. A symbolic link stays, and what it
leads to is replaced. What is there and is no file (a device, a pipe) is written to as it is, never replaced.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from knossos.errors import InvalidInput, KnossosError

#: Lists and objects that lie deeper than this are written in one line: a file of a filelist takes one.
LEVELS = 6


class TargetUnusable(InvalidInput):
    """The result cannot be written to what was named."""

    code = "target_unusable"


class OutputFailed(KnossosError):
    """Writing the result failed, though its place had looked fine."""

    code = "output_failed"


def check_target(name: str) -> None:
    """Say before the work that its result could not be written; "-" is standard output.

    Raises:
        TargetUnusable
    """
    if name == "-":
        return
    place = Path(os.path.realpath(name))
    about = _about(place)
    if about is not None and not stat.S_ISREG(about.st_mode) and not stat.S_ISDIR(about.st_mode):
        usable = os.access(name, os.W_OK)
    else:
        usable = not place.is_dir() and place.parent.is_dir() and os.access(place.parent, os.W_OK)
    if not usable:
        raise TargetUnusable(f"{name}: expected a file in a folder that can be written to")


def write_output(name: str, pieces: Iterable[str]) -> None:
    """Write a text that comes in pieces.

    Raises:
        OutputFailed: with the system's reason.
    """
    try:
        if name == "-":
            _write_to_standard_output(pieces)
        else:
            _write_to(Path(os.path.realpath(name)), Path(name), pieces)
    except OSError as error:
        shown = "standard output" if name == "-" else name
        raise OutputFailed(f"{shown} cannot be written: {error.strerror or error}", target=name) from error


def json_pieces(value: Any, level: int = 0) -> Iterator[str]:
    """JSON text in pieces, so that no second copy of a large one is held; indented down to LEVELS."""
    if level >= LEVELS or not value or not isinstance(value, dict | list):
        yield json.dumps(value, ensure_ascii=False)
        return
    start, end = "{}" if isinstance(value, dict) else "[]"
    before = f"{start}\n{'  ' * (level + 1)}"
    for item in value:
        yield before
        if isinstance(value, dict):
            yield f"{json.dumps(item, ensure_ascii=False)}: "
            yield from json_pieces(value[item], level + 1)
        else:
            yield from json_pieces(item, level + 1)
        before = f",\n{'  ' * (level + 1)}"
    yield f"\n{'  ' * level}{end}"


def abandon_standard_output() -> None:
    """After it failed: what is left in its buffer would be tried again, and complained of, at the very end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _about(place: Path) -> os.stat_result | None:
    try:
        return place.stat()
    except OSError:
        return None


def _write_to_standard_output(pieces: Iterable[str]) -> None:
    try:
        sys.stdout.flush()
        for piece in pieces:
            sys.stdout.buffer.write(piece.encode("utf-8"))
        sys.stdout.buffer.flush()
    except OSError:
        abandon_standard_output()
        raise


def _write_to(place: Path, named: Path, pieces: Iterable[str]) -> None:
    about = _about(named)
    if about is not None and not stat.S_ISREG(about.st_mode):
        with open(os.open(named, os.O_WRONLY), "w", encoding="utf-8") as stream:
            stream.writelines(pieces)
        return
    handle, temporary = tempfile.mkstemp(dir=place.parent, prefix=".knossos-")
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.writelines(pieces)
            file.flush()
            if about is not None:
                with suppress(OSError):  # only root may give files away
                    os.fchown(handle, about.st_uid, about.st_gid)
            os.fchmod(handle, 0o666 & ~_umask() if about is None else stat.S_IMODE(about.st_mode))
            os.fsync(handle)
        os.replace(temporary, place)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
