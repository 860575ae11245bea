"""What lists show: of each release a summary, and of each mod the release that stands for it and the text that is
searched.

Kept in their rows when a release changes, so that a list of thousands of mods reads no document: some are very long.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.orm import Session

from knossos.publishing.documents import ReleaseDocument
from knossos.publishing.offering import PUBLISHED
from knossos.publishing.tables import Mod, Release
from knossos.publishing.versions import comparable

#: Characters of a description that lists know: only these are searched.
MAX_DESCRIPTION_CHARS = 4000


class Summary(BaseModel):
    """A release in a list; images are ``<sha256>.<extension>``."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    title: str = ""
    description: str = ""
    logo: str | None = None
    tile: str | None = None
    first_release: str = ""
    last_update: str = ""


def summary_of(document: ReleaseDocument) -> str:
    """The text that a release's row keeps."""
    summary = Summary(
        title=document.title,
        description=document.description[:MAX_DESCRIPTION_CHARS],
        logo=document.logo,
        tile=document.tile,
        first_release=document.first_release,
        last_update=document.last_update,
    )
    return summary.model_dump_json()


def search_text(mod_id: str, title: str, description: str) -> str:
    """What lists are searched for."""
    return "\n".join((mod_id, title, description[:MAX_DESCRIPTION_CHARS])).lower()


def update_listing(session: Session, mod_id: str, now: float | None = None) -> None:
    """Choose the release that stands for a mod anew, after one of them changed: the newest that is public, one that was
    not yanked before one that was. ``now``: when that was, for lists by time."""
    mod = session.get_one(Mod, mod_id)
    query = select(Release.id, Release.version, Release.yanked_at).where(
        Release.mod_id == mod_id, Release.state == PUBLISHED, Release.private.is_(False)
    )
    rows = session.execute(query).all()
    newest = max(rows, key=lambda row: (row[2] is None, comparable(row[1])), default=None)
    mod.listed_id = None if newest is None else newest[0]
    description = ""
    if mod.listed_id is not None:
        text = session.scalar(select(Release.summary).where(Release.id == mod.listed_id))
        description = Summary.model_validate_json(text or "{}").description
        mod.updated_at = now or mod.updated_at
    mod.search_text = search_text(mod.id, mod.title, description)
