"""What is wrong with what the operator says of scripts and runners: for the start of processes, and for a command.

Each problem of a single script or runner is one line with its file and field, and concerns no other; what no script can
do without is an error of the settings.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from knossos.errors import SettingsError
from knossos.scripting.authtokens import AuthTokens
from knossos.scripting.calculations.calculations import find_program, is_offered
from knossos.scripting.calculations.commands import batch_scripts
from knossos.scripting.catalogue import Catalogue
from knossos.scripting.interpreter import interpreter
from knossos.scripting.runners.folder import Runners
from knossos.settings import ROOT, Settings


def is_configured(settings: Settings) -> bool:
    """Whether the operator offers scripts, runners or calculations, or lets people send scripts of theirs."""
    offered = settings.server_side_scripting_bin_dirs or settings.runners_dir or settings.command
    return bool(offered) or is_offered(settings)


def problems(settings: Settings) -> list[str]:
    """What is wrong with single scripts and runners, a line for each.

    Raises:
        SettingsError: a folder or a file that the settings name is not there, or cannot be read.
    """
    catalogue, runners, authtokens = Catalogue(settings), Runners(settings), AuthTokens(settings)
    authtokens.check()
    _check_home(settings)
    if settings.calculation_command:
        find_program(settings, settings.calculation_command[0])
    return [
        *catalogue.check(),
        *(f"{settings.runners_dir}/{message}" for message in runners.check()),
        *(
            f"{settings.authtoken_config}: purpose: there is no script {name!r}"
            for name in sorted(authtokens.scripts())
            if not catalogue.has(name)
        ),
        *_missing_read_paths(settings),
        *_missing_interpreter(settings),
        *(
            f"calculations will not be started: {script} cannot be run on this machine"
            for script in batch_scripts(settings)
            if not os.access(script, os.X_OK)
        ),
    ]


def _check_home(settings: Settings) -> None:
    home = settings.server_side_scripting_home_dir
    if home is not None and not home.is_dir():
        name = "SERVER_SIDE_SCRIPTING_HOME_DIR"
        raise SettingsError(f"{name}: {home} is no folder; expected one that is copied for each script", setting=name)


def _missing_interpreter(settings: Settings) -> Iterator[str]:
    if settings.command:
        try:
            interpreter(settings)
        except SettingsError as error:
            yield error.message


def _missing_read_paths(settings: Settings) -> Iterator[str]:
    for path in settings.script_read_paths:
        if not (ROOT / path).exists():
            yield f"SCRIPT_READ_PATHS: {path} is not there"
