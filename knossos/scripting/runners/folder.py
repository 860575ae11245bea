"""The runners of RUNNERS_DIR: ``config.json`` is the one at /task, ``name.json`` the one at /task/name.

Nothing is kept from one request to the next but what a file said, which is read again when the file changes; so a
runner that is added, changed or removed counts from the next request on. A broken file is an error of its own runner
alone.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from knossos.errors import KnossosError, NotFound, SettingsError
from knossos.scripting.catalogue import is_executable
from knossos.scripting.configured import explained
from knossos.scripting.runners.model import RunnerFile
from knossos.settings import ROOT, Settings

#: The name of the runner at /task.
DEFAULT = "config"
SUFFIX = ".json"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", re.ASCII)
#: Largest file of a runner in bytes.
MAX_FILE_BYTES = 1024 * 1024

_log = logging.getLogger(__name__)


class NoSuchRunner(NotFound):
    """Nothing in RUNNERS_DIR is called ``runner``."""

    code = "no_such_runner"


class BrokenRunner(KnossosError):
    """The operator's file of the runner ``runner`` says something that cannot be."""

    code = "broken_runner"


@dataclass(frozen=True)
class Runner:
    """A runner that can be called."""

    #: The name of its file without the ending: what permissions call it.
    name: str
    file: RunnerFile
    #: The program, absolute.
    program: str
    #: Absolute folders; "" for none.
    command_rundir: str = ""
    command_rundir_base: str = ""
    #: What it may read besides the system's programs, absolute.
    read_paths: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return self.file.title or self.name


class Runners:
    """Safe for threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.runners_dir
        self._read: dict[str, tuple[tuple[int, int, int], RunnerFile]] = {}

    def check(self) -> list[str]:
        """What is wrong with the files of runners, each with its file and field. Others are not concerned.

        Raises:
            SettingsError: RUNNERS_DIR is no folder.
        """
        if self._folder is not None and not self._folder.is_dir():
            raise SettingsError(
                f"RUNNERS_DIR: {self._folder} is no folder; expected a folder with one JSON file for each runner",
                setting="RUNNERS_DIR",
            )
        return [error.message for error in self._found()[1]]

    def all(self) -> list[Runner]:
        """All runners by name. Those that are broken are left out, and the log says why."""
        found, broken = self._found()
        for error in broken:
            _log.warning("%s", error.message)
        return found

    def _found(self) -> tuple[list[Runner], list[BrokenRunner]]:
        found, broken = [], []
        for name in self.names():
            try:
                found.append(self.find(name))
            except BrokenRunner as error:
                broken.append(error)
            except NoSuchRunner:
                pass  # it went in the meantime
        return found, broken

    def names(self) -> list[str]:
        """Names of all runners, broken ones too."""
        try:
            files = [] if self._folder is None else os.listdir(self._folder)
        except OSError:
            return []
        names = [file.removesuffix(SUFFIX) for file in files if file.endswith(SUFFIX)]
        return sorted(name for name in names if NAME.fullmatch(name))

    def find(self, name: str) -> Runner:
        """The runner of that name.

        Raises:
            NoSuchRunner
            BrokenRunner: its file is wrong, or names what is not there.
        """
        if self._folder is None or not NAME.fullmatch(name):
            raise _no_such(name)
        return self._on_this_machine(name, self._file(name, self._folder))

    def select(self, path: str) -> tuple[str, str]:
        """Which runner a path after the endpoint names, and the path that is left for it.

        A first part that names a runner selects it, broken or not; else the default runner gets the whole path.
        """
        first, _, rest = path.partition("/")
        if first == DEFAULT or self._folder is None or not NAME.fullmatch(first):
            return DEFAULT, path
        return (first, rest) if (self._folder / f"{first}{SUFFIX}").is_file() else (DEFAULT, path)

    def _file(self, name: str, folder: Path) -> RunnerFile:
        path = folder / f"{name}{SUFFIX}"
        try:
            with open(path, "rb") as file:
                about = os.fstat(file.fileno())
                version = (about.st_mtime_ns, about.st_size, about.st_ino)
                known = self._read.get(name)
                if known is not None and known[0] == version:
                    return known[1]
                data = file.read(MAX_FILE_BYTES + 1)
            if len(data) > MAX_FILE_BYTES:
                raise BrokenRunner(f"{path.name}: expected at most {MAX_FILE_BYTES} bytes", runner=name)
            read = RunnerFile.model_validate(json.loads(data))
        except FileNotFoundError as error:
            self._read.pop(name, None)
            raise _no_such(name) from error
        except ValidationError as error:
            raise BrokenRunner(f"{path.name}: {explained(error)}", runner=name) from error
        except (OSError, ValueError, RecursionError) as error:
            raise BrokenRunner(f"{path.name}: this is no JSON: {error}", runner=name) from error
        self._read[name] = (version, read)
        return read

    def _on_this_machine(self, name: str, file: RunnerFile) -> Runner:
        """The runner with its program and folders found; they may come and go while its file stays."""
        named = file.command[0]
        program = named if os.path.isabs(named) else shutil.which(named, path=self._settings.script_path)
        if program is None or ("/" in named and not os.path.isabs(named)) or not is_executable(Path(program)):
            raise BrokenRunner(
                f"{name}{SUFFIX}: command: expected a program, as an absolute path or one on SCRIPT_PATH "
                f"(it is {named!r})",
                runner=name,
            )
        return Runner(
            name=name,
            file=file,
            program=program,
            command_rundir=self._a_folder(name, "command_rundir", file.command_rundir),
            command_rundir_base=self._a_folder(name, "command_rundir_base", file.command_rundir_base),
            read_paths=(*self._readable(name, file), *self._named_files(file)),
        )

    def _a_folder(self, name: str, field: str, value: str | None) -> str:
        if not value:
            return ""
        # os.path: pathlib raises where a name is too long or links lead in a circle.
        path = os.path.realpath(ROOT / value)
        if not os.path.isdir(path):
            raise BrokenRunner(f"{name}{SUFFIX}: {field}: expected a folder (it is {path!r})", runner=name)
        return path

    def _readable(self, name: str, file: RunnerFile) -> list[str]:
        for path in file.read_paths:
            if not os.path.isabs(path) or not os.path.exists(path):
                raise BrokenRunner(
                    f"{name}{SUFFIX}: read_paths: expected absolute paths of files and folders (one is {path!r})",
                    runner=name,
                )
            if self._settings.data_path.resolve().is_relative_to(Path(path).resolve()):
                raise BrokenRunner(
                    f"{name}{SUFFIX}: read_paths: {path} holds DATA_PATH, where the server's keys are; "
                    "expected folders beside it",
                    runner=name,
                )
        return list(file.read_paths)

    def _named_files(self, file: RunnerFile) -> list[str]:
        """Files that the command itself names, such as the script of an interpreter."""
        return [word for word in file.command[1:] if os.path.isabs(word) and os.path.isfile(word)]


def _no_such(name: str) -> NoSuchRunner:
    return NoSuchRunner(f"There is no runner {name[:100]!r}.", runner=name[:100])
