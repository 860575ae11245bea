"""What tests of conversions share: a place to run them in, short descriptions, and a reporter that takes notes."""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from knossos.jobs import FileProgress
from knossos.packaging.conversion import Surroundings, package
from knossos.packaging.description import parse_request
from knossos.packaging.mirror import Mirror
from knossos.packaging.mirror_index import MirrorIndex
from knossos.settings import Settings

MIRROR_URL = "https://mods.example/mirror"


class NotingReporter:
    """Takes notes of everything; ``on_check`` may raise."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.fractions: list[float] = []
        self.texts: list[str] = []
        self.states: list[list[FileProgress]] = []
        self.on_check: Callable[[], None] = lambda: None
        self._lock = threading.Lock()

    def _note(self, line: str) -> None:
        with self._lock:
            self.lines.append(line)

    def debug(self, text: str) -> None:
        self._note(f"DEBUG: {text}")

    def info(self, text: str) -> None:
        self._note(f"INFO: {text}")

    def warning(self, text: str) -> None:
        self._note(f"WARNING: {text}")

    def error(self, text: str) -> None:
        self._note(f"ERROR: {text}")

    def progress(self, fraction: float, text: str) -> None:
        with self._lock:
            self.fractions.append(fraction)
            self.texts.append(text)

    def files(self, files: Sequence[FileProgress]) -> None:
        with self._lock:
            self.states.append(list(files))

    def ask(self, kind: str, data: dict[str, Any], timeout_seconds: float | None = None) -> str:
        raise AssertionError("nobody expects a question")

    def check(self) -> None:
        self.on_check()

    def said(self, text: str) -> bool:
        return any(text in line for line in self.lines)


@dataclass
class Place:
    """Settings, a mirror and work folders below one temporary folder."""

    folder: Path
    changes: dict[str, Any] = field(default_factory=dict)
    #: The reporter of the last conversion.
    reporter: NotingReporter = field(default_factory=NotingReporter)
    _numbers: Any = field(default_factory=itertools.count)

    @property
    def settings(self) -> Settings:
        usual = {"download_tries": 1, "allowed_private_networks": ("127.0.0.0/8",)}
        return Settings(data_path=self.folder / "data", **{**usual, **self.changes})

    @property
    def mirror(self) -> Mirror:
        return Mirror(self.settings.mirror_folder, MIRROR_URL, MirrorIndex(self.settings))

    def convert(
        self, description: Any, reporter: NotingReporter | None = None, *, mirrored: bool = True
    ) -> dict[str, Any]:
        """Run one conversion; what comes back is the repository as clients read it."""
        self.reporter = reporter or NotingReporter()
        work = self.folder / f"work{next(self._numbers)}"
        work.mkdir()
        around = Surroundings(self.settings, self.reporter, work, self.mirror if mirrored else None)
        result = package(parse_request(json.dumps(description)), around)
        read: dict[str, Any] = json.loads(json.dumps(result, allow_nan=False))
        return read

    def mirrored(self) -> dict[str, bytes]:
        """Everything in the mirror, by its path."""
        root = self.settings.mirror_folder
        return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def mod(*packages: Any, **more: Any) -> dict[str, Any]:
    """A mod; a package is a list of files, or a whole package."""
    whole = [
        one if isinstance(one, dict) else {"name": f"Package {number}", "files": one}
        for number, one in enumerate(packages)
    ]
    return {"id": "mymod", "title": "My Mod", "version": "1.0.0", "packages": whole, **more}


def file(url: str, **more: Any) -> dict[str, Any]:
    """A file with one link, named as the link ends."""
    return {"filename": url.rpartition("/")[2], "urls": [url], **more}


def sums(data: bytes) -> dict[str, Any]:
    """The hashes of some bytes as the repository states them."""
    return {"md5sum": hashlib.md5(data).hexdigest(), "checksum": ["sha256", hashlib.sha256(data).hexdigest()]}


def installed(repository: dict[str, Any], mod_number: int = 0) -> dict[str, dict[str, Any]]:
    """The filelists of a mod as one mapping, by the installed path."""
    return {
        entry["filename"]: entry
        for package in repository["mods"][mod_number]["packages"]
        for entry in package["filelist"]
    }
