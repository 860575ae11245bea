"""Running a script with SCRIPT_SANDBOX 'none': with all that the server's user may do.

The same interface, and of the limits those that a process can have without a namespace of its own: processor time,
memory of each process, file size, open files. It leads a session, which is ended whole; what leaves that by itself is
not found any more.
"""

from __future__ import annotations

import contextlib
import os
import signal
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from knossos.scripting.sandbox.errors import SandboxFailed
from knossos.scripting.sandbox.limits import die_first, resource_limits, set_limits
from knossos.scripting.sandbox.running import Pipes, Sandboxed, returncode, signal_by
from knossos.scripting.sandbox.spawn import SIGNALS, moved_away, out_of_the_way, standard_input
from knossos.scripting.sandbox.spec import CHANNEL, SandboxSpec, server_url
from knossos.settings import Settings


class Unshielded(Sandboxed):
    """A script in a session of its own."""

    def __init__(self, spec: SandboxSpec, pipes: Pipes, url: str, leader: int) -> None:
        super().__init__(spec, pipes, url)
        self._leader = leader
        self._leader_descriptor = os.pidfd_open(leader)
        self._all = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._descriptors += [self._leader_descriptor, self._all]

    @property
    def ended(self) -> int:
        return self._leader_descriptor

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        for member in self._members():
            with contextlib.suppress(OSError):
                descriptor = os.open(member, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._all)
                signal_by(descriptor, number)
                os.close(descriptor)

    def _bury(self) -> int:
        # The leader is not buried yet, so its number is still the session's.
        self.kill()
        _, status = os.waitpid(self._leader, 0)
        return returncode(status)

    def _proc(self) -> tuple[int, list[str]] | None:
        return None if self._returncode is not None else (self._all, self._members())

    def _members(self) -> list[str]:
        """The processes of the session."""
        if self._returncode is not None:
            return []
        members = []
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(ProcessLookupError):
                    if os.getsid(int(name)) == self._leader:
                        members.append(name)
        return members


def start(settings: Settings, spec: SandboxSpec) -> Unshielded:
    """Start a script as it is. See `starting.start`."""

    def before() -> None:
        os.setsid()
        os.chdir(spec.folder)
        set_limits(0, resource_limits(spec.limits, None))
        die_first(os.getpid())

    writing: list[int] = []
    reading: list[int] = []
    try:
        for _ in range(3):
            ours, theirs = os.pipe()
            os.set_blocking(ours, False)
            reading.append(ours)
            writing.append(theirs)
        writing.append(standard_input(spec.stdin, spec.temporary))
        descriptors = dict(zip((1, 2, CHANNEL, 0), writing, strict=True))
        environment = {**spec.environment, "KNOSSOS_FD": str(CHANNEL)}
        with moved_away(descriptors) as moved:
            leader = _fork(os.path.abspath(spec.program), spec.arguments, environment, moved, before)
    except (OSError, ValueError) as error:
        for descriptor in reading:
            os.close(descriptor)
        raise SandboxFailed(f"The script cannot be started: {error}") from error
    finally:
        for descriptor in writing:
            os.close(descriptor)
    return Unshielded(spec, Pipes(*reading), server_url(settings, spec.network, spec.door), leader)


def _fork(
    program: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    moved: Mapping[int, int],
    before: Callable[[], None],
) -> int:
    """Start a program in a copy of this process, which first does ``before``: what nobody could do to it afterwards."""
    reading, failed = os.pipe()
    with warnings.catch_warnings():
        # Newer Pythons warn where there are threads: the copy takes no lock, it only makes system calls.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if not pid:
        _become(program, arguments, environment, moved, before, failed)
    os.close(failed)
    with open(reading, "rb") as told:
        reason = told.read()  # nothing, once the program has taken its place
    if reason:
        os.waitpid(pid, 0)
        raise OSError(reason.decode(errors="replace"))
    return pid


def _become(
    program: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    moved: Mapping[int, int],
    before: Callable[[], None],
    failed: int,
) -> NoReturn:
    """In the copy."""
    try:
        failed = out_of_the_way(failed)  # out of the way as well
        for one in SIGNALS:
            signal.signal(one, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        for number, descriptor in moved.items():
            os.dup2(descriptor, number)
        before()
        os.execve(program, [program, *arguments], dict(environment))  # noqa: S606 - as meant
    except BaseException as error:
        os.write(failed, f"the program cannot be started: {error}".encode())
    finally:
        os._exit(127)
