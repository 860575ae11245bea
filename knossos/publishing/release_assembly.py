"""From what was sent to what is stored: forms for each mode, and the stored document. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from knossos.packaging.description.names import file_name
from knossos.publishing.documents import (
    DocumentDependency,
    DocumentExecutable,
    DocumentFile,
    DocumentInstalledFile,
    DocumentPackage,
    ReleaseDocument,
)
from knossos.publishing.mods import ModFacts
from knossos.publishing.release_input import FileInput, InputProblem, PackageInput, ReleaseInput, is_own_url
from knossos.publishing.release_references import IMAGE_LISTS, IMAGES, Known, files_in


def without_files(data: dict[str, Any]) -> dict[str, Any]:
    """What was sent to change the metadata of a release: its files stay, so what is said of them does not count."""
    return data | {"packages": [_stripped(package, "files", "filelist") for package in _packages(data)]} | _other(data)


def for_preflight(data: dict[str, Any], known: Known) -> dict[str, Any]:
    """What is sent before anything is uploaded: images that are not stored do not count, nor do the files, the list of
    files and the executables of a package whose archives are not packed yet."""
    unready = {path.split(".")[1] for path, _, sha256 in files_in(data) if sha256 is None}
    packages = []
    for number, package in enumerate(_packages(data)):
        is_packed = isinstance(package, dict) and package.get("files") and str(number) not in unready
        packages.append(package if is_packed else _stripped(package, "files", "filelist", "executables"))
    result = data | {"packages": packages} | _other(data)
    images = set(known.images)
    for name in IMAGES:
        result[name] = result.get(name) if _is_of(result.get(name), images) else None
    for name in IMAGE_LISTS:
        value = result.get(name)
        result[name] = [item for item in value if _is_of(item, images)] if isinstance(value, list) else value
    return result


def assemble(sent: ReleaseInput, mod: ModFacts, known: Known, *, today: str) -> ReleaseDocument:
    """The document of a release that has no problems. What it does not say itself is said of its mod."""
    return ReleaseDocument(
        id=mod.id,
        title=sent.title or mod.title,
        version=sent.version,
        type=sent.type or mod.type,
        parent=None if mod.type == "tc" else sent.parent or mod.parent,
        private=sent.private,
        stability=sent.stability,
        description=sent.description,
        notes=sent.notes,
        cmdline=sent.cmdline,
        logo=known.images.get(sent.logo or mod.logo or ""),
        tile=known.images.get(sent.tile or mod.tile or ""),
        banner=known.images.get(sent.banner or ""),
        screenshots=[known.images[image] for image in sent.screenshots],
        attachments=[known.images[image] for image in sent.attachments],
        videos=sent.videos,
        release_thread=sent.release_thread,
        first_release=sent.first_release or mod.first_release or today,
        last_update=today,
        mod_flag=sent.mod_flag,
        packages=[_package(package, known) for package in sent.packages],
    )


def with_stored_files(document: ReleaseDocument, before: ReleaseDocument) -> ReleaseDocument:
    """New metadata for a release, with the files that it has. A package that is not spoken of stays as it is."""
    new = {package.name: package for package in document.packages}
    packages = [
        new[old.name].model_copy(update={"files": old.files, "filelist": old.filelist}) if old.name in new else old
        for old in before.packages
    ]
    return document.model_copy(update={"packages": packages, "last_update": before.last_update})


def unknown_packages(data: dict[str, Any], before: ReleaseDocument) -> list[InputProblem]:
    """Packages that a release does not have: they would come without files."""
    names = {package.name for package in before.packages}
    text = "expected a package that this release has: new ones need a new version"
    return [
        InputProblem(f"packages.{number}.name", text, "invalid packages")
        for number, package in enumerate(_packages(data))
        if isinstance(package, dict) and isinstance(package.get("name"), str) and package["name"].strip() not in names
    ]


def folder_of(name: str) -> str:
    """A folder for a package that names none."""
    cleaned = re.sub(r"[^\w.+-]+", "_", name).strip("._") or "package"
    try:
        return file_name(cleaned[:60].rstrip("._"))
    except ValueError:
        return "package"


def _package(package: PackageInput, known: Known) -> DocumentPackage:
    return DocumentPackage(
        name=package.name,
        notes=package.notes,
        status=package.status,
        folder=package.folder or folder_of(package.name),
        is_vp=package.is_vp,
        environment=package.environment,
        dependencies=[
            DocumentDependency(id=one.id, version=one.version, packages=one.packages) for one in package.dependencies
        ],
        executables=[
            DocumentExecutable(file=one.file, label=one.label, properties=one.properties) for one in package.executables
        ],
        files=[_file(file, known) for file in package.files],
        filelist=[
            DocumentInstalledFile(
                filename=one.filename,
                archive=one.archive,
                orig_name=one.orig_name or one.archive,
                checksum=("sha256", one.checksum),
            )
            for one in package.filelist
        ],
    )


def _file(file: FileInput, known: Known) -> DocumentFile:
    return DocumentFile(
        filename=file.filename,
        dest=file.dest,
        checksum=("sha256", file.checksum),
        filesize=known.sizes.get(file.checksum, 0) if file.filesize is None else file.filesize,
        is_archive=file.is_archive,
        urls=[url for url in file.urls if not is_own_url(url, file.checksum)],
    )


def _packages(data: dict[str, Any]) -> list[Any]:
    packages = data.get("packages")
    return packages if isinstance(packages, list) else []


def _other(data: dict[str, Any]) -> dict[str, Any]:
    """What stands for packages and is no list, so that it is found to be wrong."""
    packages = data.get("packages")
    return {} if isinstance(packages, list) else {"packages": packages}


def _stripped(package: Any, *names: str) -> Any:
    return {key: value for key, value in package.items() if key not in names} if isinstance(package, dict) else package


def _is_of(value: Any, images: Iterable[str]) -> bool:
    return isinstance(value, str) and any(image in value.lower() for image in images)
