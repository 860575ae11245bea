"""The scripts that can be called: executables in SERVER_SIDE_SCRIPTING_BIN_DIRS, by their paths below these.

Owns finding and listing. Nothing is kept from one request to the next but what a metadata file said, which is read
again when the file changes; so a script that is added, changed or removed counts from the next request on.

What always holds: a name leads to a file inside its folder, or to what a symlink inside the folder (that the operator
made) points to; a name that a user chose never leads anywhere else.
"""

from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from knossos.errors import InvalidInput, NotFound, SettingsError
from knossos.scripting.form_fields import path_of
from knossos.scripting.metadata import ScriptMetadata
from knossos.settings import ROOT, Settings

METADATA_SUFFIX = ".json"
#: Longest name of a script in characters.
MAX_NAME_CHARS = 500
#: Scripts that a listing shows, and folders below each other that it enters.
MAX_LISTED = 2000
MAX_DEPTH = 8

_log = logging.getLogger(__name__)


class NoSuchScript(NotFound):
    """Nothing that is called ``script`` can be run."""

    code = "no_such_script"


class BrokenScript(InvalidInput):
    """The operator's file beside the script ``script`` says something that is none."""

    code = "broken_script"


@dataclass(frozen=True)
class Script:
    """An executable that may be called."""

    #: Its path below its folder, with slashes: what callers call it.
    name: str
    #: The folder of SERVER_SIDE_SCRIPTING_BIN_DIRS that it is in.
    folder: Path
    #: The file as it is named in the folder; it may be a symlink.
    path: Path
    metadata: ScriptMetadata

    @property
    def title(self) -> str:
        return self.metadata.title or self.name


class Catalogue:
    """Safe for threads."""

    def __init__(self, settings: Settings) -> None:
        self.folders = tuple((ROOT / folder).resolve() for folder in settings.server_side_scripting_bin_dirs)
        self._read: dict[Path, tuple[tuple[int, int], ScriptMetadata]] = {}

    def check(self) -> list[str]:
        """What is wrong with the files beside the scripts, each with its path and field. Others are not concerned.

        Raises:
            SettingsError: one of SERVER_SIDE_SCRIPTING_BIN_DIRS is no folder.
        """
        for folder in self.folders:
            if not folder.is_dir():
                raise SettingsError(
                    f"SERVER_SIDE_SCRIPTING_BIN_DIRS: {folder} is no folder; expected folders with executables",
                    setting="SERVER_SIDE_SCRIPTING_BIN_DIRS",
                )
        wrong = []
        for name, _, path in self._executables():
            try:
                self._metadata(name, path)
            except BrokenScript as error:
                wrong.append(f"{path.parent}/{error.message}")
        return wrong + [f"{path}: it is not executable, so that it is no script" for path in self._described_only()]

    def find(self, name: str) -> Script:
        """The script that is called so.

        Raises:
            NoSuchScript: there is none, or it is not executable.
            BrokenScript: the file beside it is wrong.
        """
        parts = name.split("/")
        plain = 0 < len(name) <= MAX_NAME_CHARS and name.isprintable() and "\\" not in name
        if plain and not any(part in ("", ".", "..") or part.startswith(".") for part in parts):
            for folder in self.folders:
                path = folder.joinpath(*parts)
                if _stays_inside(path.parent, folder) and is_executable(path):
                    return Script(name, folder, path, self._metadata(name, path))
        raise NoSuchScript(f"There is no script {name[:MAX_NAME_CHARS]!r}.", script=name[:MAX_NAME_CHARS])

    def has(self, name: str) -> bool:
        """Whether there is a script that is called so, broken or not."""
        try:
            self.find(name)
        except NoSuchScript:
            return False
        except BrokenScript:
            pass
        return True

    def scripts(self) -> list[Script]:
        """All scripts by name. Those with a broken file beside them are left out, and the log says why."""
        found: dict[str, Script] = {}
        for name, folder, path in self._executables():
            if name in found:
                continue
            try:
                found[name] = Script(name, folder, path, self._metadata(name, path))
            except BrokenScript as error:
                _log.warning("%s", error.message)
        return sorted(found.values(), key=lambda script: script.name)

    def _executables(self) -> Iterator[tuple[str, Path, Path]]:
        count = 0
        for folder, path in self._files():
            if is_executable(path):
                count += 1
                if count > MAX_LISTED:
                    _log.warning("only the first %d scripts are listed", MAX_LISTED)
                    return
                yield path.relative_to(folder).as_posix(), folder, path

    def _described_only(self) -> Iterator[Path]:
        """Files with a metadata file beside them that cannot be run."""
        for _, path in self._files():
            described = path.with_name(path.name.removesuffix(METADATA_SUFFIX))
            if path.name.endswith(METADATA_SUFFIX) and described.is_file() and not is_executable(described):
                yield described

    def _files(self) -> Iterator[tuple[Path, Path]]:
        """The folder and the path of each file that may be one of a script."""
        for folder in self.folders:
            for parent, below, names in os.walk(folder):
                depth = len(Path(parent).relative_to(folder).parts)
                below[:] = [] if depth >= MAX_DEPTH else sorted(one for one in below if not one.startswith("."))
                for name in sorted(names):
                    if not name.startswith(".") and name.isprintable():
                        yield folder, Path(parent, name)

    def _metadata(self, name: str, path: Path) -> ScriptMetadata:
        file = path.with_name(path.name + METADATA_SUFFIX)
        try:
            about = file.stat()
            version = (about.st_mtime_ns, about.st_size)
            known = self._read.get(file)
            if known is not None and known[0] == version:
                return known[1]
            metadata = ScriptMetadata.model_validate(json.loads(file.read_bytes()))
        except FileNotFoundError:
            return ScriptMetadata()
        except ValidationError as error:
            first = error.errors()[0]
            field = path_of(first["loc"]) or "all of it"
            reason = first["msg"].removeprefix("Value error, ")
            raise BrokenScript(f"{file.name}: {field}: {reason}", script=name, file=str(file)) from error
        except (OSError, ValueError, RecursionError) as error:
            raise BrokenScript(f"{file.name}: this is no JSON: {error}", script=name, file=str(file)) from error
        self._read[file] = (version, metadata)
        return metadata


def is_executable(path: Path) -> bool:
    """Whether this is a file, perhaps by way of a symlink, that this process may run."""
    try:
        return stat.S_ISREG(path.stat().st_mode) and os.access(path, os.X_OK)
    except OSError:
        return False


def _stays_inside(path: Path, folder: Path) -> bool:
    """Whether the folder that holds a script is below ``folder`` once links are followed."""
    try:
        return path.resolve(strict=True).is_relative_to(folder)
    except (OSError, RuntimeError):
        return False
