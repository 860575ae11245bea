"""What a script may use up, tried by scripts that want more: the kernel stops them, or it is seen from outside."""

from __future__ import annotations

import fcntl
import signal
import stat
from collections.abc import Iterator

import pytest

from knossos.scripting.metadata import RunLimits
from knossos.scripting.sandbox import start
from knossos.setting_kinds import MIB
from tests.support.processes import wait_for
from tests.support.sandbox import PYTHON, USERS, Place, Result, a_place, some

PRELUDE = f"""#!{PYTHON}
import errno, os, signal, sys, time

def attempt(what, do):
    try:
        got = do()
    except BaseException as error:
        print(what, "| refused |", type(error).__name__, error, flush=True)
    else:
        print(what, "| GOT |", repr(got)[:300], flush=True)

def written(path, text="x", mode="a"):
    with open(path, mode) as file:
        file.write(text)
    return path
"""

#: Limits that are soon reached.
BOMB = {"processes": 20, "memory_bytes": 128 * MIB, "file_bytes": 4 * MIB, "disk_bytes": 16 * MIB, "open_files": 64}


@pytest.fixture(params=USERS)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with a_place(request.param) as made:
        yield made


def bomb(place: Place, text: str, **limits: int) -> Result:
    return place.run(PRELUDE + text, limits=RunLimits(**{**BOMB, **limits}))  # type: ignore[arg-type]


def test_a_fork_bomb_has_its_processes_and_no_more(place: Place) -> None:
    result = bomb(
        place,
        """
children = 0
while True:
    try:
        pid = os.fork()
    except OSError as error:
        print(children, errno.errorcode[error.errno])
        sys.exit()
    if not pid:
        time.sleep(600)
    children += 1
""",
    )
    assert (result.code, result.stdout.strip()) == (0, "19 EAGAIN")


def test_a_shell_s_fork_bomb_ends_with_its_first_process(place: Place) -> None:
    spec = place.spec(place.script("#!/bin/sh\nf() { f | f & }; f\nexec sleep 600\n"), limits=RunLimits(processes=20))

    def work() -> list[object]:
        running = start(place.settings, spec)
        try:
            # It stands at its limit when nothing can be started any more.
            wait_for(lambda: b"fork" in some(running.stderr), "the bomb")
            running.kill()
            return [running.wait(20)]
        finally:
            running.close()

    # 2: it was the first shell itself that could not fork, which ended it before we did.
    assert place.as_user(work)[0] in (-signal.SIGKILL, 2)


@pytest.mark.parametrize(
    "text",
    [
        "attempt('heap', lambda: len(bytearray(200 * 2**20)))",
        "import mmap; attempt('mapping', lambda: len(mmap.mmap(-1, 200 * 2**20, mmap.MAP_PRIVATE)))",
        "attempt('/dev/shm', lambda: [written(f'/dev/shm/{n}', 'x' * 3 * 2**20) for n in range(40)])",
        "import threading; threading.stack_size(40 * 2**20)\n"
        "def more(): [threading.Thread(target=time.sleep, args=(9,), daemon=True).start() for _ in range(8)]\n"
        "attempt('stacks', more); os._exit(0)",
    ],
    ids=["heap", "mapping", "files in memory", "stacks"],
)
def test_a_process_gets_no_more_memory_than_its_limit(place: Place, text: str) -> None:
    result = bomb(place, text)
    assert result.code == 0, result.stderr
    assert "| refused |" in result.stdout
    assert "| GOT |" not in result.stdout


@pytest.mark.parametrize(
    "text",
    [
        "for _ in range(4):\n    if not os.fork(): kept = bytearray(60 * 2**20); time.sleep(600)\ntime.sleep(600)",
        "import mmap\nm = mmap.mmap(-1, 160 * 2**20)\nfor n in range(0, len(m), 4096): m[n] = 1\ntime.sleep(600)",
    ],
    ids=["many processes", "shared memory"],
)
def test_memory_of_all_processes_together_is_seen(place: Place, text: str) -> None:
    result = bomb(place, text)
    assert (result.code, result.ended_for) == (-signal.SIGKILL, "memory")


def test_memory_that_processes_share_counts_once(place: Place) -> None:
    result = bomb(
        place,
        "kept = bytearray(60 * 2**20)\nfor _ in range(4):\n    if not os.fork(): time.sleep(1); os._exit(0)\n"
        "time.sleep(1)",
    )
    assert (result.code, result.ended_for) == (0, "")


@pytest.mark.parametrize(
    "text",
    [
        "for n in range(100): written(f'{n}', 'x' * 2**20)",
        "for n in range(100): written(f'/tmp/{n}', 'x' * 2**20)",
        "for n in range(100): written(os.environ['SHARED_DIR'] + f'/{n}', 'x' * 2**20)",
        "for n in range(9999): os.mknod(f'{n}')",
        "for n in range(9999): os.symlink('x' * 40, f'{n}')",
        "os.mkdir('d'); os.chmod('d', 0o300)\nfor n in range(100): written(f'd/{n}', 'x' * 2**20)",
        "kept = []\nfor n in range(30):\n    kept.append(open('x', 'w')); os.unlink('x'); kept[-1].write('x' * 2**20); "
        "kept[-1].flush()",
        "for n in range(200): os.mkdir('d'); os.chdir('d')",
    ],
    ids=["run", "tmp", "shared", "empty files", "links", "unreadable folder", "without a name", "deep folders"],
)
def test_all_that_is_written_to_disk_is_seen(place: Place, text: str) -> None:
    result = bomb(place, text + "\ntime.sleep(600)", disk_bytes=2 * MIB)
    assert (result.code, result.ended_for) == (-signal.SIGKILL, "disk"), result.stderr


def test_a_file_ends_at_its_limit(place: Place) -> None:
    result = bomb(place, "attempt('file', lambda: written('x', 'x' * 5 * 2**20))\nprint(os.stat('x').st_size)")
    assert "| refused | OSError [Errno 27]" in result.stdout
    assert result.stdout.split()[-1] == str(4 * MIB)
    assert bomb(place, "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\nwritten('x', 'x' * 5 * 2**20)").code == -25


def test_descriptors_end_at_their_limit(place: Place) -> None:
    result = bomb(
        place,
        """
kept = []
def fill():
    while True:
        kept.append(os.open("/dev/null", os.O_RDONLY))
attempt("descriptors", fill)
print(kept[-1])
""",
    )
    assert "[Errno 24]" in result.stdout
    assert result.stdout.split()[-1] == "63"


def test_a_crash_leaves_no_core(place: Place) -> None:
    result = bomb(place, "os.kill(os.getpid(), signal.SIGSEGV)")
    assert result.code == -signal.SIGSEGV
    assert list(place.folder.iterdir()) == []


def test_links_and_pipes_that_are_left_lead_nowhere_when_the_disk_is_counted(place: Place) -> None:
    big = place.root / "data" / "big"
    big.write_bytes(b"x" * 20 * MIB)
    result = bomb(
        place,
        f"os.mkfifo('pipe')\nos.symlink({str(big)!r}, 'link')\nos.symlink({str(big.parent)!r}, 'folder')\n"
        "os.symlink('/', 'root')\nos.symlink('.', 'here')\ntime.sleep(0.3)",
    )
    assert (result.code, result.ended_for) == (0, "")
    assert stat.S_ISFIFO((place.folder / "pipe").lstat().st_mode)


def test_signals_to_everybody_reach_nobody_outside(place: Place) -> None:
    result = bomb(place, "attempt('all', lambda: os.kill(-1, signal.SIGKILL))\nos.killpg(0, signal.SIGKILL)")
    assert result.code == -signal.SIGKILL


DAEMON = """
import fcntl
def daemon():
    if os.fork(): return
    os.setsid()
    if os.fork(): os._exit(0)
    for number in range(1, 32):
        if number not in (signal.SIGKILL, signal.SIGSTOP): signal.signal(number, signal.SIG_IGN)
    held = open("held", "w")
    fcntl.flock(held, fcntl.LOCK_EX)
    written("lives")
    for descriptor in range(3): os.close(descriptor)
    time.sleep(600)
    os._exit(0)
daemon()
while not os.path.exists("lives"): time.sleep(0.01)
"""


@pytest.mark.parametrize("end", ["sys.exit(3)", "time.sleep(600)"], ids=["after the script's end", "when it is killed"])
def test_no_process_is_left(place: Place, end: str) -> None:
    spec = place.spec(place.script(PRELUDE + DAEMON + "print('ready', flush=True)\n" + end))

    def work() -> list[object]:
        running = start(place.settings, spec)
        try:
            wait_for(lambda: b"ready" in some(running.stdout), "the daemon")
            if end != "sys.exit(3)":
                running.kill()
            code = running.wait(60)
            # At once, since nobody can hold it any more.
            with open(place.folder / "held") as held:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return [code]
        finally:
            running.close()

    assert place.as_user(work) == [3 if end == "sys.exit(3)" else -signal.SIGKILL]
