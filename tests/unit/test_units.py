"""The systemd units: they start what is there, keep it running and shut it in."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from knossos.settings import ROOT

FOLDER = ROOT / "conf" / "systemd"
SERVICES = sorted(FOLDER.glob("*.service"))


def read(path: Path) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(interpolation=None, strict=True)
    unit.optionxform = str  # type: ignore[assignment]
    unit.read_string(path.read_text())
    return unit


def test_there_is_a_unit_for_each_process() -> None:
    assert {path.stem for path in SERVICES} == {"knossos-server", "knossos-ws", "knossos-worker@", "knossos-cron"}
    assert read(FOLDER / "knossos-cron.timer")["Timer"]["OnCalendar"] == "daily"


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_a_unit_starts_a_script_of_ours_and_is_shut_in(path: Path) -> None:
    service = read(path)["Service"]
    python, script, *_ = service["ExecStart"].split()
    assert python == service["WorkingDirectory"] + "/py-env/bin/python"
    assert (ROOT / script).is_file()
    assert service["User"] == "knossos"
    assert service["ProtectSystem"] == "strict"
    for wanted in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "RestrictSUIDSGID"):
        assert service[wanted] == "yes", wanted
    assert service["CapabilityBoundingSet"] == ""


@pytest.mark.parametrize("path", [path for path in SERVICES if path.stem != "knossos-cron"], ids=lambda path: path.stem)
def test_what_ends_is_started_again_unless_the_settings_are_wrong(path: Path) -> None:
    service = read(path)["Service"]
    assert (service["Restart"], service["RestartPreventExitStatus"]) == ("always", "2")


def test_workers_leave_bubblewrap_what_it_needs() -> None:
    service = read(FOLDER / "knossos-worker@.service")["Service"]
    # Each of these covers a part of /proc, which keeps an ordinary user from having one of its own; or forbids it.
    for unwanted in ("RestrictNamespaces", "ProtectKernelTunables", "ProtectKernelLogs", "ProtectHostname"):
        assert unwanted not in service
    assert "@mount" in service["SystemCallFilter"].split()
    assert "AF_NETLINK" in service["RestrictAddressFamilies"].split()


def test_what_workers_run_cannot_take_all_memory_of_the_machine() -> None:
    service = read(FOLDER / "knossos-worker@.service")["Service"]
    assert int(service["MemoryMax"].removesuffix("%")) < 100
    # One that needs too much is ended, and its worker goes on.
    assert service["OOMPolicy"] == "continue"
