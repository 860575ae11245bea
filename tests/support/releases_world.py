"""Releases straight in a database, and machines that build the repository from it, for tests of its files."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

from sqlalchemy import select

from knossos.database import Database
from knossos.publishing.changes import last_change, next_change
from knossos.publishing.documents import ReleaseDocument
from knossos.publishing.repository.local_build import LocalBuild
from knossos.publishing.repository.publication import Publication
from knossos.publishing.repository.repository import Repository
from knossos.publishing.repository.signature import Signer
from knossos.publishing.tables import Mod, Release
from knossos.settings import Settings
from knossos.storage import Storage
from tests.support import strict_mods
from tests.support.releases import document

IMAGE = "ab" * 32 + ".png"


class Machine:
    """A machine that runs workers: its own data folder, the same database and storage as all others."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.storage = Storage(settings)
        self.repository = Repository(settings, database, self.storage)
        self.local = LocalBuild(settings)
        self.publication = Publication(database, self.storage)

    @property
    def signer(self) -> Signer:
        return Signer.of(self.settings)


class World:
    """A database with releases, and a storage in a folder."""

    def __init__(self, database: Database, folder: Path, **more: Any) -> None:
        self.database = database
        self.folder = folder
        self.more = {"storage": str(folder / "storage"), **more}
        self.machine = self.machine_called("first")
        #: For processes that a test starts.
        self.bring_up_to = 0

    def machine_called(self, name: str, **more: Any) -> Machine:
        return Machine(Settings(data_path=self.folder / name, **{**self.more, **more}), self.database)

    @property
    def public(self) -> Path:
        return self.folder / "storage" / "public"

    # --- what authors do ----------------------------------------------------------------------------

    def publish(self, mod_id: str = "alpha", version: str = "1.0.0", **changes: Any) -> int:
        """Store a release; the answer is its change."""
        made = document(id=mod_id, version=version, tile=IMAGE, **changes)
        with self.database.session() as session:
            if session.get(Mod, mod_id) is None:
                mod = Mod(id=mod_id, id_key=mod_id, title=made.title, type=made.type, created_at=0.0, updated_at=0.0)
                session.add(mod)
                session.flush()
            change, now = next_change(session), time.time()
            session.add(
                Release(
                    mod_id=mod_id,
                    version=version,
                    version_key=version,
                    state="published",
                    private=made.private,
                    offered=not made.private,
                    document=made.model_dump_json(),
                    created_at=now,
                    updated_at=now,
                    change=change,
                )
            )
            return change

    def change(self, mod_id: str, version: str, *, state: str = "published", **changes: Any) -> int:
        """Change fields of a release, or delete it; the answer is the change."""
        with self.database.session() as session:
            row = session.scalars(select(Release).where(Release.mod_id == mod_id, Release.version == version)).one()
            made = ReleaseDocument.model_validate_json(row.document).model_copy(update=changes)
            row.document, row.private, row.state = made.model_dump_json(), made.private, state
            row.offered = state == "published" and not made.private
            row.updated_at, row.change = time.time(), next_change(session)
            return row.change

    def delete(self, mod_id: str, version: str) -> int:
        return self.change(mod_id, version, state="deleted")

    # --- what clients see ---------------------------------------------------------------------------

    def bring_up(self) -> int:
        with self.database.reading() as session:
            change = last_change(session)
        return self.machine.repository.bring_up(change)

    def names(self) -> list[str]:
        """Ids and versions in ``repo.json``, checked to be those of ``repo_minimal.json``."""
        full, minimal = self.names_in_each()
        assert full == minimal
        return full

    def names_in_each(self) -> tuple[list[str], list[str]]:
        """Ids and versions in the one list and the other, which get their names one after the other. It is checked that
        no list lies in the storage under any sum but its own."""
        for path in self.public.glob("repo*-*.json"):
            assert path.stem.rpartition("-")[2] == hashlib.blake2b(path.read_bytes()).hexdigest()[:64]
        full = strict_mods.repository((self.public / "repo.json").read_bytes())
        minimal = strict_mods.minimal_repository((self.public / "repo_minimal.json").read_bytes())
        return named(full), named(minimal)

    def mod(self, mod_id: str, version: str) -> dict[str, Any]:
        mods = strict_mods.repository((self.public / "repo.json").read_bytes())
        (found,) = [mod for mod in mods if (mod["id"], mod["version"]) == (mod_id, version)]
        return found

    def bytes_everywhere(self) -> bytes:
        """Everything that lies in the storage and in the machine's build."""
        roots = (self.folder / "storage", self.machine.local.folder)
        return b"\n".join(path.read_bytes() for root in roots for path in sorted(root.rglob("*")) if path.is_file())


def named(mods: list[dict[str, Any]]) -> list[str]:
    return sorted(f"{mod['id']} {mod['version']}" for mod in mods)
