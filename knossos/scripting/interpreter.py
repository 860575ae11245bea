"""COMMAND: the program that gets the scripts that people send, on its standard input."""

from __future__ import annotations

import shutil

from knossos.errors import SettingsError
from knossos.settings import ROOT, Settings


def interpreter(settings: Settings) -> str:
    """The path of COMMAND.

    Raises:
        SettingsError: there is no such program.
    """
    command = settings.command
    found = shutil.which(str(ROOT / command) if "/" in command else command, path=settings.script_path)
    if found is None:
        raise SettingsError(
            f"COMMAND: {command} is not a program that can be run; expected a path, or a name on SCRIPT_PATH",
            setting="COMMAND",
        )
    return found
