"""Putting a build into the storage, where clients find it, and what is published at present.

Owns ``public/`` of the storage. Each list is stored under the sum of its contents, beside its signature, and stays
a while after the next one has come: who has a signature can get the very file it is for. ``public/repository.json``
(`Published`) says which are the present ones; in a folder the plain names, such as ``public/repo.json``, are further
names of the same files, for a web server that knows nothing of this.

What always holds: a reader finds the old or the new, whole; an older build never takes the place of a newer one, also
when many machines publish at once: the row of the change counter is locked while the names change. What was taken
back (deleted, made private) is not kept: then the files before go at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import secrets
import shutil
import time
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from knossos.database import Database
from knossos.publishing.changes import ROW
from knossos.publishing.offering import DELETED
from knossos.publishing.repository.errors import RepositoryBusy
from knossos.publishing.repository.index import FORMAT, LISTS, Build, ListName
from knossos.publishing.repository.local_build import Check, LocalBuild
from knossos.publishing.repository.resumable_sum import HASHLIB_NAME
from knossos.publishing.repository.signature import Signer
from knossos.publishing.tables import ChangeCounter, Release
from knossos.storage import UNFINISHED_PREFIX, NoSuchObject, Storage

#: Below it lies all that is served as /storage/<name>.
FOLDER = "public"
#: What is published at present.
POINTER = f"{FOLDER}/repository.json"
PUBLIC_KEY = f"{FOLDER}/minisign.pub"
SIGNATURE = ".minisig"

#: Builds that stay besides the present one. An object store is read in several requests, so there they stay for a
#: while after the next one has come, whatever their number up to a limit; a file in a folder is read whole once opened.
KEPT = 2
KEPT_IN_OBJECT_STORE = 20
KEPT_SECONDS = 600
#: Seconds after which a list that is not named was left behind by a process that was killed.
STRAY_SECONDS = 3600

_LIST_KEY = re.compile(rf"{FOLDER}/({'|'.join(LISTS)})-[0-9a-f]{{64}}\.json({re.escape(SIGNATURE)})?")

_log = logging.getLogger(__name__)


class PublishedFile(BaseModel):
    """A list in the storage. ``modified`` is Unix time in whole seconds, and grows from one file to the next."""

    model_config = ConfigDict(frozen=True)

    size: int
    blake2b: str
    modified: int

    def key(self, name: ListName) -> str:
        return key_of(name, self.blake2b)

    @property
    def etag(self) -> str:
        """The validator that nginx would make of the file."""
        return f"{self.modified:x}-{self.size:x}"


def key_of(name: ListName, blake2b: str) -> str:
    """Where a list with this sum is stored: half of the sum is enough for a name."""
    return f"{FOLDER}/{name}-{blake2b[:64]}.json"


class Former(BaseModel):
    """A build that was published before: its change, the keys of its lists, and when (Unix time) the next one came."""

    model_config = ConfigDict(frozen=True)

    change: int
    keys: tuple[str, ...]
    replaced_at: float


class Published(BaseModel):
    """What is published at present, and the builds before it that are still there, newest first."""

    model_config = ConfigDict(frozen=True)

    format: Literal[1] = FORMAT
    base_url: str
    change: int
    files: dict[ListName, PublishedFile]
    former: tuple[Former, ...]

    @property
    def present_keys(self) -> tuple[str, ...]:
        return tuple(file.key(name) for name, file in self.files.items())

    @property
    def keys(self) -> set[str]:
        """The keys of all lists that may be read."""
        return set(self.present_keys).union(*(former.keys for former in self.former))


class Publication:
    def __init__(self, database: Database, storage: Storage) -> None:
        self._database = database
        self._storage = storage

    def load(self) -> Published | None:
        """What is published; None where that is nothing, or nothing that this program understands."""
        try:
            return Published.model_validate_json(b"".join(self._storage.read(POINTER)))
        except (NoSuchObject, ValidationError):
            return None

    def publish(self, build: Build, local: LocalBuild, signer: Signer, *, anew: bool = False) -> bool:
        """Store a build and make it the present one. False where a newer one is there already.

        Args:
            anew: whether to store and sign also what is there already.
        """
        anew = self._put_public_key(signer) or anew
        present = self.load()
        for name in LISTS:
            self._put(name, build, local, signer, None if anew else present)
        with self._database.session() as session:
            last = _advance(session, build.change)
            if last is None:
                return False
            before = self.load()
            # One with a change that is still to be made was published before an older copy of the database came back.
            if before is not None and build.change < before.change <= last:
                return False
            now = self._next(session, build, before)
            self._show(now)
        self._remove((before.keys if before else set()) - now.keys)
        return True

    def sign_again(self, signer: Signer) -> bool:
        """Sign what is published once more, which tells clients that it is the present one still; whether there is
        anything."""
        self._put_public_key(signer)
        with self._database.session() as session:
            # Nobody publishes meanwhile.
            session.scalar(select(ChangeCounter.id).where(ChangeCounter.id == ROW).with_for_update())
            published = self.load()
            if published is None:
                return False
            for name, file in published.files.items():
                self._sign(name, file.blake2b, published.change, signer)
                if self._storage.folder:
                    _give_name(self._storage.folder / (file.key(name) + SIGNATURE), f"{name}.json{SIGNATURE}")
        return True

    def is_sound(self, check: Check) -> bool:
        """Whether the lists have the sums that they are published under; all of them is read."""
        published = self.load()
        for name, file in published.files.items() if published else ():
            found = hashlib.new(HASHLIB_NAME)
            try:
                with contextlib.closing(self._storage.read(file.key(name))) as pieces:
                    for piece in pieces:
                        check()
                        found.update(piece)
                sound = found.hexdigest() == file.blake2b
            except NoSuchObject:
                sound = False
            # What is not the present one any more may be gone.
            if not sound and (now := self.load()) and file.key(name) in now.present_keys:
                _log.error("%s of the repository is not what it was signed as", name)
                return False
        return True

    def sweep(self) -> int:
        """Remove lists that were stored and never shown; answer how many."""
        published, old = self.load(), time.time() - STRAY_SECONDS
        named = published.keys if published else set()
        strays = [
            key
            for key, _, modified in self._storage.list_keys(FOLDER)
            if _LIST_KEY.fullmatch(key) and key.removesuffix(SIGNATURE) not in named and modified < old
        ]
        for key in strays:
            self._storage.delete(key)
        return len(strays)

    def _put_public_key(self, signer: Signer) -> bool:
        """Store the public key; whether there was none, or another one."""
        key = signer.public_key.encode("ascii")
        with contextlib.suppress(NoSuchObject):
            if (found := b"".join(self._storage.read(PUBLIC_KEY))) == key:
                return False
            _log.warning("the repository was signed with another key (%s); it is replaced", found.splitlines()[:1])
        self._storage.put_bytes(PUBLIC_KEY, key)
        return True

    def _put(self, name: ListName, build: Build, local: LocalBuild, signer: Signer, present: Published | None) -> None:
        file = build.files[name]
        key = key_of(name, file.blake2b)
        if present and key in present.present_keys and self._is_there(key):
            return
        self._storage.put_file(key, local.path(file), keep=True)
        self._sign(name, file.blake2b, build.change, signer)

    def _sign(self, name: ListName, blake2b: str, change: int, signer: Signer) -> None:
        key = key_of(name, blake2b)
        comment = (
            f"timestamp:{time.time():.0f}\tfile:{name}.json\tchange:{change}\tsame:{key.removeprefix(f'{FOLDER}/')}"
        )
        self._storage.put_bytes(key + SIGNATURE, signer.sign(bytes.fromhex(blake2b), comment).encode("ascii"))

    def _is_there(self, key: str) -> bool:
        return all(self._storage.head(part) is not None for part in (key, key + SIGNATURE))

    def _next(self, session: Session, build: Build, before: Published | None) -> Published:
        """What is published when this build is, with those former ones that may stay."""
        files, now = {}, time.time()
        for name in LISTS:
            file, old = build.files[name], before.files[name] if before else None
            # A web server makes the ETag of the second and the size, so each file has a second of its own.
            modified = max(int(now), old.modified + 1) if old else int(now)
            if old and old.blake2b == file.blake2b:
                modified = old.modified
            files[name] = PublishedFile(size=file.size, blake2b=file.blake2b, modified=modified)
        published = Published(base_url=build.base_url, change=build.change, files=files, former=())
        if before is None:
            return published
        former = list(before.former)
        if before.present_keys != published.present_keys:
            former.insert(0, Former(change=before.change, keys=before.present_keys, replaced_at=now))
        kept = [
            one
            for number, one in enumerate(former[: KEPT if self._storage.folder else KEPT_IN_OBJECT_STORE])
            if (number < KEPT or now - one.replaced_at < KEPT_SECONDS) and not _taken_back_since(session, one.change)
        ]
        return published.model_copy(update={"former": tuple(kept)})

    def _show(self, published: Published) -> None:
        """Make it the present one. The signatures come first: who sees a list finds its signature, or a newer one."""
        for name, file in published.files.items():
            key = file.key(name)
            if not self._is_there(key):
                raise RepositoryBusy("The repository's files were removed while they were published.")
            if self._storage.folder:
                os.utime(self._storage.folder / key, (file.modified, file.modified))
                for suffix in (SIGNATURE, ""):
                    _give_name(self._storage.folder / (key + suffix), f"{name}.json{suffix}")
        self._storage.put_bytes(POINTER, published.model_dump_json().encode())

    def _remove(self, keys: set[str]) -> None:
        for key in keys:
            self._storage.delete(key)
            self._storage.delete(key + SIGNATURE)


def _advance(session: Session, change: int) -> int | None:
    """Lock the counter's row, note what is written, and answer the last change; None where more is written."""
    statement = (
        update(ChangeCounter)
        .where(ChangeCounter.id == ROW, ChangeCounter.written <= change)
        .values(written=change)
        .returning(ChangeCounter.value)
    )
    return session.scalar(statement)


def _taken_back_since(session: Session, change: int) -> bool:
    """Whether something that was offered was deleted or made private after a change."""
    hidden = select(Release.id).where(
        Release.change > change,
        Release.once_offered,
        Release.offered.is_(False),
        Release.private | (Release.state == DELETED),
    )
    return session.scalar(hidden.limit(1)) is not None


def _give_name(path: Path, name: str) -> None:
    """Give a file one more name beside it, in place of what had that name."""
    temporary = path.with_name(f"{UNFINISHED_PREFIX}{secrets.token_hex(8)}")
    try:
        try:
            os.link(path, temporary)
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                raise
            shutil.copy2(path, temporary)
        os.replace(temporary, path.with_name(name))
    finally:
        temporary.unlink(missing_ok=True)  # still there where both were names of the same file
