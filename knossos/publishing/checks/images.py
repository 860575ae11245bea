"""The pictures of a release: stored here, and pictures indeed."""

from __future__ import annotations

from collections.abc import Iterator

from knossos.packaging.description.problems import join_path
from knossos.publishing.checks.findings import Findings
from knossos.publishing.checks.repository import Repository
from knossos.publishing.documents import ReleaseDocument

_KIND = "problems of images"


def check_images(document: ReleaseDocument, repository: Repository, findings: Findings, *, all_stored: bool) -> None:
    """Check the logo, the tile, the banner, the screenshots and the attachments.

    Args:
        all_stored: whether one that is not in the storage is an error; before an upload it is not.
    """
    for path, name in images_of(document):
        kind = repository.image_type(name.partition(".")[0])
        if kind is None:
            if all_stored:
                findings.error(_KIND, path, "this image is not stored on this server; upload it first")
        elif not kind.startswith("image/"):
            findings.error(_KIND, path, f"expected an image, but the stored file is {kind}")


def images_of(document: ReleaseDocument) -> Iterator[tuple[str, str]]:
    """All images of a release, each with its path."""
    for field in ("logo", "tile", "banner"):
        name: str | None = getattr(document, field)
        if name is not None:
            yield field, name
    for field in ("screenshots", "attachments"):
        for index, name in enumerate(getattr(document, field)):
            yield join_path(field, index), name
