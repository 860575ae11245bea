"""What is where in this machine's build: an SQLite file beside the lists.

Owns the record of one build: the files, the change they hold, the line of each release in each list, and the state of
each list's sum at some of its places. A build is replaced in one transaction, so it is the old one or the new one
whenever a process is killed. It costs nothing but time to lose it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from knossos.publishing.repository.resumable_sum import Checkpoint
from knossos.publishing.repository.spares import Spare

#: Counts up when the files change for other reasons than their contents do.
FORMAT: Final = 1

#: The lists: all of each release, and what the lists of mods need.
ListName = Literal["repo", "repo_minimal"]
LISTS: tuple[ListName, ...] = ("repo", "repo_minimal")

_TABLES = """
CREATE TABLE IF NOT EXISTS build (id INTEGER PRIMARY KEY CHECK (id = 1), document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS entries (
    list TEXT NOT NULL, release_id INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
    PRIMARY KEY (list, release_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_offset ON entries (list, offset);
CREATE TABLE IF NOT EXISTS checkpoints (
    list TEXT NOT NULL, offset INTEGER NOT NULL, state BLOB NOT NULL, PRIMARY KEY (list, offset)
) WITHOUT ROWID;
-- A state holds some bytes of its file, and what was taken back must not stay.
PRAGMA secure_delete = ON;
"""


class BuiltFile(BaseModel):
    """A finished list: its file's name, its length, what of that are holes, and its BLAKE2b-512 as hex."""

    model_config = ConfigDict(frozen=True)

    name: str
    size: int
    holes: int
    blake2b: str
    #: Of which kind the checkpoints of its sum are. An older program, which leaves them as they are, drops this.
    checkpoints: str = ""
    #: Older files that are a beginning of this one, newest first.
    spares: tuple[Spare, ...] = ()


class Build(BaseModel):
    """What this machine has built. ``newest`` is the id of a release whose last change was ``change`` or before."""

    model_config = ConfigDict(frozen=True)

    format: Literal[1] = FORMAT
    base_url: str
    change: int
    #: Id and change of the release that changed last: what tells that the database has another past.
    newest: tuple[int, int] | None
    #: Since then the machine has not been switched off, so what was written is what is read.
    boot: str
    files: dict[ListName, BuiltFile]

    def without_spares(self) -> Build:
        """For a machine that was switched off: what a spare holds may have been on its way to the disk."""
        files = {name: file.model_copy(update={"spares": ()}) for name, file in self.files.items()}
        return self.model_copy(update={"files": files})


class Index:
    """Open it for one update only, and only under the lock of the build."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.executescript(_TABLES)

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def change(self) -> Iterator[None]:
        """All changes of the block, or none."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def load(self) -> Build | None:
        """The build; None where there is none that this program understands."""
        row = self._connection.execute("SELECT document FROM build").fetchone()
        try:
            return Build.model_validate_json(row[0]) if row else None
        except ValidationError:
            return None

    def store(self, build: Build) -> None:
        self._connection.execute("INSERT OR REPLACE INTO build VALUES (1, ?)", [build.model_dump_json()])

    def clear(self) -> None:
        """Forget everything."""
        self._connection.execute("DELETE FROM build")
        self._connection.execute("DELETE FROM entries")
        self._connection.execute("DELETE FROM checkpoints")

    def place(self, name: ListName, release_id: int) -> tuple[int, int] | None:
        """Offset and length of a release's line."""
        where = "SELECT offset, length FROM entries WHERE list = ? AND release_id = ?"
        found: tuple[int, int] | None = self._connection.execute(where, [name, release_id]).fetchone()
        return found

    def put(self, name: ListName, release_id: int, place: tuple[int, int]) -> None:
        self._connection.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", [name, release_id, *place])

    def remove(self, name: ListName, release_id: int) -> None:
        self._connection.execute("DELETE FROM entries WHERE list = ? AND release_id = ?", [name, release_id])

    def first(self, name: ListName) -> int | None:
        """Offset of the first line that is left."""
        offset: int | None = self._connection.execute(
            "SELECT min(offset) FROM entries WHERE list = ?", [name]
        ).fetchone()[0]
        return offset

    def places(self, name: ListName) -> list[tuple[int, int, int]]:
        """Release, offset and length of all lines, in their order in the file."""
        return self._connection.execute(
            "SELECT release_id, offset, length FROM entries WHERE list = ? ORDER BY offset", [name]
        ).fetchall()

    def move(self, name: ListName, moved: Iterable[tuple[int, int]]) -> None:
        """Give releases (id, offset) another place."""
        self._connection.executemany(
            "UPDATE entries SET offset = ?2 WHERE list = ?3 AND release_id = ?1",
            ((release_id, offset, name) for release_id, offset in moved),
        )

    def checkpoint(self, name: ListName, end: int) -> Checkpoint | None:
        """The last checkpoint that stands for bytes before ``end`` only."""
        found = self._connection.execute(
            "SELECT offset, state FROM checkpoints WHERE list = ? AND offset <= ? ORDER BY offset DESC LIMIT 1",
            [name, end],
        ).fetchone()
        return Checkpoint(*found) if found else None

    def replace_checkpoints(self, name: ListName, start: int, checkpoints: Iterable[Checkpoint]) -> None:
        """Keep those up to ``start``, and have these after it."""
        self._connection.execute("DELETE FROM checkpoints WHERE list = ? AND offset > ?", [name, start])
        self._connection.executemany(
            "INSERT INTO checkpoints VALUES (?, ?, ?)", ((name, offset, state) for offset, state in checkpoints)
        )
