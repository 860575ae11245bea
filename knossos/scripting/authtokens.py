"""AUTHTOKEN_CONFIG: which scripts get a token with roles of their own rather than their caller's.

Owns reading and checking the YAML file (linkahead.md, "Permissions"). It is read again when it changes; a change that
breaks it is logged with file and field, and the entries of before go on to count. One that is broken when the server
starts is an error of the settings.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from knossos.errors import SettingsError
from knossos.scripting.access import EXECUTE
from knossos.settings import ROOT, Settings

SETTING = "AUTHTOKEN_CONFIG"
#: A file that is larger in bytes is not what it should be.
MAX_BYTES = 1024 * 1024

_log = logging.getLogger(__name__)

RoleName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$")]


class AuthToken(BaseModel):
    """One entry: the token that the script of ``purpose`` gets."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    #: Such as ``SCRIPTING:EXECUTE:handle_csv.py``: the script's name, word for word.
    purpose: Annotated[str, Field(pattern=rf"^{EXECUTE}.+$", max_length=600)]
    roles: Annotated[list[RoleName], Field(max_length=100)]
    #: Permissions beside those of the roles.
    permissions: Annotated[list[Annotated[str, Field(min_length=1, max_length=600)]], Field(max_length=100)] = []
    #: None: it is good for as long as the run.
    expires_after_seconds: Annotated[float, Field(gt=0, le=10 * 365 * 86400)] | None = None
    #: Requests that may be made with it; None: any number.
    max_replays: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None

    @property
    def script(self) -> str:
        return self.purpose.removeprefix(EXECUTE)


class AuthTokens:
    """Safe for threads."""

    def __init__(self, settings: Settings) -> None:
        self._file = (ROOT / Path(settings.authtoken_config).expanduser()) if settings.authtoken_config else None
        self._lock = threading.Lock()
        self._version: tuple[int, int, int] | None = None
        self._entries: dict[str, AuthToken] | None = None

    def check(self) -> None:
        """Say before anything runs that the file cannot be used.

        Raises:
            SettingsError: it is missing, no YAML, or a field is wrong.
        """
        if self._file is not None:
            self._current(self._file)

    def of_script(self, name: str) -> AuthToken | None:
        """The entry of the script with that name. Raises SettingsError as `check` does."""
        return None if self._file is None else self._current(self._file).get(name)

    def roles(self) -> frozenset[str]:
        """All roles that entries name. Raises SettingsError as `check` does."""
        entries = {} if self._file is None else self._current(self._file)
        return frozenset(role for entry in entries.values() for role in entry.roles)

    def scripts(self) -> frozenset[str]:
        """The names of all scripts with an entry. Raises SettingsError as `check` does."""
        return frozenset() if self._file is None else frozenset(self._current(self._file))

    def _current(self, file: Path) -> dict[str, AuthToken]:
        with self._lock:
            try:
                version = _version(file)
                if self._entries is None or version != self._version:
                    self._version = version
                    self._entries = read(file)
            except SettingsError as error:
                if self._entries is None:
                    raise
                _log.error("%s; what it said before goes on to count", error.message)
            return self._entries


def read(file: Path) -> dict[str, AuthToken]:
    """The entries of a file by their scripts' names.

    Raises:
        SettingsError: its message names the file and the field.
    """
    try:
        data = file.read_bytes()
        if len(data) > MAX_BYTES:
            raise _broken(file, f"expected at most {MAX_BYTES} bytes")
        content: Any = yaml.safe_load(data)
    except OSError as error:
        raise _broken(file, f"it cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _broken(file, f"this is no YAML: {' '.join(str(error).split())}") from error
    if content is None:
        return {}
    if not isinstance(content, list):
        raise _broken(file, "expected a list of entries, each with purpose and roles")
    entries: dict[str, AuthToken] = {}
    for number, item in enumerate(content):
        entry = _entry(file, number, item)
        if entry.script in entries:
            raise _broken(file, f"[{number}].purpose: there is another entry for {entry.purpose}")
        entries[entry.script] = entry
    return entries


def _entry(file: Path, number: int, item: object) -> AuthToken:
    try:
        return AuthToken.model_validate(item)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        place = f"[{number}].{field}" if field else f"[{number}]"
        raise _broken(file, f"{place}: {first['msg']}") from error


def _version(file: Path) -> tuple[int, int, int]:
    try:
        about = file.stat()
    except OSError as error:
        raise _broken(file, f"it cannot be read: {error.strerror or error}") from error
    return about.st_mtime_ns, about.st_size, about.st_ino


def _broken(file: Path, reason: str) -> SettingsError:
    return SettingsError(f"{SETTING}: {file}: {reason}", setting=SETTING)
