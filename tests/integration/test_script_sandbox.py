"""The sandbox at work: what a script gets, how it is ended, the door to the HTTP server, and where it cannot work."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from knossos.errors import SettingsError
from knossos.scripting.metadata import RunLimits
from knossos.scripting.sandbox import (
    ResolvedLimits,
    SandboxFailed,
    SandboxMissing,
    bubblewrap,
    check,
    inside,
    kernel,
    server_url,
    start,
)
from knossos.scripting.sandbox.seccomp import filter_program
from knossos.settings import Settings
from tests.support.processes import wait_for
from tests.support.sandbox import ORDINARY, PYTHON, USERS, Place, a_place, in_a_child, some, watch

SHELL = "#!/bin/sh\n"


@pytest.fixture(params=USERS)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with a_place(request.param) as made:
        yield made


@pytest.fixture(params=["bubblewrap", "none"])
def any_place(request: pytest.FixtureRequest, place: Place) -> Place:
    """A place with the sandbox, and one without."""
    place.settings = Settings(data_path=place.settings.data_path, script_sandbox=request.param)
    return place


# --- what a script gets ---------------------------------------------------------------------------


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
    assert set(os.listdir("/proc/self/fd")) == before


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
    [
        *(
            (0, 0),
            (3, 3),
            (128, 128),
            (130, 130),
            (137, -9),
            (139, -11),
            (143, 143),
            (145, 145),
            (148, 148),
            (162, 162),
        ),
        *((192, 192), (255, 255)),
    ],
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
        return [caught.value.message, set(os.listdir("/proc/self/fd")) == before, children]

    message, same, children = in_a_child(lambda: place.as_user(work))
    assert "setenv" in message
    assert (same, children) == (True, "")


# --- what is done meanwhile -----------------------------------------------------------------------


def test_what_is_done_while_the_sandbox_is_made_is_over_before_the_script_begins(any_place: Place) -> None:
    spec = any_place.spec(any_place.script(SHELL + "cat note"))

    def note() -> None:
        time.sleep(0.3)  # longer than all else takes
        (any_place.folder / "note").write_text("I was there before")

    def work() -> str:
        running = start(any_place.settings, spec, note)
        try:
            return watch(running, spec).stdout
        finally:
            running.close()

    assert any_place.as_user(work) == "I was there before"


def test_what_is_done_meanwhile_may_take_longer_than_the_sandbox_may(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that restarts is waited for."""
    spec = place.spec(place.script(SHELL + "echo begun"))
    passed = [0.0]
    monkeypatch.setattr(bubblewrap, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + passed[0]))

    def take_long() -> None:
        passed[0] += 2 * bubblewrap.SETUP_SECONDS

    def work() -> str:
        running = start(place.settings, spec, take_long)
        try:
            return watch(running, spec).stdout
        finally:
            running.close()

    assert place.as_user(work) == "begun\n"


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
        return [caught.value is raised, set(os.listdir("/proc/self/fd")) == before, children]

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


# --- how it is ended ------------------------------------------------------------------------------


@pytest.mark.parametrize("ignores", [False, True], ids=["", "and ignores SIGTERM"])
def test_sigterm_reaches_the_script_and_sigkill_whoever_does_not_listen(any_place: Place, ignores: bool) -> None:
    trap = "trap 'echo no' TERM" if ignores else "trap 'echo bye; exit 5' TERM"
    spec = any_place.spec(any_place.script(SHELL + trap + "\necho ready\nwhile :; do sleep 0.05; done"))

    def work() -> list[Any]:
        running = start(any_place.settings, spec)
        said = [""]

        def heard(text: str) -> bool:
            said[0] += some(running.stdout).decode()
            return text in said[0]

        try:
            wait_for(lambda: heard("ready"), "the script")
            running.terminate()
            wait_for(lambda: heard("no" if ignores else "bye"), "its answer")
            if ignores:
                assert running.poll() is None
                running.kill()
            return [running.wait(60), running.memory_bytes(), running.poll()]
        finally:
            running.close()
            running.close()

    code = -signal.SIGKILL if ignores else 5
    assert any_place.as_user(work) == [code, 0, code]


def test_closing_ends_a_script_that_runs(any_place: Place) -> None:
    spec = any_place.spec(any_place.script(SHELL + "sleep 600 & sleep 600"))

    def work() -> list[Any]:
        before = set(os.listdir("/proc/self/fd"))
        running = start(any_place.settings, spec)
        running.close()
        children = Path("/proc/thread-self/children").read_text()
        return [running.poll(), set(os.listdir("/proc/self/fd")) == before, children]

    assert in_a_child(lambda: any_place.as_user(work)) == [-signal.SIGKILL, True, ""]


def test_nothing_is_left_of_a_script_whose_worker_is_killed(place: Place) -> None:
    spec = place.spec(
        place.script(
            f"#!{PYTHON}\nimport fcntl, os, time\nheld = open('held', 'w')\nfcntl.flock(held, fcntl.LOCK_EX)\n"
            "if os.fork(): open('lives', 'w')\nelse: os.setsid()\ntime.sleep(600)"
        ),
        door=("127.0.0.1", 9),
    )

    def worker() -> None:
        start(place.settings, spec)
        wait_for(lambda: (place.folder / "lives").exists(), "the script")
        os.kill(os.getpid(), signal.SIGKILL)

    def work() -> bool:
        pid = os.fork()
        if not pid:
            try:
                worker()
            finally:
                os._exit(1)
        assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
        # It is held for as long as one of them lives.
        with open(place.folder / "held") as held:
            return bool(wait_for(lambda: _locked(held.fileno()), "the end of the script"))

    assert place.as_user(work)


def _locked(descriptor: int) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def test_processor_time_ends_with_its_signal(place: Place) -> None:
    result = place.run(SHELL + "while :; do :; done", limits=RunLimits(cpu_seconds=0.5))
    assert result.code == -signal.SIGXCPU


def test_limits_are_those_of_the_metadata_and_else_those_of_the_settings() -> None:
    settings = Settings(data_path=Path("data"), script_processes=7, script_kill_grace_seconds=2)
    limits = ResolvedLimits.of(settings, RunLimits(open_files=9))
    assert (limits.processes, limits.open_files, limits.kill_grace_seconds) == (7, 9, 2)
    assert limits.memory_bytes == settings.script_memory_bytes


# --- the door -------------------------------------------------------------------------------------


class Echo(socketserver.BaseRequestHandler):
    """Answers, once it has all, with how much that was, and then as much."""

    def handle(self) -> None:
        got = 0
        while piece := self.request.recv(65536):
            got += len(piece)
        self.request.sendall(f"{got} ".encode() + b"x" * got)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Echo) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


CALL = f"""#!{PYTHON}
import socket, sys, threading
def call(size):
    with socket.create_connection(("127.0.0.1", 4080), 60) as one:
        def send():
            one.sendall(b"y" * size)
            one.shutdown(socket.SHUT_WR)
        sender = threading.Thread(target=send)
        sender.start()
        text = b""
        while piece := one.recv(65536):
            text += piece
        sender.join()
        return text.split()[0].decode(), len(text)
"""


def test_a_script_calls_the_server_by_its_door_and_halves_are_closed(place: Place, server: Server) -> None:
    result = place.run(CALL + "for n in (0, 1, 3_000_000): print(*call(n))", door=server.server_address)
    assert result.stdout == "0 2\n1 3\n3000000 3000008\n", result.stderr


def test_more_connections_than_the_door_takes_wait_their_turn(place: Place, server: Server) -> None:
    many = """
held = [socket.create_connection(("127.0.0.1", 4080), 60) for _ in range(40)]
answers = []
def work():
    answers.append(call(100)[0])
threads = [threading.Thread(target=work) for _ in range(20)]
for one in threads: one.start()
for one in held: one.close()
for one in threads: one.join()
print(len(answers), set(answers))
"""
    result = place.run(CALL + many, door=server.server_address)
    assert result.stdout == "20 {'100'}\n", result.stderr


def test_a_server_that_is_away_closes_the_connection_and_the_door_stays(place: Place) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        twice = """
for _ in range(2):
    try:
        with socket.create_connection(("127.0.0.1", 4080), 60) as one: print(repr(one.recv(10)))
    except OSError as error: print(type(error).__name__)
"""
        result = place.run(CALL + twice, door=unused.getsockname())
    assert len(result.stdout.splitlines()) == 2
    assert set(result.stdout.splitlines()) <= {"b''", "ConnectionResetError"}


def test_the_door_leads_to_the_server_and_to_nothing_else(place: Place, server: Server) -> None:
    ports = f"""
for port in ({server.server_address[1]}, 22, 80, 6379):
    try: socket.create_connection(("127.0.0.1", port), 60); print("in")
    except OSError as error: print(error.errno)
"""
    assert place.run(CALL + ports, door=server.server_address).stdout.split() == ["111"] * 4


def test_with_the_network_a_script_calls_the_server_where_it_is(place: Place, server: Server) -> None:
    address = server.server_address
    script = CALL.replace("4080", str(address[1])) + "print(*call(1))"
    assert place.run(script, door=address, network=True).stdout == "1 3\n"


def test_the_server_s_address_is_known_before_the_script_starts() -> None:
    boxed = Settings(data_path=Path("data"))
    bare = Settings(data_path=Path("data"), script_sandbox="none")
    assert server_url(boxed, False, ("192.0.2.7", 80)) == "http://127.0.0.1:4080"
    assert server_url(boxed, True, ("192.0.2.7", 80)) == "http://192.0.2.7:80"
    assert server_url(bare, False, ("::1", 80)) == "http://[::1]:80"
    assert server_url(boxed, False, None) == ""


# --- where it cannot work -------------------------------------------------------------------------


def test_the_check_passes_where_scripts_can_run(place: Place) -> None:
    def work() -> None:
        check(place.settings)

    place.as_user(work)


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
        try:
            check(place.settings)
        except SandboxMissing as error:
            return error.message
        return ""

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
        try:
            check(place.settings)
        except SandboxMissing as error:
            return error.message
        return ""

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
