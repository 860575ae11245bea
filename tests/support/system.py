"""Programs of the system that some tests need: where one is missing, the test is skipped and says which."""

from __future__ import annotations

import os
import shutil

import pytest


def program(name: str) -> str:
    """The path of a program, or a skip that names it."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed (scripts/system-packages.sh installs it)")
    return path
