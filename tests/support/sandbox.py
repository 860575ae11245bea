"""Running a script in the sandbox for a test: as this user, or as another that root becomes for it."""

from __future__ import annotations

import array  # noqa: F401 - what is imported later cannot be once this process has become another user
import contextlib
import ctypes
import encodings.idna  # noqa: F401
import json
import os
import select
import shutil
import stringprep  # noqa: F401
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from knossos.scripting.metadata import RunLimits
from knossos.scripting.sandbox import ResolvedLimits, Sandboxed, SandboxSpec, inside, start
from knossos.settings import Settings

#: What a shell script begins with.
SHELL = "#!/bin/sh\n"

#: Nobody has this number here.
ORDINARY = 54321
#: Seconds after which a script of a test counts as hanging.
HANGING = 60
PYTHON = "/usr/bin/python3"
PR_SET_DUMPABLE = 4

#: Who the tests can be: for root also somebody else.
USERS = ("root", "ordinary") if os.geteuid() == 0 else ("ordinary",)


@dataclass
class Result:
    """What came of a script."""

    code: int | None
    stdout: str
    stderr: str
    channel: str
    #: Why the test's watchdog ended it; "": it did not have to.
    ended_for: str = ""


class Place:
    """A folder with all that a run needs, which an ordinary user can reach."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.root = Path(tempfile.mkdtemp(prefix="knossos-sandbox-"))
        self.bin, self.folder, self.temporary = self.root / "bin", self.root / "run", self.root / "tmp"
        self.shared = self.root / "shared" / "name-nobody-guesses"
        for made in (self.bin, self.folder, self.temporary, self.shared):
            made.mkdir(parents=True)
        self.settings = Settings(data_path=self.root / "data")
        self.settings.data_path.mkdir()

    def script(self, text: str, name: str = "script") -> Path:
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def spec(self, program: Path, *arguments: str, limits: RunLimits | None = None, **changes: Any) -> SandboxSpec:
        found = inside(self.settings, self.folder, self.shared, self.temporary)
        environment = {"PATH": "/usr/bin:/bin", "HOME": found.folder, "SHARED_DIR": found.shared}
        environment |= {"TMPDIR": found.temporary, "LC_ALL": "C.UTF-8"}
        given: dict[str, Any] = {
            "program": program,
            "arguments": arguments,
            "folder": self.folder,
            "shared": self.shared,
            "temporary": self.temporary,
            "readable": (self.bin,),
            "environment": environment,
            "limits": ResolvedLimits.of(self.settings, limits or RunLimits()),
            "network": False,
            "door": None,
        }
        return SandboxSpec(**{**given, **changes})

    def run(self, text: str, *arguments: str, **changes: Any) -> Result:
        """Run a script to its end, and answer what it wrote. The watchdog holds memory and disk to the limits."""
        spec = self.spec(self.script(text), *arguments, **changes)

        def work() -> dict[str, Any]:
            running = start(self.settings, spec)
            try:
                return asdict(watch(running, spec))
            finally:
                running.close()

        return Result(**self.as_user(work))

    def as_user(self, work: Callable[[], Any]) -> Any:
        """Do something as the user of this test. What it answers must be JSON."""
        if self.user == "root" or os.geteuid() != 0:
            return work()
        for parent, folders, files in os.walk(self.root):
            for name in (".", *folders, *files):
                os.chown(os.path.join(parent, name), ORDINARY, ORDINARY, follow_symlinks=False)
        return in_a_child(work, ORDINARY)

    def remove(self) -> None:
        for parent, _, _ in os.walk(self.root):
            with contextlib.suppress(OSError):
                os.chmod(parent, 0o700)
        shutil.rmtree(self.root)


@contextlib.contextmanager
def a_place(user: str) -> Iterator[Place]:
    made = Place(user)
    try:
        yield made
    finally:
        made.remove()


def some(descriptor: int) -> bytes:
    """What a script has written and nobody has read."""
    with contextlib.suppress(BlockingIOError):
        return os.read(descriptor, 65536)
    return b""


def in_a_child(work: Callable[[], Any], user: int | None = None) -> Any:
    """Do something in a copy of this process, which becomes another user first."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        answer: dict[str, Any] = {}
        try:
            os.close(reading)
            if user is not None:
                os.setgroups([])
                os.setresgid(user, user, user)
                os.setresuid(user, user, user)
                # So that its own /proc is its own again.
                ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
            answer = {"answer": work()}
        except BaseException:
            answer = {"error": traceback.format_exc()}
        finally:
            with open(writing, "w") as file:
                json.dump(answer, file)
            os._exit(0)
    os.close(writing)
    with open(reading) as file:
        text = file.read()
    os.waitpid(pid, 0)
    told = json.loads(text)
    assert "error" not in told, told["error"]
    return told["answer"]


def watch(running: Sandboxed, spec: SandboxSpec) -> Result:
    """Read what a script writes until it has ended, and see to its limits."""
    written = {running.stdout: b"", running.stderr: b"", running.channel: b""}
    open_ones = set(written)
    reason = ""
    deadline = time.monotonic() + HANGING
    while running.poll() is None or open_ones:
        for descriptor in select.select([*open_ones, running.ended], [], [], 0.02)[0]:
            if descriptor in open_ones:
                piece = os.read(descriptor, 65536)
                written[descriptor] += piece
                if not piece:
                    open_ones.remove(descriptor)
        if running.poll() is None and not reason:
            if running.memory_bytes() > spec.limits.memory_bytes:
                reason = "memory"
            elif running.disk_bytes(spec.limits.disk_bytes) > spec.limits.disk_bytes:
                reason = "disk"
            elif time.monotonic() > deadline:
                reason = "hanging"
            if reason:
                running.kill()
    texts = [text.decode(errors="replace") for text in written.values()]
    return Result(running.poll(), *texts, reason)
