"""What browsers get from others: copied out of installed packages at set-up, each file held against its hash.

Owns reading ``third_party/manifest.json`` and filling the folder beside it, which is not in the repository.
A file whose bytes do not match the manifest is never served: `install` refuses it, and pages name the hash
in their ``integrity`` attribute, so that a browser would refuse it as well.

Run ``python -m knossos.web.third_party`` to install.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import os
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from knossos.errors import EXIT_MISSING, EXIT_OK, MissingDependency
from knossos.settings import ROOT

FOLDER = ROOT / "third_party"


class ThirdPartyFile(BaseModel):
    """One file: where it comes from, under which licence, and the hash that it must have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Path below ``third_party/``, and below ``/third_party/<version>/`` in URLs.
    path: str
    name: str
    licence: str
    #: The package with its version that brings the file, for people.
    package: str
    #: The package's importable module, and the file's path in it.
    module: str
    source: str
    #: As browsers take it: ``sha384-<base64>``.
    integrity: str


class Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    files: tuple[ThirdPartyFile, ...]


def manifest(folder: Path = FOLDER) -> Manifest:
    return Manifest.model_validate_json((folder / "manifest.json").read_bytes())


def integrity(data: bytes) -> str:
    """The Subresource Integrity hash of some bytes."""
    return "sha384-" + base64.b64encode(hashlib.sha384(data).digest()).decode("ascii")


def missing(folder: Path = FOLDER) -> list[str]:
    """The paths of files that are not installed, or are not what the manifest says."""
    return [file.path for file in manifest(folder).files if not _is_there(folder / file.path, file)]


def install(folder: Path = FOLDER) -> list[str]:
    """Copy every file that is not there yet out of its package; return the paths that were copied.

    Raises:
        MissingDependency: the package is not installed, or its file is not the one that was reviewed.
    """
    copied = []
    for file in manifest(folder).files:
        if _is_there(folder / file.path, file):
            continue
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        partial.write_bytes(_reviewed_bytes(file))
        partial.replace(target)
        copied.append(file.path)
    return copied


def _is_there(path: Path, file: ThirdPartyFile) -> bool:
    return path.is_file() and integrity(path.read_bytes()) == file.integrity


def _reviewed_bytes(file: ThirdPartyFile) -> bytes:
    spec = importlib.util.find_spec(file.module)
    if spec is None or spec.origin is None:
        raise MissingDependency(f"{file.path} comes from {file.package}, which is not installed", needed=file.package)
    try:
        data = (Path(spec.origin).parent / file.source).read_bytes()
    except OSError as error:
        raise MissingDependency(f"{file.path}: {file.package} has no {file.source}", needed=file.package) from error
    if integrity(data) != file.integrity:
        raise MissingDependency(
            f"{file.path}: the installed {file.module} brings another file than {file.package} did; "
            "review it and put its hash into third_party/manifest.json",
            needed=file.package,
        )
    return data


def main() -> int:
    try:
        copied = install()
    except MissingDependency as error:
        print(error.message, file=sys.stderr)
        return EXIT_MISSING
    for path in copied:
        print(f"installed third_party/{path}")
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
