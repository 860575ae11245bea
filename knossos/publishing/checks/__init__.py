"""Checks of a release before it goes out: the document against its archives and the repository.

Pure comparisons: what was found in the archives, and what the repository knows, comes in; all problems come out, each
with its path. Nothing here reads a file, asks a database or decides what becomes of the release.
"""

from __future__ import annotations

from knossos.publishing.checks.archives import FORMATS, check_archives
from knossos.publishing.checks.dependencies import check_dependencies, check_related_mods
from knossos.publishing.checks.filelists import Dropped, check_filelists
from knossos.publishing.checks.findings import Findings
from knossos.publishing.checks.images import check_images, images_of
from knossos.publishing.checks.installed import check_clashes, check_environments, check_executables
from knossos.publishing.checks.repository import KnownPackage, KnownRelease, Repository, Requirement
from knossos.publishing.checks.stored import StoredFile, StoredFiles
from knossos.publishing.documents import ReleaseDocument

__all__ = [
    "FORMATS",
    "Dropped",
    "Findings",
    "KnownPackage",
    "KnownRelease",
    "Repository",
    "Requirement",
    "StoredFile",
    "StoredFiles",
    "check_release",
    "images_of",
]


def check_release(
    document: ReleaseDocument,
    stored: StoredFiles,
    repository: Repository,
    findings: Findings,
    *,
    all_stored: bool = True,
    any_format: bool = False,
    dropped: Dropped = frozenset(),
) -> None:
    """Run every check.

    Args:
        stored: what is known of the release's files.
        findings: what was found so far; takes the rest.
        all_stored: whether files and images that are not stored are errors; they are none before they are uploaded.
        any_format: whether archives of other formats are no error, since they are packed anew.
        dropped: files of archives that need not be listed, since an action deletes them.
    """
    check_archives(document, stored, findings, all_stored=all_stored, any_format=any_format)
    check_filelists(document, stored, findings, dropped)
    check_environments(document, findings)
    check_clashes(document, findings)
    check_executables(document, stored, findings)
    check_dependencies(document, repository, findings)
    check_related_mods(document, repository, findings)
    check_images(document, repository, findings, all_stored=all_stored)
