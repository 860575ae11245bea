"""New titles and images of a mod, carried into its releases, since that is where the mod managers read them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from knossos.publishing.blobs import Blobs
from knossos.publishing.changes import next_change
from knossos.publishing.documents import ReleaseDocument
from knossos.publishing.listing import summary_of
from knossos.publishing.offering import PUBLISHED
from knossos.publishing.release_rows import blobs_of
from knossos.publishing.tables import Release


@dataclass(frozen=True)
class ModChanges:
    """``values`` holds some of title, logo, tile (SHA-256 of images, None: none) and first_release (YYYY-MM-DD);
    ``image_names`` the name of each of these images."""

    values: dict[str, str | None]
    image_names: dict[str, str] = field(default_factory=dict)

    def given(self) -> dict[str, Any]:
        return dict(self.values)

    def for_releases(self) -> dict[str, Any]:
        """The same as a release's document says it."""
        found: dict[str, Any] = dict(self.values)
        for name in {"logo", "tile"} & found.keys():
            found[name] = None if found[name] is None else self.image_names[found[name]]
        return found


def carry_into_releases(session: Session, blobs: Blobs, mod_id: str, changes: ModChanges, now: float) -> int | None:
    """Make the changes in each published release that they change. The answer is the number of the change; None where
    no release changed. The caller has locked the mod."""
    wanted = changes.for_releases()
    change: int | None = None
    query = select(Release).where(Release.mod_id == mod_id, Release.state == PUBLISHED).order_by(Release.id)
    for row in session.scalars(query).all():
        document = ReleaseDocument.model_validate_json(row.document)
        new = document.model_copy(update=wanted)
        if new == document:
            continue
        change = next_change(session) if change is None else change
        row.document, row.summary = new.model_dump_json(), summary_of(new)
        row.change, row.updated_at = change, now
        session.flush()
        blobs.set_uses(session, "release", str(row.id), blobs_of(new))
    return change
