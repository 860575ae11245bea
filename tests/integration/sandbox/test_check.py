"""Where the sandbox cannot work, and how that is told."""

from __future__ import annotations

import logging
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from knossos.errors import SettingsError
from knossos.scripting.sandbox import (
    SandboxMissing,
    check,
    kernel,
)
from knossos.scripting.sandbox.seccomp import filter_program
from knossos.settings import Settings
from tests.support.sandbox import ORDINARY, Place, a_place, in_a_child


def what_is_missing(place: Place) -> str:
    """What the check says; nothing where all is well."""
    try:
        check(place.settings)
    except SandboxMissing as error:
        return error.message
    return ""


def test_the_check_passes_where_scripts_can_run(place: Place) -> None:
    assert place.as_user(lambda: what_is_missing(place)) == ""


def test_a_missing_bubblewrap_is_told_with_what_to_install(place: Place) -> None:
    with pytest.raises(SandboxMissing, match="BUBBLEWRAP: /nowhere/bwrap is not a program"):
        check(Settings(data_path=place.root, bubblewrap="/nowhere/bwrap"))
    with pytest.raises(SandboxMissing, match=r"not bubblewrap 0\.5 or newer; install bubblewrap"):
        check(Settings(data_path=place.root, bubblewrap="/usr/bin/true"))


def test_what_bubblewrap_says_is_told_also_where_its_first_process_has_gone_before_we_look() -> None:
    options = "\n".join(f"    {name} X" for name in ("--perms", "--clearenv", "--info-fd", "--block-fd", "--seccomp"))

    def work() -> str:
        try:
            check(Settings(data_path=place.root / "data", bubblewrap=str(program)))
        except SandboxMissing as error:
            try:
                os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:  # none is left that ended and was not looked after
                return error.message
        return ""

    with a_place("ordinary") as place:
        program = place.root / "bwrap"
        program.write_text(
            f"#!/bin/sh\ncase $1 in --help) echo '{options}'; exit;; esac\n"
            "echo 'it went wrong inside' >&2\n"
            """gone=$(/bin/sh -c 'echo $$')\necho "{\\"child-pid\\": $gone}" >&5\nexit 1\n"""
        )
        program.chmod(0o755)
        message = place.as_user(work)
    assert message.startswith("The sandbox cannot be made: it went wrong inside; ")


def test_a_machine_that_allows_no_namespaces_is_told_with_what_to_change(place: Place) -> None:
    def work() -> str:
        kernel.unshare(kernel.CLONE_NEWUSER)
        Path("/proc/sys/user/max_user_namespaces").write_text("0")
        return what_is_missing(place)

    message = in_a_child(lambda: place.as_user(work))
    assert "may make no namespaces" in message
    assert "docs/sandbox.md" in message


def test_a_service_that_hides_a_part_of_proc_is_told_what_fails(place: Place) -> None:
    def work() -> str:
        user, group = os.getuid(), os.getgid()
        kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{ORDINARY} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{ORDINARY} {group} 1")
        kernel.mount("/dev/null", "/proc/kmsg", None, kernel.MS_BIND)
        return what_is_missing(place)

    message = in_a_child(lambda: place.as_user(work))
    assert "Can't mount proc" in message
    assert "ProtectKernelLogs" in message


def test_without_a_sandbox_the_check_warns(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        check(Settings(data_path=place.root, script_sandbox="none", bubblewrap="/nowhere/bwrap"))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "SCRIPT_SANDBOX is 'none'" in caplog.text


@pytest.mark.parametrize("setting", ["script_read_paths", "server_side_scripting_bin_dirs"])
def test_the_server_s_data_are_not_given_to_scripts(place: Place, setting: str) -> None:
    settings: dict[str, Any] = {"data_path": place.root / "data", setting: (str(place.root),)}
    with pytest.raises(SettingsError, match=f"{setting.upper()}: .* holds DATA_PATH"):
        check(Settings(**settings))


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_answers_whatever_comes(machine: str) -> None:
    program = filter_program(machine)
    assert program is not None
    steps = list(struct.iter_unpack("=HBBI", program))
    assert len(steps) <= 4096  # the kernel's limit
    for place, (code, if_true, if_false, _) in enumerate(steps):
        if code & 7 == 5:  # a jump, which must stay inside
            assert place + 1 + max(if_true, if_false) < len(steps)
    assert steps[-1][0] == 6


def test_there_is_no_filter_for_a_machine_whose_calls_are_not_known() -> None:
    assert filter_program("riscv64") is None
