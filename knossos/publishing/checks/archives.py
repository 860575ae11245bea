"""The archives themselves: are they there, as large as stated, readable, and of a format that all clients unpack."""

from __future__ import annotations

from knossos.packaging.archives import LinkKind
from knossos.packaging.description.names import file_name, relative_folder
from knossos.packaging.description.problems import join_path
from knossos.publishing.checks.findings import Findings
from knossos.publishing.checks.stored import StoredFile, StoredFiles
from knossos.publishing.documents import DocumentFile, ReleaseDocument

#: Formats that every client unpacks, with the endings that tell them so.
FORMATS = {"7z": (".7z",), "zip": (".zip",), "tar.gz": (".tar.gz", ".tgz")}

_KIND = "problems of archives"
_WAY_OUT = "pack it as a 7z or a zip, or as a tar.gz where it holds symlinks"


def check_archives(
    document: ReleaseDocument, stored: StoredFiles, findings: Findings, *, all_stored: bool, any_format: bool = False
) -> None:
    """Check each entry of each package's ``files``.

    Args:
        all_stored: whether a file that is not in the storage is an error; before an upload it is not.
        any_format: whether archives of other formats are let through.
    """
    for number, package in enumerate(document.packages):
        seen: dict[str, int] = {}
        for index, file in enumerate(package.files):
            path = join_path("packages", number, "files", index)
            _check_names(file, path, findings)
            first = seen.setdefault(file.filename.casefold(), index)
            if first != index:
                findings.error(_KIND, f"{path}.filename", f'"{file.filename}" is already at files.{first}')
            known = stored.get((number, index))
            if known is not None:
                _check_stored(file, known, path, findings, any_format)
            elif file.urls:
                text = f"{file.filename} is not stored here, so that what is in it was not compared"
                findings.warning("archives elsewhere", path, text)
            elif all_stored:
                findings.error(_KIND, path, f"{file.filename} is not stored on this server; upload it first")


def _check_names(file: DocumentFile, path: str, findings: Findings) -> None:
    for field, given, rule in (("filename", file.filename, file_name), ("dest", file.dest, relative_folder)):
        try:
            clean = rule(given)
        except ValueError as error:
            findings.error(_KIND, f"{path}.{field}", str(error))
            continue
        if clean != given:
            findings.error(_KIND, f"{path}.{field}", f'expected "{clean}", but this is "{given}"')


def _check_stored(file: DocumentFile, known: StoredFile, path: str, findings: Findings, any_format: bool) -> None:
    if file.filesize != known.size:
        text = f"expected {known.size}, the size of the stored file, but this is {file.filesize}"
        findings.error(_KIND, f"{path}.filesize", text)
    if known.trouble:
        findings.error(_KIND, path, known.trouble)
    found = known.inspection
    if found is None:
        return
    for warning in found.warnings:
        findings.warning("remarks about archives", path, f"{file.filename}: {warning}")
    if found.format not in FORMATS:
        if any_format:
            return
        text = f"{file.filename} is a {found.format} archive, which not every client unpacks: {_WAY_OUT}"
        findings.error(_KIND, path, text)
        return
    endings = FORMATS[found.format]
    if not file.filename.lower().endswith(endings):
        text = f"{file.filename} is a {found.format} archive; expected a name that ends with {' or '.join(endings)}"
        # The tar in a tar.gz is unpacked only where the name says that there is one.
        is_tar = found.format == "tar.gz" or file.filename.lower().endswith(FORMATS["tar.gz"])
        (findings.error if is_tar else findings.warning)(_KIND, f"{path}.filename", text)
    if found.format != "tar.gz" and any(link.kind is LinkKind.SYMLINK for link in found.links):
        text = f"{file.filename} holds symlinks, which not every client makes from a {found.format}: pack it as tar.gz"
        findings.warning("symlinks", path, text)
