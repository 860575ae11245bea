"""The repository JSON that comes out: what clients read to install a mod.

Owns its fields, their order and the types that today's clients insist on (real booleans, integers for sizes, lists
that are never null, lower-case hex). Everything of the description is in it, with its default filled in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from knossos.packaging.description import Action, Dependency, Executable, Mod, Package

Checksum = tuple[Literal["sha256"], str]


class _Output(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RepositoryFile(_Output):
    """A file to download. ``filesize`` in bytes."""

    filename: str
    is_archive: bool
    dest: str
    urls: list[str]
    filesize: int
    md5sum: str
    checksum: Checksum


@dataclass(frozen=True, slots=True)
class InstalledFile:
    """A file as installed: ``archive`` is the download it is in, ``orig_name`` its path there (None: it is that).

    No model: there may be a hundred thousand, and one takes a tenth of a model's memory.
    """

    filename: str
    archive: str
    orig_name: str | None
    md5sum: str
    checksum: Checksum


class RepositoryPackage(_Output):
    name: str
    notes: str
    folder: str | None
    is_vp: bool
    status: Literal["required", "recommended", "optional"]
    dependencies: list[Dependency]
    environment: str
    executables: list[Executable]
    files: list[RepositoryFile]
    filelist: list[InstalledFile]


class RepositoryMod(_Output):
    id: str
    title: str
    version: str
    type: Literal["mod", "tc", "engine", "tool", "ext"]
    folder: str
    description: str
    notes: str
    cmdline: str
    logo: str | None
    tile: str | None
    banner: str | None
    release_thread: str | None
    videos: list[str]
    screenshots: list[str]
    attachments: list[str]
    first_release: str | None
    last_update: str | None
    parent: str | None
    stability: Literal["stable", "rc", "nightly"] | None
    mod_flag: list[str]
    owners: list[Any]
    private: bool
    custom_build: Any
    packages: list[RepositoryPackage]
    actions: list[Action]


class Repository(_Output):
    """``generated`` is Unix time in seconds."""

    generated: int
    mods: list[RepositoryMod]
    remote_includes: list[str] = []

    def as_json(self) -> dict[str, Any]:
        """Plain JSON data; ``remote_includes`` only where the description had some."""
        data = self.model_dump(mode="json")
        if not self.remote_includes:
            del data["remote_includes"]
        return data


def repository_package(
    package: Package, files: Sequence[RepositoryFile], filelist: Sequence[InstalledFile]
) -> RepositoryPackage:
    """A package of the description with what was found out about its files."""
    kept = {
        name: getattr(package, name) for name in RepositoryPackage.model_fields.keys() & Package.model_fields.keys()
    }
    return RepositoryPackage.model_validate({**kept, "files": list(files), "filelist": list(filelist)})


def repository_mod(
    mod: Mod, packages: Sequence[RepositoryPackage], actions: Sequence[Action], logo: str | None
) -> RepositoryMod:
    """A mod of the description with its packages, the actions that were applied, and its logo."""
    kept = {name: getattr(mod, name) for name in RepositoryMod.model_fields}
    return RepositoryMod.model_validate({**kept, "packages": list(packages), "actions": list(actions), "logo": logo})
