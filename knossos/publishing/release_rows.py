"""One release: its row, and what it needs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from knossos.publishing.documents import ReleaseDocument
from knossos.publishing.tables import Release
from knossos.publishing.versions import release_version, version_key


class Mode(StrEnum):
    """What is to be done with a release that was sent."""

    #: Publish it.
    RELEASE = "release"
    #: Change what is said of one that is out; its files stay.
    UPDATE = "update"
    #: Say whether it could be published, before its files are uploaded.
    PREFLIGHT = "preflight"
    #: Do everything but store it.
    DRY_RUN = "dry_run"


@dataclass(frozen=True)
class StoredRelease:
    """A release as it is in the database. Times are Unix time in seconds."""

    id: int
    mod_id: str
    version: str
    document: ReleaseDocument
    private: bool
    #: "published" or "deleted".
    state: str
    #: Whether the repository has it.
    offered: bool
    yanked_at: float | None
    yank_reason: str
    published_by: int | None
    created_at: float
    updated_at: float
    change: int


def dependencies_of(document: ReleaseDocument) -> list[tuple[str, str | None]]:
    """The mods that a release needs, with the versions, each pair once."""
    pairs = ((one.id, one.version) for package in document.packages for one in package.dependencies)
    return list(dict.fromkeys(pairs))


def blobs_of(document: ReleaseDocument) -> set[str]:
    """SHA-256 of all stored files that a release needs: its images, and its files but those that lie elsewhere."""
    images = (document.logo, document.tile, document.banner, *document.screenshots, *document.attachments)
    found = {image.partition(".")[0] for image in images if image}
    files = (file for package in document.packages for file in package.files)
    return found | {file.checksum[1] for file in files if not file.urls}


def stored(row: Release) -> StoredRelease:
    return StoredRelease(
        id=row.id,
        mod_id=row.mod_id,
        version=row.version,
        document=ReleaseDocument.model_validate_json(row.document),
        private=row.private,
        state=row.state,
        offered=row.offered,
        yanked_at=row.yanked_at,
        yank_reason=row.yank_reason,
        published_by=row.published_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
        change=row.change,
    )


def find(session: Session, mod_id: str, version: str) -> Release | None:
    """The row, whatever the release's state is. What cannot be a version is none that there is."""
    try:
        release_version(version)
    except ValueError:
        return None
    query = select(Release).where(Release.mod_id == mod_id, Release.version_key == version_key(version))
    return session.scalar(query)
