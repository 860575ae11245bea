"""The fuzzing can fail: each kind of crash is noticed, kept, and had once more."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import cast

import pytest

from fuzz import __main__ as fuzz
from fuzz import campaign, deployment
from fuzz.arena import Arena
from fuzz.canaries import CANARIES
from fuzz.crashes import Broken, CrashKind
from fuzz.deployment import Deployment
from fuzz.http import asker, check
from fuzz.rounds import Round
from fuzz.targets import load, served_paths, sockets
from fuzz.wire import Answer, exchange, filled
from knossos.settings import ROOT
from tests.support import fuzz_broken
from tests.support.processes import is_alive, wait_for

BROKEN = "tests.support.fuzz_broken"
KINDS = {
    fuzz_broken.ERROR: CrashKind.ERROR,
    fuzz_broken.DEAD: CrashKind.DEAD,
    fuzz_broken.HANG: CrashKind.HANG,
    fuzz_broken.MEMORY: CrashKind.MEMORY,
    b"swallowed": CrashKind.MEMORY,
    fuzz_broken.OUTSIDE: CrashKind.OUTSIDE,
}


pytestmark = pytest.mark.usefixtures("own_signals")


def broken_by(taker: campaign.Taker, data: bytes) -> Broken:
    with pytest.raises(Broken) as caught:
        taker.take(data)
    return caught.value


def test_each_way_to_break_is_noticed_and_the_next_input_is_taken() -> None:
    # A hang shows within seconds here; what is not meant to hang has to end within them.
    with Arena(BROKEN, seconds=10) as arena:
        for data, kind in KINDS.items():
            assert broken_by(arena, data).kind is kind
            arena.take(fuzz_broken.FINE)


def test_what_breaks_is_kept_and_breaks_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Arena(BROKEN) as arena:
        outcome = campaign.run(campaign.Plan(Round(BROKEN), 1, 3600, inputs=12), load(BROKEN), arena, tmp_path)
    assert outcome.inputs == 12
    assert 0 < outcome.crashes < 12
    assert fuzz.main(["--replay", str(outcome.files[0])]) == 1
    said = capsys.readouterr().out
    assert "it breaks again: error" in said
    assert "KeyError: 'nothing'" in said
    text = outcome.files[0].read_text().replace("ZXJyb3I=", "ZmluZQ==")  # the input, now one that is taken
    outcome.files[0].write_text(text)
    assert fuzz.main(["--replay", str(outcome.files[0])]) == 0


@pytest.fixture(scope="module")
def place() -> Iterator[Deployment]:
    with Deployment() as started:
        yield started


@pytest.mark.slow
class TestDeployment:
    def test_what_is_fine_breaks_nothing(self, place: Deployment) -> None:
        place.taker(asker(place)).take(b"GET /api/info HTTP/1.1\r\nHost: {{host}}\r\n\r\n")

    def test_an_error_of_the_server_is_one(self, place: Deployment) -> None:
        """The storage is no folder any more."""
        moved = place.site.settings.data_path / "storage"
        away = place.site.settings.work_folder / "away"
        moved.rename(away)
        moved.write_text("no folder")
        try:
            request = b"GET /storage/images/{{image}}.png HTTP/1.1\r\nHost: {{host}}\r\n\r\n"
            assert broken_by(place.taker(asker(place)), request).kind is CrashKind.ERROR
        finally:
            moved.unlink()
            away.rename(moved)

    def test_no_answer_is_one_and_tells_of_a_process_that_is_gone(self, place: Deployment) -> None:
        def say_nothing(data: bytes) -> None:
            check(Answer.of(b""), of=data)

        def die(data: bytes) -> None:
            place.processes[0].kill()
            say_nothing(data)

        request = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
        assert broken_by(place.taker(say_nothing), request).kind is CrashKind.ERROR
        assert broken_by(place.taker(die), request).kind is CrashKind.DEAD

    def test_a_stack_in_a_log_is_one(self, place: Deployment) -> None:
        def take(_data: bytes) -> None:
            with open(place.processes[2].log_file, "a") as log:
                log.write("Traceback (most recent call last):\n  ...\nKeyError: 'x'\n")

        found = broken_by(place.taker(take), b"")
        assert (found.kind, "KeyError" in found.detail) == (CrashKind.ERROR, True)
        place.check()

    def test_a_file_outside_of_the_roots_is_one(self, place: Deployment) -> None:
        found = broken_by(place.taker(lambda _: (place.folder / "bin" / "new.py").touch()), b"")
        assert (found.kind, "new.py" in found.detail) == (CrashKind.OUTSIDE, True)

    def test_a_change_of_the_servers_keys_and_of_homes_of_those_who_ask_for_nothing_is_one(
        self, place: Deployment
    ) -> None:
        key, home = place.folder / "data" / "secret_key", place.folder / "data" / "homes" / "1"
        known = key.read_bytes()
        changes: tuple[tuple[Callable[[], object], Callable[[], object]], ...] = (
            (lambda: key.write_text("another"), lambda: key.write_bytes(known)),
            ((home / "new.txt").touch, (home / "new.txt").unlink),
            (home.with_name("17").mkdir, home.with_name("17").rmdir),
            ((home.parents[1] / "new").touch, (home.parents[1] / "new").unlink),
        )
        for change, back in changes:
            change()
            with pytest.raises(Broken) as caught:
                place.check()
            assert caught.value.kind is CrashKind.OUTSIDE
            back()
            with pytest.raises(Broken):  # it is a change once more
                place.check()
        place.check()

    def test_every_secret_in_an_answer_is_one(self, place: Deployment) -> None:
        file = place.site.settings.mirror_folder / "drops" / "x"
        before = file.read_bytes()
        request = b"GET /mirror/drops/x HTTP/1.1\r\nHost: {{host}}\r\n\r\n"
        paths = (
            place.folder / "settings.py",
            *(place.folder / "data" / name for name in ("secret_key", "repository_key", "knossos.sqlite3")),
            *map(Path, ("/etc/passwd", f"/proc/{place.processes[0].popen.pid}/environ")),
        )
        try:
            for path in paths:
                file.write_bytes(path.read_bytes())
                found = broken_by(place.taker(asker(place)), request)
                assert (found.kind, "an answer holds" in found.detail) == (CrashKind.OUTSIDE, True), path
        finally:
            file.write_bytes(before)
        place.taker(asker(place)).take(request)

    @pytest.mark.parametrize("root", served_paths.ROOTS)
    def test_what_served_paths_asks_for_is_there(self, root: str, place: Deployment) -> None:
        head = b" HTTP/1.1\r\nHost: {{host}}\r\nCookie: {{cookie}}={{session}}\r\n\r\n"
        for name in served_paths.ROOTS[root]:
            request = b"GET " + f"{root}{name}".encode() + head
            assert exchange(place.http, filled(request, place.words)).status == 200, name

    def test_files_that_an_input_has_taken_away_are_put_back(self, place: Deployment) -> None:
        request = b" /api/files/%s HTTP/1.1\r\nHost: {{host}}\r\nCookie: {{cookie}}={{session}}\r\n\r\n"
        for name in (b"a.txt", b"folder"):
            place.taker(asker(place)).take(b"DELETE" + request % name)
        taker = place.taker(asker(place))
        taker.take(b"GET" + request % b"a.txt")
        assert exchange(place.http, filled(b"GET" + request % b"folder/a.txt", place.words)).status == 200

    def test_too_much_memory_and_a_process_that_dies_are_and_a_new_one_starts(
        self, place: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def kill(_data: bytes) -> None:
            os.kill(place.processes[2].popen.pid, signal.SIGKILL)
            place.processes[2].popen.wait()

        before = [process.popen.pid for process in place.processes]
        with monkeypatch.context() as small:
            small.setattr(deployment, "MEMORY_BYTES", 1024 * 1024)
            with pytest.raises(Broken) as caught:
                place.check()
            assert caught.value.kind is CrashKind.MEMORY
        assert broken_by(place.taker(kill), b"").kind is CrashKind.DEAD
        assert not any(map(is_alive, before))
        # One that is gone before it is asked.
        place.processes[1].kill()
        before = [process.popen.pid for process in place.processes]
        talk = next(sockets.inputs(Random("1")))
        assert broken_by(place.taker(sockets.make(place)), talk).kind is CrashKind.DEAD
        assert not any(map(is_alive, before))
        place.taker(asker(place)).take(b"GET /api/info HTTP/1.1\r\nHost: {{host}}\r\n\r\n")

    def test_one_that_hangs_is_not_waited_for(self, place: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
        def hang(_data: bytes) -> None:
            os.kill(place.processes[0].popen.pid, signal.SIGSTOP)
            raise Broken(CrashKind.HANG, "no end of the answer in time")

        def never(*_: object) -> int:
            raise AssertionError("did not stop")

        before = [process.popen.pid for process in place.processes]
        for process in place.processes:
            assert process.popen.poll() is None
            monkeypatch.setattr(process, "stop", lambda *_, process=process: process.popen.poll() is None and never())
        assert broken_by(place.taker(hang), b"").kind is CrashKind.HANG
        assert not any(map(is_alive, before))
        place.taker(asker(place)).take(b"GET /api/info HTTP/1.1\r\nHost: {{host}}\r\n\r\n")

    def test_who_was_logged_out_is_logged_in_again(self, place: Deployment) -> None:
        request = b"GET /%s HTTP/1.1\r\nHost: {{host}}\r\nCookie: {{cookie}}={{session}}\r\n\r\n"
        before = place.words["session"]
        place.taker(asker(place)).take(request % b"logout")
        place.renew()
        assert place.words["session"] != before


def test_an_answer_that_does_not_end_is_a_hang() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        taken: list[socket.socket] = []
        silent = threading.Thread(target=lambda: taken.append(door.accept()[0]))
        silent.start()
        with pytest.raises(Broken) as caught:
            exchange(door.getsockname(), b"GET / HTTP/1.1\r\n\r\n", 0.3, says_end=False)
        silent.join()
        taken[0].close()
    assert caught.value.kind is CrashKind.HANG


@contextmanager
def server(talk: Callable[[socket.socket], None], calls: int = 1) -> Iterator[tuple[str, int]]:
    """Takes so many connections, one after the other."""

    def serve() -> None:
        for _ in range(calls):
            connection = door.accept()[0]
            with connection, suppress(OSError):
                connection.settimeout(60)
                talk(connection)

    with socket.create_server(("127.0.0.1", 0)) as door:
        serving = threading.Thread(target=serve)
        serving.start()
        yield door.getsockname()
        serving.join()


OPENING = b"GET /ws/inter/1 HTTP/1.1\r\nHost: {{sockets}}\r\n\r\n"
ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 15\r\n\r\n"


def test_an_error_after_an_interim_answer_is_one() -> None:
    def fail(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" + ERROR)

    with server(fail) as address, pytest.raises(Broken) as caught:
        check(exchange(address, OPENING))
    assert (caught.value.kind, "500" in caught.value.detail) == (CrashKind.ERROR, True)


@pytest.mark.parametrize("fails_from", [0, 1], ids=["opening", "health"])
def test_an_error_of_the_websocket_server_is_one(fails_from: int) -> None:
    answers = [b"HTTP/1.1 404 Not Found\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]
    answers[fails_from] = ERROR
    pending = iter(answers)

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(next(pending) + b'{"watchers": 0}')

    with server(answer, calls=fails_from + 1) as address:
        place = SimpleNamespace(sockets=address, words={}, secrets=CANARIES)
        with pytest.raises(Broken) as caught:
            sockets.make(cast(Deployment, place))(OPENING)
    assert caught.value.kind is CrashKind.ERROR


def test_a_websocket_server_that_takes_its_time_gets_all_frames() -> None:
    got = bytearray()

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        time.sleep(0.4)
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        time.sleep(0.2)
        while piece := connection.recv(65536):
            got.extend(piece)

    with server(answer) as address:
        assert sockets.talk(address, OPENING, b"frames").status == 101
    assert got.startswith(b"frames")


def test_a_websocket_server_that_does_not_answer_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "ANSWER_SECONDS", 0.2)

    def wait(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    with server(wait) as address, pytest.raises(Broken) as caught:
        sockets.talk(address, OPENING, b"frames")
    assert caught.value.kind is CrashKind.HANG


class Run:
    """A run of the fuzzing that goes on until it is ended; its files are all in ``folder``."""

    def __init__(self, folder: Path, target: str, database: str) -> None:
        self.folder, self.log = folder, folder / "log"
        (folder / "tmp").mkdir()
        (folder / "into").mkdir()
        (folder / "into" / "fuzz.json").write_text("[]")
        chosen = ["--seconds", "300", "--database", database, "--into", str(folder / "into"), target]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fuzz", *chosen],
                cwd=ROOT,
                stderr=log,
                env={**os.environ, "TMPDIR": str(folder / "tmp")},
                start_new_session=True,
            )
        wait_for(lambda: "fuzzing:" in self.log.read_text() or self.process.poll() is not None, "the run", 120)
        assert self.process.poll() is None, self.log.read_text()

    @property
    def child(self) -> int:
        """The process that does the work."""
        pid = self.process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])

    def has_left_nothing(self) -> bool:
        processes = [path for path in Path("/proc").glob("[0-9]*/environ") if _mentions(path, str(self.folder))]
        return not processes and not list((self.folder / "tmp").iterdir())


@pytest.fixture
def own_folder() -> Iterator[Path]:
    """Not below pytest's folders: those are closed to the user that PostgreSQL runs as."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(
    ("target", "database"), [("archives", "sqlite"), ("protocols", "sqlite"), ("protocols", "postgresql")]
)
def test_a_run_that_is_interrupted_leaves_nothing_behind(
    target: str, database: str, number: int, own_folder: Path
) -> None:
    run = Run(own_folder, target, database)
    run.process.send_signal(number)
    assert run.process.wait(120) == 1
    assert "interrupted" in run.log.read_text()
    assert run.has_left_nothing()
    assert (own_folder / "into" / "fuzz.json").read_text() == "[]"


@pytest.mark.slow
@pytest.mark.parametrize("which", ["run", "child"])
def test_a_run_that_is_killed_leaves_nothing_behind(which: str, own_folder: Path) -> None:
    run = Run(own_folder, "protocols", "sqlite")
    os.kill(run.process.pid if which == "run" else run.child, signal.SIGKILL)
    assert run.process.wait(120) == (-signal.SIGKILL if which == "run" else 1)
    wait_for(run.has_left_nothing, "the end of all that it had started", 120)
    assert (own_folder / "into" / "fuzz.json").read_text() == "[]"


def _mentions(path: Path, words: str) -> bool:
    try:
        return words.encode() in path.read_bytes() and path.parent.name != str(os.getpid())
    except OSError:
        return False


@pytest.mark.slow
def test_a_minute_of_everything_breaks_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz.main(["--seed", "17", "--seconds", "60", "--into", str(tmp_path)]) == 0, capsys.readouterr()
    assert (tmp_path / "fuzz.json").is_file()
