"""The repository of a conversion, from everything that was found out. Pure: data in, data out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from knossos.packaging.assembly import Assembly
from knossos.packaging.conversion.items import Key
from knossos.packaging.description import ConversionRequest, Mod
from knossos.packaging.repository import (
    InstalledFile,
    Repository,
    RepositoryFile,
    RepositoryMod,
    repository_mod,
    repository_package,
)


class Measured(Protocol):
    """A file whose size in bytes and hashes are known."""

    @property
    def size(self) -> int: ...
    @property
    def md5(self) -> str: ...
    @property
    def sha256(self) -> str: ...


def repository_of(
    request: ConversionRequest,
    assemblies: Sequence[Assembly],
    files: Mapping[Key, Measured],
    urls: Mapping[Key, list[str]],
    logos: Mapping[int, str],
    *,
    generated: int,
) -> Repository:
    """Write down a conversion.

    Args:
        assemblies: one for each mod of the request.
        files, urls: what was found and the public links, for each file of the request.
        logos: links of logos that were taken from archives, by the index of their mod.
        generated: Unix time in seconds.
    """
    mods = [
        _mod(number, mod, assembly, files, urls, logos.get(number))
        for number, (mod, assembly) in enumerate(zip(request.mods, assemblies, strict=True))
    ]
    return Repository(generated=generated, mods=mods, remote_includes=request.remote_includes)


def _mod(
    number: int,
    mod: Mod,
    assembly: Assembly,
    files: Mapping[Key, Measured],
    urls: Mapping[Key, list[str]],
    logo: str | None,
) -> RepositoryMod:
    packages = []
    for index, package in enumerate(mod.packages):
        downloads = [
            RepositoryFile(
                filename=file.filename,
                is_archive=file.is_archive,
                dest=file.dest,
                urls=urls[number, index, position],
                filesize=files[number, index, position].size,
                md5sum=files[number, index, position].md5,
                checksum=("sha256", files[number, index, position].sha256),
            )
            for position, file in enumerate(package.files)
        ]
        installed = [
            InstalledFile(
                filename=path,
                archive=origin.archive,
                orig_name=origin.name,
                md5sum=origin.md5,
                checksum=("sha256", origin.sha256),
            )
            for path, origin in assembly.filelists[index]
        ]
        packages.append(repository_package(package, downloads, installed))
    return repository_mod(mod, packages, assembly.actions, mod.logo or logo)
