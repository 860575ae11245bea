"""What a server and a worker look at before they serve scripts, so that mistakes show at the start and not in a run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

from knossos.scripting import run_job, sandbox
from knossos.scripting.checking import is_configured, problems
from knossos.settings import Settings

_log = logging.getLogger(__name__)


def check(settings: Settings) -> None:
    """Log what is wrong with single scripts and runners, which takes none of the others down, and with the sandbox,
    without which none is run. Nothing is looked at where there are none.

    Raises:
        SettingsError: a folder or a file that the settings name is not there, or cannot be read.
    """
    if not is_configured(settings):
        return
    for message in problems(settings):
        _log.error("%s", message)
    try:
        sandbox.check(settings)
        run_job.prepare(settings)
    except sandbox.SandboxMissing as error:
        _log.error("scripts will not be run: %s", error.message)


def rehearsals(settings: Settings) -> Sequence[Callable[[], None]]:
    """What a horse that waits for a job does, so that a run finds all at hand. In steps: a job may come in between."""
    if not is_configured(settings):
        return ()
    return partial(run_job.rehearse, settings), partial(run_job.rehearse_start, settings)
