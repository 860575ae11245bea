"""What of the releases everybody may read, and in which form.

The one place that decides it for the files and for the feed of changes: a release that is not offered leaves nothing
but its id, and only where it was offered before.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from knossos.publishing.documents import ReleaseDocument, full_mod, minimal_mod
from knossos.publishing.repository.index import ListName
from knossos.publishing.tables import Release

#: Releases that are read from the database at once. One has up to some megabytes.
PAGE = 50

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Changed:
    """A release after a change. ``document`` is None where it is not offered."""

    release_id: int
    mod_id: str
    version: str
    change: int
    once_offered: bool
    document: ReleaseDocument | None


def changed_since(session: Session, since: int) -> Iterator[Changed]:
    """All releases whose last change is above a number, in the order of their changes, read page by page."""
    after: tuple[int, int] = (since, 0)
    while True:
        query = (
            select(
                Release.id,
                Release.mod_id,
                Release.version,
                Release.change,
                Release.offered,
                Release.once_offered,
                Release.document,
            )
            .where(Release.change > since, tuple_(Release.change, Release.id) > tuple_(*after))
            .order_by(Release.change, Release.id)
            .limit(PAGE)
        )
        rows = session.execute(query).all()
        for release_id, mod_id, version, change, offered, once_offered, text in rows:
            document = _parse(text, mod_id, version) if offered else None
            yield Changed(release_id, mod_id, version, change, once_offered, document)
        if len(rows) < PAGE:
            return
        after = (rows[-1][3], rows[-1][0])


def lines(document: ReleaseDocument, base: str) -> dict[ListName, bytes]:
    """The entry of a release in each list."""
    return {"repo": encoded(full_mod(document, base)), "repo_minimal": encoded(minimal_mod(document, base))}


def encoded(data: Any) -> bytes:
    """JSON on one line. Half of a surrogate pair, which no client can read, becomes a question mark."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _parse(text: str, mod_id: str, version: str) -> ReleaseDocument | None:
    """What is stored; None, and a line in the log, where it is broken: it must not stop all others."""
    try:
        return ReleaseDocument.model_validate_json(text)
    except ValidationError as error:
        _log.error("the stored form of %s %s is broken, so it is not offered: %s", mod_id, version, error)
        return None
