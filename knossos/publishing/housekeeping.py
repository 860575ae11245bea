"""What publishing tidies once a day: each part says what of its own is stale."""

from __future__ import annotations

from knossos.database import Database
from knossos.jobs import Engine
from knossos.packaging.housekeeping import remove_unfinished
from knossos.publishing.blobs import Blobs
from knossos.publishing.logs import Logs
from knossos.publishing.repository.job import catch_up, submit_signing
from knossos.publishing.repository.repository import Repository
from knossos.publishing.submissions import Submissions
from knossos.publishing.uploads import Uploads
from knossos.settings import Settings
from knossos.storage import Storage


def tidy(settings: Settings) -> list[tuple[str, int]]:
    """Remove what is stale, and answer in words what it was and how much. Repair what a lost job left undone."""
    database, storage = Database(settings), Storage(settings)
    blobs = Blobs(database, storage)
    engine = Engine(settings)
    submissions = Submissions(settings, database, engine)
    local = storage.folder or settings.data_path / "incoming"
    try:
        catch_up(settings)
        submit_signing(engine)
        return [
            ("lists of the repository that were never shown", Repository(settings, database, storage).sweep()),
            ("uploads that nobody went on with", Uploads(settings, database, storage, blobs).expire()),
            ("stored files that nothing uses", blobs.collect(settings.upload_lifetime)),
            ("files of the storage that were never finished", remove_unfinished(local, settings.task_lifetime)),
            ("requests to publish that nobody asked about again", submissions.purge(settings.task_lifetime)),
            ("uploaded logs that were too old", Logs(settings, database).expire()),
        ]
    finally:
        database.close()
