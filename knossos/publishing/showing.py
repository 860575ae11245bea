"""Full mods for the mod managers that ask for one, or for the private ones: what the repository's files do not have."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from knossos.accounts.tokens import Identity
from knossos.database import Database
from knossos.publishing.documents import ReleaseDocument, full_mod
from knossos.publishing.errors import Refused
from knossos.publishing.release_input import is_mod_id
from knossos.publishing.tables import Release
from knossos.publishing.teams import TeamRole, members
from knossos.publishing.versions import comparable, release_version, version_key
from knossos.publishing.visibility import in_my_teams, visible

#: Most private releases in one answer: the newest ones.
MAX_PRIVATE = 500


class FullMods:
    """``base`` is the server's public address."""

    def __init__(self, database: Database, base: str) -> None:
        self._database = database
        self._base = base

    def find(self, identity: Identity | None, mod_id: str, version: str) -> dict[str, Any]:
        """A release with its mod's owners, if the caller may see it.

        Raises:
            Refused: ``mod_not_found``, ``invalid_version_string``, ``not_found``.
        """
        of_mod = (Release.mod_id == mod_id, visible(identity))
        with self._database.reading() as session:
            if not is_mod_id(mod_id) or session.scalar(select(Release.id).where(*of_mod).limit(1)) is None:
                raise Refused("There is no such mod.", reason="mod_not_found")
            try:
                key = version_key(release_version(version))
            except ValueError as error:
                raise Refused(f"version: {error}", reason="invalid_version_string") from error
            text = session.scalar(select(Release.document).where(*of_mod, Release.version_key == key))
            if text is None:
                raise Refused(f"There is no version {version} of {mod_id}.", reason="not_found")
            owners = [member.user for member in members(session, mod_id) if member.role == TeamRole.OWNER]
            return self._shown(text) | {"owners": owners}

    def private(self, identity: Identity) -> list[dict[str, Any]]:
        """The private releases that the caller may see, by mod and version."""
        query = (
            select(Release)
            .where(
                visible(identity),
                in_my_teams(identity, Release.mod_id.expression),
                Release.private.is_(True),
                Release.yanked_at.is_(None),
            )
            .order_by(Release.id.desc())
            .limit(MAX_PRIVATE)
        )
        with self._database.reading() as session:
            rows = sorted(session.scalars(query), key=lambda row: (row.mod_id.lower(), comparable(row.version)))
            return [self._shown(row.document) for row in rows]

    def _shown(self, text: str) -> dict[str, Any]:
        return full_mod(ReleaseDocument.model_validate_json(text), self._base)
