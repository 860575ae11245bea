"""``python -m knossos.launch [demo|setup]``: what launch.sh runs in the virtual environment."""

from __future__ import annotations

from knossos.launch import signals

if __name__ == "__main__":
    signals.take()  # before the other imports, which take a while

import argparse
import sys

from knossos.errors import EXIT_BAD_SETTINGS, EXIT_MISSING, EXIT_OK, MissingDependency, SettingsError
from knossos.settings_file import load_settings


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="launch.sh", description="Run Knossos on this machine.")
    parser.add_argument(
        "what",
        nargs="?",
        choices=["run", "demo", "setup"],
        default="run",
        help="run everything until Ctrl-C (default); package a small mod as a demonstration; or only prepare",
    )
    what = parser.parse_args(arguments).what
    try:
        settings = load_settings()
        if what == "demo":
            from knossos.launch.demo import demo

            return demo(settings)
        from knossos.launch.run import run, setup

        return setup(settings) if what == "setup" else run(settings)
    except KeyboardInterrupt:
        return EXIT_OK
    except SettingsError as error:
        print(f"launch     | {error}", file=sys.stderr)
        return EXIT_BAD_SETTINGS
    except MissingDependency as error:
        print(f"launch     | {error}", file=sys.stderr)
        return EXIT_MISSING


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
