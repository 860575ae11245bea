"""A Debian with the server installed as docs/operating.md says."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from knossos.errors import EXIT_MISSING, MissingDependency
from knossos.settings import ROOT
from tests.support.debian import Machine, machine

#: What that page asks the operator to set, and what these tests use besides.
SETTINGS = """
REDIS = "redis://127.0.0.1:6379/0"
TRUSTED_PROXIES = 1
API_KEYS = ("a-key-that-sites-know",)
COMMAND = "python3"; ARGS = ("-",)
SERVER_SIDE_SCRIPTING_BIN_DIRS = ("/srv/scripts",)
"""

#: A script of the operator's that asks the server who has called it.
CALLS_BACK = """#!/usr/bin/env python3
import json
import knossos_script
print("for", json.loads(knossos_script.call("/api/info"))["username"])
"""


def commands() -> str:
    """The commands of its section on installing, as they stand."""
    found = re.search(r"\n## Install\n.*?```sh\n(.*?)```", (ROOT / "docs" / "operating.md").read_text(), re.DOTALL)
    assert found, "docs/operating.md has no commands to install"
    return found[1]


def with_settings(said: str) -> str:
    """The commands, and after the one that makes them, the settings that its remark asks for."""
    lines = []
    for line in said.splitlines():
        lines.append(line)
        if "settings.py.dist" in line:
            lines.append(f"cat >>/etc/knossos/settings.py <<'SETTINGS'{SETTINGS}SETTINGS")
        if "nginx.conf" in line:
            lines.append("sed -i 's/server_name .*;/server_name knossos.test;/' /etc/nginx/conf.d/knossos.conf")
        if "enable --now" in line:
            lines.append("sleep 8  # the check comes after some seconds, as its remark says")
    return "\n".join(lines)


@pytest.fixture(scope="session")
def installed() -> Iterator[Machine]:
    """It runs, with nginx, Redis, both servers, two workers and the timer; removed at the end."""
    try:
        with machine() as made:
            # The one command that needs the world. Given again when the machine runs, it finds all done.
            made.install("cd /opt/knossos && ./launch.sh environment")
            with made.boot():
                made.run("redis-cli config set appendonly yes")
                made.run(f"mkdir /srv/scripts && cat >/srv/scripts/back.py <<'SCRIPT'\n{CALLS_BACK}SCRIPT")
                made.run("chmod 755 /srv/scripts/back.py")
                made.run(with_settings(commands()))
                yield made
    except MissingDependency as error:
        pytest.exit(str(error), EXIT_MISSING)
