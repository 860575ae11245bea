"""What is done every day: each room removes what is stale in it, and the engine what has expired."""

from __future__ import annotations

from knossos.accounts import housekeeping as accounts
from knossos.homes import housekeeping as homes
from knossos.jobs import Engine
from knossos.jobs.retention import purge
from knossos.packaging import housekeeping as packaging
from knossos.publishing import housekeeping as publishing
from knossos.scripting import housekeeping as scripting
from knossos.settings import Settings


def clean_up(settings: Settings) -> list[tuple[str, int]]:
    """Remove it; answers what there was to remove, and how much of it.

    Raises:
        SettingsError: a setting asks for what is not there.
        MissingDependency: something that is needed is not installed.
    """
    tidied = [row for room in (packaging, accounts, publishing, scripting, homes) for row in room.tidy(settings)]
    return [*purge(Engine(settings)).counts(), *tidied]
