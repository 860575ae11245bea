"""The HTTP server. As a script it starts uWSGI (conf/app.ini) on API_LISTEN; arguments replace that address."""

from __future__ import annotations

import sys

from knossos.errors import EXIT_BAD_SETTINGS, SettingsError
from knossos.settings import ROOT
from knossos.settings_file import load_settings


def make_app() -> object:
    """The Flask application: uWSGI asks each of its processes for it. `Stopping` must come before any thread."""
    from knossos.jobs import Engine, counts
    from knossos.logs import configure_logging
    from knossos.web import Stopping, commands, create_app

    configure_logging(settings := commands.settings_of_command(), process="web")
    return create_app(settings, stopping=Stopping.told_by_uwsgi(), engine=counts.delivering(Engine(settings)))


def __getattr__(name: str) -> object:
    """``server:application`` for other WSGI servers: made when it is first asked for."""
    if name != "application":
        raise AttributeError(name)
    return globals().setdefault(name, make_app())


if __name__ == "__main__":
    import pyuwsgi

    try:
        host, port = load_settings().api_listen
    except SettingsError as error:
        print(f"server: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_SETTINGS)
    # Its path, or a reload (SIGHUP) would start the system's Python, and not this environment's.
    http = ["--http-socket", f"{host}:{port}", "--add-header", "Connection: close"]
    pyuwsgi.run(["--ini", f"{ROOT}/conf/app.ini", "--binary-path", sys.executable, *(sys.argv[1:] or http)])
