"""The WebSocket server: brings what happens in jobs to everyone who watches. Run exactly one."""

from __future__ import annotations

import argparse
import asyncio
import sys

from knossos.errors import EXIT_BAD_SETTINGS, EXIT_MISSING, EXIT_OK, MissingDependency, SettingsError
from knossos.live.application import serve
from knossos.logs import configure_logging
from knossos.settings_file import load_settings


def main(arguments: list[str]) -> int:
    """Serve until told to stop; return the exit code."""
    argparse.ArgumentParser(prog="websocket_server.py", description=__doc__).parse_args(arguments)
    try:
        settings = load_settings()
        configure_logging(settings, process="ws")
        asyncio.run(serve(settings))
    except SettingsError as error:
        sys.stderr.write(f"websocket_server.py: {error}\n")
        return EXIT_BAD_SETTINGS
    except MissingDependency as error:
        sys.stderr.write(f"websocket_server.py: {error}\n")
        return EXIT_MISSING
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
