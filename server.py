"""The HTTP server. As a script it starts uWSGI (conf/app.ini) on API_LISTEN; arguments replace that address."""

from __future__ import annotations

import sys
from typing import Any

from knossos.errors import EXIT_BAD_SETTINGS, SettingsError
from knossos.settings import ROOT, load_settings


def make_app() -> Any:
    """Make the Flask application: what uWSGI calls in each of its processes, and `flask --app server` too."""
    from knossos.jobs import Engine, counts
    from knossos.logs import configure_logging
    from knossos.web import Stopping, commands, create_app

    configure_logging(settings := commands.settings_of_command(), process="web")
    return create_app(settings, counts.delivering(Engine(settings)), Stopping.told_by_uwsgi())


def __getattr__(name: str) -> Any:
    """``server:application`` for other WSGI servers: made when it is first asked for."""
    if name == "application":
        return globals().setdefault(name, make_app())
    raise AttributeError(name)


if __name__ == "__main__":
    import pyuwsgi

    try:
        host, port = load_settings().api_listen
    except SettingsError as error:
        sys.stderr.write(f"server: {error}\n")
        sys.exit(EXIT_BAD_SETTINGS)
    http = ["--http-socket", f"{host}:{port}", "--add-header", "Connection: close"]
    # Without a path it would start the system's Python anew when it reloads (SIGHUP), and not this environment's.
    pyuwsgi.run(["--ini", f"{ROOT}/conf/app.ini", "--binary-path", sys.executable, *(sys.argv[1:] or http)])
