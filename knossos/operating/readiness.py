"""Whether a process can do its work: what it needs is there, each part asked by itself.

What always holds: an answer comes within `PATIENCE_SECONDS` and a little, also where a part says nothing at all; and it
names no address and no secret.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import sqlalchemy

from knossos.database import Database
from knossos.jobs.connection import connect
from knossos.settings import Settings
from knossos.storage import Storage, StorageRefuses, blob_key

#: Seconds after which a part that says nothing counts as not there.
PATIENCE_SECONDS = 4.0
#: What is asked for in an object store; nothing need be there.
_ABSENT_KEY = "readiness/nothing"
#: How many of the newest and of the oldest files are looked for: some may be removed at this moment.
_SOME_FILES = 3

_log = logging.getLogger(__name__)


class NotReady(Exception):
    """Why a part is not ready, in words that anybody may read."""


@dataclass(frozen=True)
class Readiness:
    """``parts`` says of each part "ok", or what is wrong with it."""

    parts: dict[str, str]

    @property
    def ready(self) -> bool:
        return all(said == "ok" for said in self.parts.values())

    def as_dict(self) -> dict[str, object]:
        """As /ready answers it: ``{"ready": false, "parts": {"redis": "does not answer", "database": "ok"}}``."""
        return {"ready": self.ready, "parts": self.parts}


class Parts:
    """What processes need; each method is quiet where it is there, and raises where it is not."""

    def __init__(self, settings: Settings, database: Database | None = None, storage: Storage | None = None) -> None:
        self._settings = settings
        self._database = database or Database(settings)
        self._storage = storage or Storage(settings)

    def redis(self) -> None:
        client = connect(self._settings.redis, 0, PATIENCE_SECONDS)
        try:
            client.ping()
        finally:
            client.close()

    def database(self) -> None:
        with self._database.reading() as session:
            session.execute(sqlalchemy.text("SELECT 1"))

    def schema(self) -> None:
        # Alembic takes a while to load.
        from knossos.schema import revision_of

        with self._database.engine.connect() as connection:
            found, wanted = revision_of(connection), _newest_revision()
        # Newer ones are those of an upgrade that is under way.
        if found is None or found < wanted:
            raise NotReady(f"the tables are at {found or 'nothing'} and should be at {wanted}: run ./launch.sh setup")

    def storage(self) -> None:
        try:
            self._look_into_storage()
        except StorageRefuses as error:
            raise NotReady(
                "refuses this server: are the keys in STORAGE_OPTIONS, their rights and this machine's clock right?"
            ) from error

    def _look_into_storage(self) -> None:
        known = self._some_files()
        if known and not any(self._storage.head(key) for key in known):
            raise NotReady("none of the files that the database knows is there: is what STORAGE names mounted?")
        self._storage.check()
        if self._storage.folder is None:
            self._storage.head(_ABSENT_KEY)

    def _some_files(self) -> list[str]:
        """Keys of the files that were wanted last and first; none where the database does not say: `database` does."""
        from knossos.publishing.tables import Blob

        try:
            with self._database.reading() as session:
                found: list[str] = []
                for order in (Blob.touched_at.desc(), Blob.touched_at):  # which has an index
                    found += session.scalars(sqlalchemy.select(Blob.sha256).order_by(order).limit(_SOME_FILES))
        except sqlalchemy.exc.SQLAlchemyError:
            return []
        return [blob_key(sha256) for sha256 in dict.fromkeys(found)]

    def of_server(self) -> dict[str, Callable[[], None]]:
        """What the HTTP server needs, and a worker too."""
        return {"redis": self.redis, "database": self.database, "schema": self.schema, "storage": self.storage}

    def of_sockets(self) -> dict[str, Callable[[], None]]:
        """What the WebSocket server needs."""
        return {"redis": self.redis, "database": self.database, "schema": self.schema}


@cache
def _newest_revision() -> str:
    from knossos.schema import known_revisions

    return known_revisions()[-1]


class Asker:
    """Asks parts again and again, for several callers at once. A part that hangs is asked once, not once more by each
    who wants to know."""

    def __init__(self, parts: Mapping[str, Callable[[], None]]) -> None:
        self._parts = parts
        self._asking: dict[str, _Question] = {}
        self._lock = threading.Lock()

    def ask(self) -> Readiness:
        """Ask all parts at once, and wait for them for `PATIENCE_SECONDS` at the most."""
        with self._lock:
            for name, part in self._parts.items():
                if name not in self._asking or self._asking[name].answered.is_set():
                    self._asking[name] = _Question(name, part)
            asking = dict(self._asking)
        until = time.monotonic() + PATIENCE_SECONDS
        return Readiness({name: question.wait(until - time.monotonic()) for name, question in asking.items()})


class _Question:
    def __init__(self, name: str, part: Callable[[], None]) -> None:
        self.answered = threading.Event()
        self._said = ""
        threading.Thread(target=self._look, args=(name, part), name=f"ready-{name}", daemon=True).start()

    def wait(self, seconds: float) -> str:
        return self._said if self.answered.wait(max(0.0, seconds)) else "does not answer in time"

    def _look(self, name: str, part: Callable[[], None]) -> None:
        try:
            part()
        except NotReady as reason:
            self._said = str(reason)
        except Exception as error:
            _log.warning("not ready: %s: %s", name, error)
            self._said = "does not answer"
        else:
            self._said = "ok"
        finally:
            self.answered.set()
