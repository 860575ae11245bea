"""From the fields of a form to the command line of a script, as LinkAhead clients mean it (linkahead.md).

``call`` is the script, ``-p0``, ``-p1`` ... are positional arguments, ``-ONAME`` is ``--NAME=value``, and a file is put
into ``.upload_files/`` under its base name; where its field is one of these, that argument is the file's path.

Pure. Fields come one by one, as a body is read, so that what is too much is refused before the rest of it is in memory.
What always holds of a call: each file's name is one plain name, no two are the same, no text holds a NUL or is no
UTF-8, and all that a user may not send was refused with its field's name. Values are data: one that looks like an
option is passed on as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from knossos.errors import InvalidInput
from knossos.scripting.plan import UPLOADS
from knossos.settings import Settings

#: Longest single argument in bytes: what Linux takes, without the NUL at its end.
MAX_ONE_ARGUMENT_BYTES = 128 * 1024 - 1
#: Longest name of a file in bytes: what file systems take.
MAX_FILE_NAME_BYTES = 255
#: The argument that the server itself gives.
AUTH_TOKEN_OPTION = "auth-token"  # noqa: S105 - the name of an option

_POSITION = re.compile(r"-p(0|[1-9][0-9]{0,8})", re.ASCII)
_OPTION = re.compile(r"-O(\w[\w.-]{0,99})")
#: A character that is not ASCII, as the LinkAhead client writes it in the name of a file.
_REFERENCE = re.compile(r"&#([0-9]{3,7});")


class BadArgument(InvalidInput):
    """A field of a call breaks a rule; ``field`` is its name."""

    code = "bad_argument"


@dataclass(frozen=True)
class ScriptCall:
    """A script's name, what follows it, and the base names of the files that came along, in the order they came."""

    name: str
    arguments: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The call as it is shown: without the script's folder and without its token."""
        return " ".join((self.name, *self.arguments))


@dataclass
class CallFields:
    """The fields of a form as they come. ``max_arguments`` counts files, too; ``max_bytes`` is that of all values."""

    max_arguments: int
    max_bytes: int
    #: What ``call`` says; None while it has not come.
    script: str | None = None
    _options: dict[str, str] = field(default_factory=dict)
    _positions: dict[int, str] = field(default_factory=dict)
    _files: dict[str, str] = field(default_factory=dict)
    _count: int = 0
    _bytes: int = 0

    def add(self, name: str, value: bytes) -> None:
        """A field with a text. One whose name does not begin with ``-`` and is not ``call`` means nothing to us.

        Raises:
            BadArgument
        """
        self._bytes += len(value)
        if self._bytes > self.max_bytes:
            raise _bad(name, f"with it the arguments take more than SCRIPT_ARGUMENT_BYTES, {self.max_bytes} bytes")
        if name == "call":
            if self.script is not None:
                raise _bad(name, "expected it once")
            self.script = _text(name, value)
        elif name.startswith("-"):
            self._count_one(name)
            self._put(name, _text(name, value))

    def room(self) -> int:
        """Bytes that the next value may have."""
        return self.max_bytes - self._bytes

    def add_file(self, name: str, filename: str) -> str:
        """A file in the field ``name``; answers the base name under which it is kept.

        Raises:
            BadArgument
        """
        base = base_name(name, filename)
        if base in self._files:
            raise _bad(name, f"a file that is called {base!r} came with the field {self._files[base]!r} already")
        self._count_one(name)
        self._files[base] = name
        if name.startswith("-"):
            self._put(name, f"{UPLOADS}/{base}")
        return base

    def call(self) -> ScriptCall:
        """All of it.

        Raises:
            BadArgument: ``call`` is missing.
        """
        if not self.script:
            raise _bad("call", "expected the name of a script")
        options = (f"--{name}={value}" for name, value in self._options.items())
        positions = (value for _, value in sorted(self._positions.items()))
        return ScriptCall(self.script, (*options, *positions), tuple(self._files))

    def _count_one(self, name: str) -> None:
        self._count += 1
        if self._count > self.max_arguments:
            raise _bad(name, f"expected at most SCRIPT_ARGUMENTS, {self.max_arguments}, arguments and files")

    def _put(self, name: str, value: str) -> None:
        if len(name.encode("utf-8", "surrogatepass")) + 1 + len(value.encode()) > MAX_ONE_ARGUMENT_BYTES:
            raise _bad(name, f"expected at most {MAX_ONE_ARGUMENT_BYTES} bytes with its name: no program takes more")
        if position := _POSITION.fullmatch(name):
            number = int(position[1])
            if number in self._positions:
                raise _bad(name, "expected it once")
            self._positions[number] = value
            return
        option = _OPTION.fullmatch(name)
        if option is None:
            raise _bad(name, "expected -p with a number, or -O with a name of letters, digits, '_', '.' and '-'")
        if option[1] == AUTH_TOKEN_OPTION:
            raise _bad(name, "the server gives this argument itself")
        if option[1] in self._options:
            raise _bad(name, "expected it once")
        self._options[option[1]] = value


def fields_of(settings: Settings) -> CallFields:
    """An empty form, with the limits of the settings."""
    return CallFields(settings.script_arguments, settings.script_argument_bytes)


def base_name(name: str, filename: str) -> str:
    """The last part of the path that a client gave as the name of a file in the field ``name``.

    Raises:
        BadArgument: that is no name that a file should have.
    """
    if filename.isascii():
        filename = _REFERENCE.sub(_character, filename)
    base = re.split(r"[/\\]", filename)[-1]
    if base in ("", ".", ".."):
        raise _bad(name, "expected a file with a name")
    if not base.isprintable():
        raise _bad(name, "expected a file's name without control characters")
    if base.startswith("."):
        raise _bad(name, f"expected a file's name that does not begin with a dot, not {base[:100]!r}")
    if len(base.encode("utf-8", "surrogatepass")) > MAX_FILE_NAME_BYTES:
        raise _bad(name, f"expected a file's name of at most {MAX_FILE_NAME_BYTES} bytes")
    return base


def _character(reference: re.Match[str]) -> str:
    number = int(reference[1])
    return chr(number) if 128 <= number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF else reference[0]


def _text(name: str, value: bytes) -> str:
    if b"\0" in value:
        raise _bad(name, "expected a text without NUL bytes")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _bad(name, "expected a text in UTF-8") from error


def _bad(name: str, message: str) -> BadArgument:
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name[:100])
    return BadArgument.at(shown, message, field=shown)
