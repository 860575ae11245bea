"""Everything that publishing can do, wired once for a process: web server, worker, cron and commands alike.

Each part is made when it is first used, so that a process pays only for what it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from knossos.database import Database
from knossos.publishing.blobs import Blobs
from knossos.publishing.catalogue import Catalogue
from knossos.publishing.conversions import Conversions
from knossos.publishing.images import Images
from knossos.publishing.logs import Logs
from knossos.publishing.mods import Mods
from knossos.publishing.releases import Releases
from knossos.publishing.reports import Reports
from knossos.publishing.repository.job import submit_update
from knossos.publishing.repository.repository import Repository
from knossos.publishing.showing import FullMods
from knossos.publishing.submissions import Submissions
from knossos.publishing.teams import Teams
from knossos.publishing.tracking import Tracking
from knossos.publishing.uploads import Uploads
from knossos.publishing.webhooks import Webhooks
from knossos.publishing.workshop import Workshop
from knossos.settings import Settings
from knossos.storage import Storage

if TYPE_CHECKING:
    from knossos.jobs import Engine


def _never() -> bool:
    return False


class Publisher:
    """``is_stopping`` says whether the process is being stopped: then nobody waits for a job any more."""

    def __init__(
        self, settings: Settings, database: Database, engine: Engine, *, is_stopping: Callable[[], bool] = _never
    ) -> None:
        self.settings = settings
        self.database = database
        self.engine = engine
        self._is_stopping = is_stopping

    @cached_property
    def storage(self) -> Storage:
        return Storage(self.settings)

    @cached_property
    def blobs(self) -> Blobs:
        return Blobs(self.database, self.storage)

    @cached_property
    def images(self) -> Images:
        return Images(self.settings, self.storage, self.blobs)

    @cached_property
    def logs(self) -> Logs:
        return Logs(self.settings, self.database)

    @cached_property
    def tracking(self) -> Tracking:
        return Tracking(self.database)

    @cached_property
    def mods(self) -> Mods:
        return Mods(self.database, self.blobs, self.announce)

    @cached_property
    def full_mods(self) -> FullMods:
        return FullMods(self.database, self.settings.base_url)

    @cached_property
    def reports(self) -> Reports:
        return Reports(self.database)

    @cached_property
    def catalogue(self) -> Catalogue:
        return Catalogue(self.database)

    @cached_property
    def teams(self) -> Teams:
        return Teams(self.database)

    @cached_property
    def releases(self) -> Releases:
        return Releases(self.database, self.blobs, self.announce)

    @cached_property
    def repository(self) -> Repository:
        return Repository(self.settings, self.database, self.storage)

    @cached_property
    def uploads(self) -> Uploads:
        return Uploads(self.settings, self.database, self.storage, self.blobs)

    @cached_property
    def submissions(self) -> Submissions:
        return Submissions(self.settings, self.database, self.engine, is_stopping=self._is_stopping)

    @cached_property
    def conversions(self) -> Conversions:
        return Conversions(self.engine, self.submissions)

    @cached_property
    def webhooks(self) -> Webhooks:
        return Webhooks(self.settings, self.database, self.engine)

    @cached_property
    def workshop(self) -> Workshop:
        return Workshop(self.database)

    def announce(self, change: int) -> None:
        """Have the repository's files brought up to a change.

        Call it as the last thing inside the transaction that makes the change. The job waits for a change that is not
        there yet; a process that was killed between its commit and a later call would never have asked for it.
        """
        submit_update(self.engine, change)
