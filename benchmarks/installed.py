"""Whether what is measured beside ours is installed, and where. A run of all groups asks for all before the first."""

from __future__ import annotations

import importlib
import os
import shutil
from importlib.util import find_spec

from knossos.errors import MissingDependency

INSTALL = "py-env/bin/pip install -r requirements-bench.txt"
#: Where Debian has the programs of daemons, which not every user's PATH names.
MORE_PATH = "/usr/sbin:/sbin"


def find_all() -> None:
    """Raise MissingDependency for the first that is missing."""
    engines()
    libarchive()
    bubblewrap()
    nginx()


def engines() -> None:
    """The engines beside which ours is measured; RQ comes with ours."""
    if missing := [name for name in ("celery", "dramatiq", "huey") if find_spec(name) is None]:
        raise MissingDependency(f"{', '.join(missing)}: not installed. {INSTALL}", needed=missing[0])


def libarchive() -> None:
    """libarchive, and the C library for which it is a door."""
    if find_spec("libarchive") is None:
        raise MissingDependency(
            f"libarchive-c is not installed: {INSTALL} (and libarchive13 from the system)", needed="libarchive-c"
        )
    # Without the C library the package is there, and looks for its functions in nothing, or in what is no library.
    try:
        importlib.import_module("libarchive")
    except (ImportError, OSError, AttributeError) as error:
        raise MissingDependency(
            "libarchive-c does not find the C library libarchive: apt-get install libarchive13"
            " (or scripts/system-packages.sh)",
            needed="libarchive13",
        ) from error


def bubblewrap() -> str:
    """The path of ``bwrap``."""
    return _program("bwrap", "bubblewrap")


def nginx() -> str:
    """The path of nginx."""
    return _program("nginx", "nginx")


def _program(name: str, package: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{MORE_PATH}")
    if found is None:
        raise MissingDependency(f"{package} is not installed (scripts/system-packages.sh installs it)", needed=package)
    return found
