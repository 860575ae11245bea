"""A home and the sandbox: scripts and the server share its files, as root and as any other user."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from knossos.homes import Homes, OpenedFile
from knossos.scripting.metadata import RunLimits
from knossos.scripting.sandbox import start
from knossos.scripting.sandbox.spawn import NOBODY
from tests.support.sandbox import ORDINARY, USERS, Place, a_place, watch

SCRIPT = """#!/bin/sh
set -e
cat in.txt
echo more >> in.txt
mkdir made shut
echo made > made/f
echo shut > shut/f
ln made/f made/g
chmod 0 shut/f shut
chmod 0 .
"""


@pytest.fixture(params=USERS)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with a_place(request.param) as made:
        yield made


def in_home(place: Place, homes: Homes, script: Path, disk_bytes: int = 10_000_000) -> list[Any]:
    """Run a script in the home of account 1."""
    limits = RunLimits(disk_bytes=disk_bytes)
    spec = place.spec(script, folder=homes.folder(1), folder_is_theirs=True, limits=limits)
    running = start(place.settings, spec)
    try:
        result = watch(running, spec)
    finally:
        running.close()
    return [result.code, result.stdout, result.stderr, result.ended_for]


def test_scripts_and_the_server_share_the_files_of_a_home(place: Place) -> None:
    script = place.script(SCRIPT)
    homes = Homes(place.settings)

    def work() -> list[Any]:
        with homes.open(1) as home, home.receive("in.txt", 3) as upload:
            upload.write(b"in\n")
        ran = in_home(place, homes, script)
        with homes.open(1) as home:
            found: list[Any] = []
            for path in ("in.txt", "shut/f", "made/g"):
                file = home.open(path)
                assert isinstance(file, OpenedFile)
                found.append(b"".join(file.read(0, file.size)).decode())
                file.close()
            home.copy("made", "copy")
            home.move("shut", "made")
            home.remove("made")
        again = in_home(place, homes, place.bin / "again")
        owners = {os.lstat(os.path.join(at, name)).st_uid for at, a, b in os.walk(homes.folder(1)) for name in a + b}
        mode = stat.S_IMODE(homes.folder(1).stat().st_mode)
        return [ran, found, again, sorted(owners), mode]

    place.script("#!/bin/sh\necho x > copy/new; cat copy/f; rm -r copy; ls\n", "again")
    ran, found, again, owners, mode = place.as_user(work)
    assert ran == [0, "in\n", "", ""]
    assert found == ["in\nmore\n", "shut\n", "made\n"]
    assert again == [0, "made\nin.txt\n", "", ""]
    assert owners == [NOBODY if place.user == "root" else ORDINARY if os.geteuid() == 0 else os.geteuid()]
    assert mode == 0o700


def test_a_home_that_its_script_has_shut_still_counts(place: Place) -> None:
    script = place.script("#!/bin/sh\nmkdir d; cd d; chmod 0 ..; head -c 5000000 /dev/zero > f; echo full; sleep 50\n")
    homes = Homes(place.settings)

    def work() -> list[Any]:
        homes.open(1).close()
        ran = in_home(place, homes, script, disk_bytes=1_000_000)
        with homes.open(1) as home:
            return [*ran, home.used() > 1_000_000]

    assert place.as_user(work)[3:] == ["disk", True]
