"""Releases for tests: documents that are in order, and a way to have them in a database without uploading anything."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from sqlalchemy.orm import Session

from knossos.accounts.tables import User
from knossos.database import Database
from knossos.publishing.documents import ReleaseDocument
from knossos.publishing.mods import ModFacts
from knossos.publishing.publisher import Publisher
from knossos.publishing.releases import blobs_of
from knossos.publishing.tables import Blob
from knossos.settings import Settings


class QuietPublisher(Publisher):
    """Remembers what it was told to announce, where the real one would ask Redis for a job."""

    def __init__(self, settings: Settings, database: Database) -> None:
        super().__init__(settings, database, None)  # type: ignore[arg-type]
        self.announced: list[int] = []

    def announce(self, change: int) -> None:
        self.announced.append(change)


def sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def document(*, id: str = "alpha", version: str = "1.0.0", **changes: Any) -> ReleaseDocument:
    """A release of a total conversion with one package, one archive and one file in it.

    ``changes`` are further fields; ``needs`` is short for dependencies: a list of (mod id, version or None).
    """
    needs = changes.pop("needs", [])
    archive = f"{id}-{version}.7z"
    package = {
        "name": "Core",
        "notes": "",
        "status": "required",
        "folder": "core",
        "is_vp": False,
        "environment": "",
        "dependencies": [{"id": mod_id, "version": wanted, "packages": []} for mod_id, wanted in needs],
        "executables": [],
        "files": [{"filename": archive, "dest": "", "checksum": ["sha256", sha256_of(archive)], "filesize": 1000}],
        "filelist": [
            {
                "filename": "mod.ini",
                "archive": archive,
                "orig_name": "mod.ini",
                "checksum": ["sha256", sha256_of(f"mod.ini of {archive}")],
            }
        ],
    }
    data = {
        "id": id,
        "title": f"The {id} mod",
        "version": version,
        "type": "tc",
        "parent": None,
        "private": False,
        "stability": None,
        "description": "A mod of the tests.",
        "notes": "",
        "cmdline": "",
        "logo": None,
        "tile": None,
        "banner": None,
        "screenshots": [],
        "attachments": [],
        "videos": [],
        "release_thread": None,
        "first_release": "2026-01-02",
        "last_update": "2026-01-03",
        "mod_flag": [],
        "packages": [package],
    }
    return ReleaseDocument.model_validate(data | changes)


def add_user(database: Database, name: str) -> int:
    """An account that cannot log in; the answer is its number."""
    with database.session() as session:
        user = User(name=name, name_key=name.lower(), password_hash="", created_at=time.time())
        session.add(user)
        session.flush()
        return user.id


def add_blobs(session: Session, document: ReleaseDocument) -> None:
    """Rows for all files and images of a release, without any bytes behind them."""
    for sha256 in blobs_of(document):
        if session.get(Blob, sha256) is None:
            now = time.time()
            image = f"{sha256}." in document.model_dump_json()
            kind = "image/png" if image else "application/octet-stream"
            session.add(Blob(sha256=sha256, size=1000, content_type=kind, created_at=now, touched_at=now))


def publish(publisher: Publisher, document: ReleaseDocument, user: int) -> int:
    """Store a release, and its mod where there is none yet; ``user`` is the number of the account, an owner then.

    The answer is the release's number. The repository is told as always; nothing checks the release.
    """
    with publisher.database.session() as session:
        add_blobs(session, document)
    if not publisher.mods.is_taken(document.id):
        facts = ModFacts(document.id, document.title, document.type, document.parent)
        publisher.mods.create(facts, user)
    return publisher.releases.store(document, user)
