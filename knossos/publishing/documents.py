"""A release as it is stored, and the two forms in which clients read it.

Owns the shapes of nebula.md's "full mod" and of the entries of the repository's files. What always holds: every field
has the type that the strictest client insists on, no list is null, hex is lower case, and nothing in the stored form
depends on this server's address: files are named by their SHA-256 and images by ``<sha256>.<extension>``. Pure:
data in, data out.
"""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

Checksum = tuple[Literal["sha256"], str]

#: Below the server's address: where files are served, each by its SHA-256 and name, and images by theirs.
FILES_ROUTE = "/storage/files"
IMAGES_ROUTE = "/storage/images"


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DocumentDependency(_Stored):
    """``version`` None: any; else exact (``1.2.3``) or with one of ``~ >= <= > <``."""

    id: str
    version: str | None
    packages: list[str]


class DocumentExecutable(_Stored):
    file: str
    label: str | None
    #: x64, sse2, avx, avx2: what it needs; the first is the word size.
    properties: dict[str, bool]


class DocumentFile(_Stored):
    """An archive of a package, or a plain file. ``urls`` is empty for what lies in the storage."""

    filename: str
    dest: str
    checksum: Checksum
    filesize: int
    is_archive: bool = True
    urls: list[str] = []


class DocumentInstalledFile(_Stored):
    """A file as installed: ``archive`` is the ``filename`` of the file it is in, ``orig_name`` its path there."""

    filename: str
    archive: str
    orig_name: str
    checksum: Checksum


class DocumentPackage(_Stored):
    name: str
    notes: str
    status: Literal["required", "recommended", "optional"]
    folder: str
    is_vp: bool
    environment: str
    dependencies: list[DocumentDependency]
    executables: list[DocumentExecutable]
    files: list[DocumentFile]
    filelist: list[DocumentInstalledFile]


class ReleaseDocument(_Stored):
    """A release of a mod. Images (logo, tile, banner, screenshots, attachments) are ``<sha256>.<extension>``."""

    id: str
    title: str
    version: str
    type: Literal["mod", "tc", "engine", "tool", "ext"]
    parent: str | None
    private: bool
    stability: Literal["stable", "rc", "nightly"] | None
    description: str
    notes: str
    cmdline: str
    logo: str | None
    tile: str | None
    banner: str | None
    screenshots: list[str]
    attachments: list[str]
    videos: list[str]
    release_thread: str | None
    #: YYYY-MM-DD.
    first_release: str
    last_update: str
    mod_flag: list[str]
    packages: list[DocumentPackage]


def image_url(name: str, base: str) -> str:
    """The address of an image; ``base`` is the server's, without a slash at its end."""
    return f"{base}{IMAGES_ROUTE}/{name}"


def file_url(file: DocumentFile, base: str) -> str:
    """The address at which this server serves a stored file."""
    return f"{base}{FILES_ROUTE}/{file.checksum[1]}/{quote(file.filename, safe='')}"


def full_mod(document: ReleaseDocument, base: str) -> dict[str, Any]:
    """The full mod, as `/storage/repo.json` and `mod/json` give it."""
    data = document.model_dump(mode="json")
    for name in ("logo", "tile", "banner"):
        data[name] = image_url(data[name], base) if data[name] else None
    for name in ("screenshots", "attachments"):
        data[name] = [image_url(image, base) for image in data[name]]
    for package, shape in zip(data["packages"], document.packages, strict=True):
        for file, stored in zip(package["files"], shape.files, strict=True):
            file["urls"] = list(stored.urls) or [file_url(stored, base)]
    return data


def minimal_mod(document: ReleaseDocument, base: str) -> dict[str, Any]:
    """The entry of a release in `/storage/repo_minimal.json`."""
    return {
        "id": document.id,
        "title": document.title,
        "version": document.version,
        "stability": document.stability,
        "tile": image_url(document.tile, base) if document.tile else None,
        "first_release": document.first_release,
        "last_update": document.last_update,
        "type": document.type,
    }
