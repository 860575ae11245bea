"""All processes of a small installation: check, prepare, start, say when it is ready, stop in order."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext

from knossos.accounts import first_start
from knossos.accounts.api_keys import KEY_FILE
from knossos.database import Database
from knossos.errors import EXIT_BAD_SETTINGS, EXIT_MISSING, EXIT_OK
from knossos.jobs import connection
from knossos.launch import embedded_redis, preflight, readiness, signals
from knossos.launch.processes import Child, GivenUp, Supervisor, print_json_line, print_line
from knossos.settings import ROOT, Settings
from knossos.web import third_party

#: Seconds for a server to finish its requests, and for a worker beyond its task's time of grace.
SERVER_STOP_SECONDS = 10.0
WORKER_STOP_SECONDS = 10.0

#: Seconds between two questions whether all parts are ready.
ASK_SECONDS = 0.1

#: Seconds between two remarks on what is not ready yet.
REMARK_SECONDS = 15.0


#: What helps where the password has scrolled away.
ANOTHER = f"'py-env/bin/flask --app server user password {first_start.ADMINISTRATOR}' sets another"

#: Prints a line of a process: its name, the line.
Show = Callable[[str, str], None]


def _printer(settings: Settings) -> Show:
    return print_json_line if settings.log_format == "json" else print_line


def setup(settings: Settings) -> int:
    """Prepare the data folder without starting anything."""
    with preflight.data_folder_locked(settings):
        preflight.check_folders(settings)
        preflight.check_database(settings)
        _prepare(settings, _printer(settings))
    return EXIT_OK


def run(settings: Settings) -> int:
    """Run everything until a signal asks to stop; answer the exit code.

    Raises:
        MissingDependency: a port, 7-Zip, Redis or the database is not to be had.
        SettingsError: settings contradict each other.
    """
    show = _printer(settings)
    own_redis = embedded_redis.is_wanted(settings)
    with preflight.data_folder_locked(settings):
        preflight.check(settings)
        if not own_redis:
            connection.ping(settings.redis)
        _prepare(settings, show)
        # Exits that starting again would not mend: what is wrong is on the terminal.
        with Supervisor(show, ROOT, final_exits=(EXIT_BAD_SETTINGS, EXIT_MISSING)) as supervisor:
            try:
                with embedded_redis.running(settings, supervisor) if own_redis else nullcontext(settings) as settings:
                    _supervise(settings, supervisor, show)
            except GivenUp as reason:
                show("launch", str(reason))
                return reason.exit_code
    return EXIT_OK


def _supervise(settings: Settings, supervisor: Supervisor, show: Show) -> None:
    """Start the rest, and return when a signal asks to stop."""
    if supervisor.stop_requests:
        return
    workers = _start(settings, supervisor)
    if supervisor.run(until=_Readiness(settings, workers, show)):
        print(f"Knossos is ready: {readiness.address(settings.api_listen)}", flush=True)
        supervisor.final_exits = ()
        supervisor.run(until=lambda: False)
    show("launch", "stopping")


@signals.held()
def _prepare(settings: Settings, show: Show) -> None:
    # Not stopped half-way: a password that was made must be shown, and tables must be whole.
    third_party.install()
    database = Database(settings)
    made = first_start.prepare(settings, database)
    database.close()
    if made.made_administrator:
        shown = f"the password {made.password} (shown this once; {ANOTHER})"
        how = shown if made.password else "the password that was given"
        show("launch", f"made the account {first_start.ADMINISTRATOR} with {how}")
    if made.api_key:
        kept = settings.data_path / KEY_FILE
        show("launch", f"made an API key, as API_KEYS is empty: {made.api_key} (kept in {kept})")


def _start(settings: Settings, supervisor: Supervisor) -> list[Child]:
    """Start servers and workers, workers first: they are stopped last."""
    grace = settings.shutdown_grace_seconds + WORKER_STOP_SECONDS
    workers = [
        supervisor.start(f"worker-{number}", [sys.executable, "worker.py"], stop_seconds=grace)
        for number in range(1, settings.workers + 1)
    ]
    supervisor.start("websocket", [sys.executable, "websocket_server.py"], stop_seconds=SERVER_STOP_SECONDS)
    # uWSGI ignores SIGTERM from its first lines to the point where its master process waits for signals.
    supervisor.start("server", [sys.executable, "server.py"], stop_seconds=SERVER_STOP_SECONDS, deaf_at_first=True)
    return workers


class _Readiness:
    """Asks until all parts answer, and says now and then which do not."""

    def __init__(self, settings: Settings, workers: list[Child], show: Show) -> None:
        self._settings = settings
        self._show = show
        self._workers = workers
        self._ask_at = 0.0
        self._remark_at = time.monotonic() + REMARK_SECONDS

    def __call__(self) -> bool:
        # The supervisor comes here after each line of output, and asking can make a server write one.
        if time.monotonic() < self._ask_at:
            return False
        waiting = readiness.waiting_for(self._settings, self._workers)
        if waiting and time.monotonic() > self._remark_at:
            self._remark_at = time.monotonic() + REMARK_SECONDS
            self._show("launch", f"still waiting for {waiting}")
        self._ask_at = time.monotonic() + ASK_SECONDS
        return waiting is None
