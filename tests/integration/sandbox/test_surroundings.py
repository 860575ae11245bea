"""What a script gets in the sandbox: arguments, folders, streams, files."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from knossos.scripting.sandbox import (
    SandboxFailed,
    inside,
    start,
)
from tests.support.sandbox import SHELL, Place, in_a_child, watch


def test_a_script_has_its_arguments_folders_environment_and_three_streams(any_place: Place) -> None:
    result = any_place.run(
        SHELL
        + 'printf "<%s>" "$@"; pwd; echo "$HOME $SHARED_DIR $TMPDIR"; echo bad >&2; echo told >&$KNOSSOS_FD\n'
        + 'echo 1 > mine; echo 2 > "$SHARED_DIR/ours"; echo 3 > "$TMPDIR/passing"; env | cut -d= -f1 | xargs\n'
        + "exit 7",
        "--auth-token=abc",
        "two words",
        "$HOME; `id` \"'",
        "",
        "-x",
    )
    found = inside(any_place.settings, any_place.folder, any_place.shared, any_place.temporary)
    assert result.code == 7
    lines = result.stdout.splitlines()
    assert lines[0] == f"<--auth-token=abc><two words><$HOME; `id` \"'><><-x>{found.folder}"
    assert lines[1] == f"{found.folder} {found.shared} {found.temporary}"
    assert set(lines[2].split()) <= {
        "HOME",
        "KNOSSOS_FD",
        "LC_ALL",
        "PATH",
        "PWD",
        "SHARED_DIR",
        "TMPDIR",
        "OLDPWD",
        "_",
    }
    assert (result.stderr, result.channel) == ("bad\n", "told\n")
    assert (any_place.folder / "mine").read_text() == "1\n"
    assert (any_place.shared / "ours").read_text() == "2\n"
    assert (any_place.temporary / "passing").read_text() == "3\n"


def test_a_script_reads_what_it_is_given_as_standard_input_and_else_nothing(any_place: Place) -> None:
    file = any_place.root / "input"
    file.write_text("some text")
    assert any_place.run(SHELL + "cat", stdin=file).stdout == "some text"
    assert any_place.run(SHELL + "cat").stdout == ""


def test_output_of_any_size_and_kind_comes_whole(any_place: Place) -> None:
    result = any_place.run(SHELL + "head -c 1000000 /dev/zero | tr '\\0' x; printf '\\033[31mred\\033[0m' >&2")
    assert result.stdout == "x" * 1_000_000
    assert result.stderr == "\x1b[31mred\x1b[0m"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGPIPE])
def test_a_signal_that_ended_the_script_is_told_from_an_exit_code(any_place: Place, number: int) -> None:
    assert any_place.run(SHELL + f"kill -{int(number)} $$").code == -number


@pytest.mark.parametrize("code", [0, 1, 127, 128, 200, 255])
def test_an_exit_code_stays_what_it_is(place: Place, code: int) -> None:
    assert place.run(SHELL + f"exit {code}").code == code


def test_the_files_of_a_template_can_be_changed(place: Place) -> None:
    (place.folder / "sub").mkdir()
    (place.folder / "sub" / "file").write_text("before\n")
    (place.folder / "sub" / "link").symlink_to("/etc/hostname")
    assert place.run(SHELL + "echo after >> sub/file; touch sub/new").code == 0
    assert (place.folder / "sub" / "file").read_text() == "before\nafter\n"


@pytest.mark.parametrize("depth", [1, 2])
def test_a_symlink_among_the_scripts_may_lead_anywhere(place: Place, depth: int) -> None:
    away = place.root / "somewhere" / "else"
    away.mkdir(parents=True)
    target = away / "tool"
    target.write_text(SHELL + 'echo "$0"; ls "$(dirname "$(readlink -f "$0")")"')
    target.chmod(0o755)
    (away / "secret").write_text("not for scripts")
    for number in range(1, depth):
        link = away / f"link{number}"
        link.symlink_to(target.name)
        target = link
    linked = place.bin / "linked"
    linked.symlink_to(target)
    spec = place.spec(linked)

    def work() -> list[Any]:
        running = start(place.settings, spec)
        try:
            result = watch(running, spec)
            return [result.code, result.stdout.split()]
        finally:
            running.close()

    code, said = place.as_user(work)
    assert code == 0
    assert said[0] == str(linked)
    assert "secret" not in said


def test_a_program_of_the_system_may_be_linked(place: Place) -> None:
    (place.bin / "echo").symlink_to("/usr/bin/echo")
    spec = place.spec(place.bin / "echo", "hello")

    def work() -> str:
        running = start(place.settings, spec)
        try:
            return watch(running, spec).stdout
        finally:
            running.close()

    assert place.as_user(work) == "hello\n"


def test_what_may_be_read_is_where_it_really_is_and_cannot_be_written(place: Place) -> None:
    more = place.root / "more"
    more.mkdir()
    (more / "table").write_text("42")
    (place.root / "alias").symlink_to(more)
    result = place.run(
        SHELL + f"cat {more}/table {place.root}/alias/table; touch {more}/x; ls {place.root}",
        readable=(place.bin, place.root / "alias"),
    )
    assert result.stdout == "4242alias\nbin\nmore\n"
    assert "Read-only file system" in result.stderr


@pytest.mark.parametrize("path", ["/", "/proc/self", "/tmp", "/script/run", "/dev/shm", "/etc"])
def test_what_would_hide_the_sandbox_is_not_given(place: Place, path: str) -> None:
    with pytest.raises(SandboxFailed, match="has its own"):
        start(place.settings, place.spec(place.script(SHELL), readable=(Path(path),)))


def test_a_script_that_is_none_leaves_nothing(any_place: Place) -> None:
    before = set(os.listdir("/proc/self/fd"))
    missing = any_place.bin / "missing"
    with pytest.raises(SandboxFailed, match="is not a program"):
        start(any_place.settings, any_place.spec(missing))
    for changes in ({"arguments": ("a\0b",)}, {"stdin": missing}, {"arguments": ("x" * 200_000,)}):
        spec = any_place.spec(any_place.script(SHELL))
        with pytest.raises(SandboxFailed):
            start(any_place.settings, type(spec)(**{**vars(spec), **changes}))
    assert set(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize(
    ("first", "says"),
    [
        ("#!/usr/bin/pyhton3 -u", "the interpreter of its first line is not there: #!/usr/bin/pyhton3 -u"),
        ("#!", "the interpreter of its first line is not there: #!"),
        ("#!/bin/sh\r", "its lines end as in files of Windows; expected a line feed alone"),
    ],
)
def test_a_script_that_cannot_be_started_is_told_by_its_first_line_and_not_by_where_it_lies(
    any_place: Place, first: str, says: str
) -> None:
    program = any_place.script(f"{first}\necho never\n")
    with pytest.raises(SandboxFailed) as caught:
        start(any_place.settings, any_place.spec(program))
    assert caught.value.message == f"{program.name} cannot be run: {says}"


def test_an_interpreter_that_scripts_cannot_see_is_told_before_one_starts(place: Place) -> None:
    hidden = place.root / "hidden"
    hidden.mkdir()
    (hidden / "shell").symlink_to("/bin/sh")
    program = place.script(f"#!{hidden}/shell\necho $0\n")
    with pytest.raises(SandboxFailed) as caught:
        start(place.settings, place.spec(program))
    said = f"{program.name} cannot be run: scripts cannot see the interpreter of its first line: #!{hidden}/shell"
    assert caught.value.message == said
    result = place.run(f"#!{hidden}/shell\necho seen\n", readable=(place.bin, hidden))
    assert result.stdout == "seen\n"


@pytest.mark.parametrize(
    ("code", "says"),
    [*((code, code) for code in (0, 3, 128, 130, 143, 145, 148, 162, 192, 255)), (137, -9), (139, -11)],
)
def test_an_exit_code_is_a_signal_only_where_a_program_ends_of_it(place: Place, code: int, says: int) -> None:
    assert place.run(SHELL + f"exit {code}").code == says


def test_a_sandbox_that_cannot_be_made_says_why_and_leaves_nothing(place: Place) -> None:
    program = place.script(SHELL)

    def work() -> list[object]:
        before = set(os.listdir("/proc/self/fd"))
        with pytest.raises(SandboxFailed) as caught:
            start(place.settings, place.spec(program, environment={"A=B": "x"}))
        children = Path("/proc/thread-self/children").read_text()
        return [caught.value.message, set(os.listdir("/proc/self/fd")) <= before, children]

    message, same, children = in_a_child(lambda: place.as_user(work))
    assert "setenv" in message
    assert (same, children) == (True, "")
