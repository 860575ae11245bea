"""A running sandbox: what it writes, what it uses up, how it is ended, and how it ended."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass

from knossos.scripting.sandbox import usage
from knossos.scripting.sandbox.door import Door
from knossos.scripting.sandbox.spec import SandboxSpec

#: Seconds that the kernel may take to end processes that were killed.
ENDING_SECONDS = 20


@dataclass(frozen=True)
class Pipes:
    """Our ends of what a script writes to: readable, non-blocking descriptors."""

    stdout: int
    stderr: int
    #: What is written to the descriptor that KNOSSOS_FD names.
    channel: int


class Sandboxed(ABC):
    """A script that runs. It is ended, at the latest, by ``close``, or when the thread that started it ends."""

    def __init__(self, spec: SandboxSpec, pipes: Pipes, server_url: str) -> None:
        self.stdout, self.stderr, self.channel = pipes.stdout, pipes.stderr, pipes.channel
        #: Where the script finds our HTTP server; "": it does not.
        self.server_url = server_url
        self._spec = spec
        self._descriptors = [pipes.stdout, pipes.stderr, pipes.channel]
        self._returncode: int | None = None
        self._door: Door | None = None

    @property
    @abstractmethod
    def ended(self) -> int:
        """A descriptor that is readable once all has ended: for those who wait with poll()."""

    def poll(self) -> int | None:
        """How it ended, as Popen.returncode has it: negative for the signal that ended the script. None: it runs.

        Once it answers with a code, none of the script's processes is left.
        """
        if self._returncode is None and _readable(self.ended, 0):
            self._returncode = self._bury()
        return self._returncode

    def wait(self, seconds: float) -> int | None:
        """As ``poll``, after waiting for at most that long."""
        if self._returncode is None:
            _readable(self.ended, seconds)
        return self.poll()

    @abstractmethod
    def terminate(self) -> None:
        """Send SIGTERM to each of the script's processes."""

    @abstractmethod
    def kill(self) -> None:
        """End all at once."""

    @abstractmethod
    def _bury(self) -> int:
        """The code with which it ended, which it has."""

    @abstractmethod
    def _proc(self) -> tuple[int, list[str]] | None:
        """A descriptor of a /proc and the numbers of the script's processes in it; None: it has none any more."""

    def memory_bytes(self) -> int:
        """Bytes of memory that all its processes hold now."""
        found = self._proc()
        return usage.memory(*found, self._spec.limits.memory_bytes, self._files_in_memory()) if found else 0

    def _files_in_memory(self) -> int:
        """Bytes of files that the script has in memory."""
        return 0

    def disk_bytes(self, most: int) -> int:
        """Bytes that are allocated in its three folders, and in files that it keeps open without a name.

        Counting ends once there are more than ``most``.
        """
        disk = usage.Disk(most)
        for folder in (self._spec.folder, self._spec.shared, self._spec.temporary):
            disk.add_tree(str(folder))
        found = self._proc()
        if found:
            disk.add_open_files(*found)
        return disk.bytes

    def close(self) -> None:
        """End whatever is left, and give back what it held. May be called again."""
        if self._returncode is None:
            self.kill()
            deadline = time.monotonic() + ENDING_SECONDS
            while self.wait(0.2) is None and time.monotonic() < deadline:
                self.kill()
        if self._door is not None:
            self._door.close()
            self._door = None
        while self._descriptors:
            os.close(self._descriptors.pop())


def signal_by(descriptor: int, number: int) -> None:
    """Send a signal to a process by a descriptor of it, or of its folder in a /proc: never to another one."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        signal.pidfd_send_signal(descriptor, number)


def _readable(descriptor: int, seconds: float) -> bool:
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(int(seconds * 1000)))


def returncode(status: int) -> int:
    """A status of waitpid() as Popen has it."""
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
