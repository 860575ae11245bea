"""A database with as many releases as one likes, of the size that real ones have, made in one go.

Every mod has ten versions, and every release two packages with an archive each and forty files in them. What the files
would hold is not stored anywhere; whoever needs that must upload it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from sqlalchemy import insert, update

from knossos.database import Database
from knossos.publishing.documents import ReleaseDocument
from knossos.publishing.tables import ChangeCounter, Mod, Release

#: Versions of each mod, packages of each release, files of each package.
VERSIONS, PACKAGES, FILES = 10, 2, 20
#: Rows that go to the database at once.
BATCH = 500
#: 2026-01-01, and seconds between two releases.
FIRST, PAUSE = 1_767_225_600.0, 60.0


def fill(database: Database, count: int) -> None:
    """Put ``count`` releases into an empty database. All are public; the counter says that many changes."""
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        mods = [_mod(number // VERSIONS, min(VERSIONS, count - number)) for number in numbers if number % VERSIONS == 0]
        with database.session() as session:
            if mods:
                session.execute(insert(Mod), mods)
            session.execute(insert(Release), [_release(number) for number in numbers])
            session.execute(update(ChangeCounter).values(value=numbers[-1] + 1))


def document(number: int) -> ReleaseDocument:
    """The release with a number, from 0 on."""
    mod, minor = divmod(number, VERSIONS)
    return _document(f"mod{mod}", f"1.{minor}.0")


def _mod(mod: int, versions: int) -> dict[str, Any]:
    mod_id, at = f"mod{mod}", FIRST + mod * VERSIONS * PAUSE
    return {
        "id": mod_id, "id_key": mod_id, "title": f"The Ancients' Legacy, part {mod}", "type": "mod", "parent": "FS2",
        "created_at": at, "updated_at": at, "listed_id": mod * VERSIONS + versions, "search_text": mod_id,
    }  # fmt: skip


def _release(number: int) -> dict[str, Any]:
    made, at = document(number), FIRST + number * PAUSE
    return {
        "id": number + 1, "mod_id": made.id, "version": made.version, "version_key": made.version,
        "state": "published", "private": False, "offered": True, "once_offered": True,
        "document": made.model_dump_json(), "created_at": at, "updated_at": at, "change": number + 1,
    }  # fmt: skip


def _document(mod_id: str, version: str) -> ReleaseDocument:
    image = f"{_sum(mod_id, 'tile')}.png"
    data = {
        "id": mod_id, "title": f"The Ancients' Legacy, part {mod_id}", "version": version, "type": "mod",
        "parent": "FS2", "private": False, "stability": None,
        "description": "A campaign of twelve missions.\\n" * 20, "notes": "", "cmdline": "-spec_exp 11 -fov 0.39",
        "logo": image, "tile": image, "banner": image, "screenshots": [image], "attachments": [], "videos": [],
        "release_thread": "https://www.example.org/forum/index.php?topic=90000", "first_release": "2026-01-01",
        "last_update": "2026-01-02", "mod_flag": [mod_id, "MVPS"],
        "packages": [_package(mod_id, version, number) for number in range(PACKAGES)],
    }  # fmt: skip
    return ReleaseDocument.model_validate(data)


def _package(mod_id: str, version: str, number: int) -> dict[str, Any]:
    archive = f"{mod_id}-{number}.7z"
    return {
        "name": f"{mod_id} core {number}", "notes": "", "status": "required", "folder": f"core{number}",
        "is_vp": False, "environment": "",
        "dependencies": [{"id": "FSO", "version": ">=3.8.0", "packages": []},
                         {"id": "MVPS", "version": "~4.5.0", "packages": ["MV_Effects"]}],
        "executables": [],
        "files": [{"filename": archive, "dest": "", "checksum": ("sha256", _sum(mod_id, version, archive)),
                   "filesize": 123_456_789}],
        "filelist": list(_filelist(mod_id, version, archive)),
    }  # fmt: skip


def _filelist(mod_id: str, version: str, archive: str) -> Iterator[dict[str, Any]]:
    for number in range(FILES):
        name = f"data/maps/{mod_id}-texture-{number:03}.dds"
        yield {
            "filename": name,
            "archive": archive,
            "orig_name": name,
            "checksum": ("sha256", _sum(mod_id, version, archive, str(number))),
        }


def _sum(*words: str) -> str:
    return hashlib.sha256("/".join(words).encode()).hexdigest()
