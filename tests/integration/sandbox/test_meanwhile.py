"""What is done while the sandbox is being made."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from knossos.scripting.sandbox import SandboxFailed, SandboxSpec, bubblewrap, start
from tests.support.sandbox import SHELL, Place, in_a_child, watch


def output_of(place: Place, spec: SandboxSpec, meanwhile: Callable[[], None]) -> str:
    """What a script prints that is started so."""
    running = start(place.settings, spec, meanwhile)
    try:
        return watch(running, spec).stdout
    finally:
        running.close()


def test_what_is_done_while_the_sandbox_is_made_is_over_before_the_script_begins(any_place: Place) -> None:
    spec = any_place.spec(any_place.script(SHELL + "cat note"))

    def note() -> None:
        time.sleep(0.3)  # longer than all else takes
        (any_place.folder / "note").write_text("I was there before")

    assert any_place.as_user(lambda: output_of(any_place, spec, note)) == "I was there before"


def test_what_is_done_meanwhile_may_take_longer_than_the_sandbox_may(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that restarts is waited for."""
    spec = place.spec(place.script(SHELL + "echo begun"))
    passed = [0.0]
    monkeypatch.setattr(bubblewrap, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + passed[0]))

    def take_long() -> None:
        passed[0] += 2 * bubblewrap.SETUP_SECONDS

    assert place.as_user(lambda: output_of(place, spec, take_long)) == "begun\n"


@pytest.mark.parametrize("kind", [ValueError, OSError, SandboxFailed, KeyboardInterrupt])
def test_what_goes_wrong_meanwhile_comes_out_and_nothing_has_begun(any_place: Place, kind: type[BaseException]) -> None:
    spec = any_place.spec(any_place.script(SHELL + "touch begun"))
    raised = kind("not now")

    def fail() -> None:
        raise raised

    def work() -> list[object]:
        before = set(os.listdir("/proc/self/fd"))
        with pytest.raises(kind) as caught:
            start(any_place.settings, spec, fail)
        children = Path("/proc/thread-self/children").read_text()
        return [caught.value is raised, set(os.listdir("/proc/self/fd")) <= before, children]

    assert in_a_child(lambda: any_place.as_user(work)) == [True, True, ""]
    assert not (any_place.folder / "begun").exists()


def test_what_goes_wrong_meanwhile_comes_out_also_where_the_sandbox_cannot_be_made(place: Place) -> None:
    spec = place.spec(place.script(SHELL), environment={"A=B": "x"})
    raised = ValueError("not now")

    def fail() -> None:
        raise raised

    def work() -> list[object]:
        with pytest.raises(ValueError, match="not now") as caught:
            start(place.settings, spec, fail)
        return [caught.value is raised, Path("/proc/thread-self/children").read_text()]

    assert in_a_child(lambda: place.as_user(work)) == [True, ""]
