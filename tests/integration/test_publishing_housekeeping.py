"""The daily clean-up of publishing, as cron.py calls it."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from pathlib import Path

from sqlalchemy import update

from knossos.database import Database
from knossos.publishing.blobs import ANY_FILE, Blobs
from knossos.publishing.housekeeping import tidy
from knossos.publishing.logs import Logs
from knossos.publishing.tables import Blob, LogPage
from knossos.settings import Settings
from knossos.storage import Storage


def test_the_daily_clean_up_removes_what_is_stale_and_nothing_else(settings: Settings, sqlite_template: Path) -> None:
    settings.data_path.mkdir(exist_ok=True)
    shutil.copy(sqlite_template, settings.data_path / "knossos.sqlite3")
    database, storage = Database(settings), Storage(settings)
    blobs, logs = Blobs(database, storage), Logs(settings, database)
    sums = {}
    for name in ("old", "young", "used"):
        path = settings.data_path / name
        path.write_text(name)
        sums[name] = hashlib.sha256(name.encode()).hexdigest()
        blobs.adopt(path, sha256=sums[name], size=len(name), content_type=ANY_FILE, owner_id=None)
    left = settings.data_path / "storage" / "incoming" / ".incoming-1"
    left.parent.mkdir()
    left.touch()
    os.utime(left, (0, 0))
    kept, _ = logs.add("young"), logs.add("old")
    long_ago = time.time() - max(settings.upload_lifetime, settings.log_page_lifetime) - 60
    with database.session() as session:
        blobs.use(session, sums["used"], "release", "1")
        session.execute(update(Blob).where(Blob.sha256 != sums["young"]).values(touched_at=long_ago))
        session.execute(update(LogPage).where(LogPage.id != kept).values(created_at=long_ago))
    counts = dict(tidy(settings))
    assert counts["stored files that nothing uses"] == 1
    assert counts["files of the storage that were never finished"] == 1
    assert counts["uploaded logs that were too old"] == 1
    assert [blobs.find(sums[name]) is not None for name in ("old", "young", "used")] == [False, True, True]
    assert logs.find(kept) is not None
    database.close()
