"""Running a script in bubblewrap.

bubblewrap makes the namespaces and stops before it starts the program. Meanwhile we set the limits on the one process
that waits there (whose user namespace is new: processes are counted per user *and* namespace, so that the run's limit
counts the run's alone), and put the door into its network. Then it may go on.

It waits on a pipe of which it holds both ends itself: if we die then, it waits on in our process group, where the
worker's sweep ends it, and never starts a script whose limits were not set.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from knossos.scripting.sandbox import kernel, usage
from knossos.scripting.sandbox.door import Door
from knossos.scripting.sandbox.errors import SandboxFailed, SandboxMissing
from knossos.scripting.sandbox.limits import die_first, resource_limits, set_limits
from knossos.scripting.sandbox.running import Pipes, Sandboxed, returncode, signal_by
from knossos.scripting.sandbox.seccomp import filter_program
from knossos.scripting.sandbox.spawn import NOBODY, Stage, its_user, spawn, standard_input
from knossos.scripting.sandbox.spec import CHANNEL, SandboxSpec, server_url
from knossos.scripting.sandbox.view import GROUP, HOSTS, PASSWD, Bind, Data, Features, binds, options
from knossos.settings import Settings

#: Seconds that bubblewrap may take to set up its namespaces.
SETUP_SECONDS = 30
#: Bytes of bubblewrap's own messages that an error shows.
MESSAGE_BYTES = 4096
#: bubblewrap reports signal n of the program as this plus n, as shells do.
SIGNAL_BASE = 128
#: Signals of which no program ends by itself. What looks like one of them, or like one that has no name, is an exit
#: code that a script has chosen.
HARMLESS = {
    *(signal.SIGCHLD, signal.SIGCONT, signal.SIGSTOP, signal.SIGTSTP),
    *(signal.SIGTTIN, signal.SIGTTOU, signal.SIGURG, signal.SIGWINCH),
}

#: Signals that are only sent on purpose. Where we have sent none, what looks like one of
#: them is the exit code of a script that ended by itself, as shells and what handles Ctrl-C end (130, 143).
ON_PURPOSE = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2}

INSTALL = (
    "install bubblewrap (apt install bubblewrap), or give its path in BUBBLEWRAP; "
    "SCRIPT_SANDBOX = 'none' runs scripts with all that this server's user may do"
)

#: Numbers of bubblewrap's descriptors.
_ARGS, _INFO, _GATE, _FILTER = 4, 5, 6, 7
_DATA = Data(passwd=8, group=9, hosts=10, last=11)


class Bubblewrapped(Sandboxed):
    """A script in bubblewrap. ``monitor`` is bubblewrap itself, ``init`` the first process inside, also its."""

    def __init__(self, spec: SandboxSpec, pipes: Pipes, url: str, monitor: int, init: int) -> None:
        super().__init__(spec, pipes, url)
        self._monitor = monitor
        self._init = init
        self._init_descriptor = os.pidfd_open(init)
        self._descriptors.append(self._init_descriptor)
        self._inner_proc: int | None = None
        self._terminated = False

    @property
    def ended(self) -> int:
        # The first process of a namespace ends when all the others have.
        return self._init_descriptor

    def terminate(self) -> None:
        found = self._proc()
        if found is None:
            return
        self._terminated = True
        proc, numbers = found
        for number in numbers:
            with contextlib.suppress(OSError):
                descriptor = os.open(number, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc)
                signal_by(descriptor, signal.SIGTERM)
                os.close(descriptor)

    def kill(self) -> None:
        if self._returncode is None:
            signal_by(self._init_descriptor, signal.SIGKILL)

    def _bury(self) -> int:
        _, status = os.waitpid(self._monitor, 0)
        # Ours, where bubblewrap ended first.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._init, 0)
        return told(returncode(status), self._terminated)

    def _proc(self) -> tuple[int, list[str]] | None:
        """The sandbox's own /proc, which has exactly its processes."""
        if self._returncode is not None:
            return None
        if self._inner_proc is None:
            try:
                opened = os.open(f"/proc/{self._init}/root/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError:
                return None
            self._descriptors.append(opened)
            if self.poll() is not None:  # then the number may be another's by now
                return None
            self._inner_proc = opened
        return self._inner_proc, usage.processes(self._inner_proc)

    def _files_in_memory(self) -> int:
        return 0 if self._inner_proc is None else usage.shared_files(self._inner_proc)

    def open_door(self, target: tuple[str, int]) -> None:
        self._door = Door(self._init, target)

    def let_go(self, gate: int) -> None:
        """Set the limits, and have bubblewrap start the program."""
        # One more, since bubblewrap's first process counts.
        wanted = resource_limits(self._spec.limits, self._spec.limits.processes + 1)
        with its_user():
            set_limits(self._init, wanted)
        die_first(self._init)
        os.write(gate, b"1")


def start(settings: Settings, spec: SandboxSpec, meanwhile: Callable[[], None]) -> Bubblewrapped:
    """Start a script in bubblewrap. See `starting.start`."""
    with contextlib.ExitStack() as opened:
        try:
            program = locate(settings)
            bound = binds(spec)
            stage = Stage([bind.source for bind in bound])
            if stage.used:
                for folder in (spec.shared, spec.temporary, *(() if spec.folder_is_theirs else (spec.folder,))):
                    give_away(folder)
            kernel.adopt_orphans()
            wires = opened.enter_context(_Wires(spec))
            command = _command(spec, program, bound, stage, wires)
            with stage.entered():
                monitor = spawn(program, command, {}, wires.theirs)
            wires.close_theirs()
        except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
            raise SandboxFailed(f"The sandbox cannot be made: {error}") from error
        return _set_up(settings, spec, wires, monitor, meanwhile)


def rehearse(settings: Settings, spec: SandboxSpec) -> None:
    """Go through what `start` prepares, and start nothing."""
    bound = binds(spec)
    with _Wires(spec) as wires:
        _command(spec, locate(settings), bound, Stage([bind.source for bind in bound]), wires)


def _command(spec: SandboxSpec, program: str, bound: Iterable[Bind], stage: Stage, wires: _Wires) -> list[str]:
    """The arguments of bubblewrap; most of them wait in a file."""
    listed = options(spec, bound, stage.place, _DATA, features(program)) + wires.options
    wires.file(_ARGS, b"".join(os.fsencode(option) + b"\0" for option in listed))
    return ["--args", str(_ARGS), "--", os.path.abspath(spec.program), *spec.arguments]


def _set_up(
    settings: Settings, spec: SandboxSpec, wires: _Wires, monitor: int, meanwhile: Callable[[], None]
) -> Bubblewrapped:
    """Do what is to be done while bubblewrap is at it and then waits, and let it go on."""
    interrupted: BaseException | None = None
    try:
        meanwhile()
    except BaseException as error:  # it is raised when it is known which process is to be ended
        interrupted = error
    deadline = time.monotonic() + SETUP_SECONDS
    try:
        init = _first_process(wires.info, deadline)
        running = Bubblewrapped(spec, wires.pipes, server_url(settings, spec.network, spec.door), monitor, init)
    except OSError as error:
        os.kill(monitor, signal.SIGKILL)
        os.waitpid(monitor, 0)
        said = _messages(wires.pipes.stderr)
        raise interrupted or SandboxFailed(f"The sandbox cannot be made: {said or error}") from error
    wires.keep_pipes()
    try:
        if interrupted is not None:
            raise interrupted
        if spec.door is not None and not spec.network:
            running.open_door(spec.door)  # while bubblewrap is still at it
        if not _hangs_up(wires.ready, deadline):
            raise SandboxFailed("it takes too long")
        running.let_go(wires.gate)
    except BaseException as error:  # a job that is cancelled or takes too long is interrupted anywhere
        running.kill()
        running.wait(SETUP_SECONDS)
        said = _messages(wires.pipes.stderr)
        running.close()
        if error is not interrupted and isinstance(error, OSError | SandboxFailed):
            raise SandboxFailed(f"The sandbox cannot be made: {said or error}") from error
        raise
    return running


class _Wires:
    """The descriptors between us and a bubblewrap that is started; a context manager that closes those not kept."""

    def __init__(self, spec: SandboxSpec) -> None:
        #: Those that bubblewrap gets, by the numbers that it has them under.
        self.theirs: dict[int, int] = {}
        self._ours: list[int] = []
        self._to_keep: list[int] = []
        self.theirs[0] = standard_input(spec.stdin, spec.temporary)
        #: Says which process is the first inside.
        self.info = self._pipe(_INFO, self._ours)
        self.pipes = Pipes(*(self._pipe(number, self._to_keep) for number in (1, 2, CHANNEL)))
        for descriptor in self._to_keep:
            os.set_blocking(descriptor, False)
        #: Whoever reads from it waits until something is written to it.
        self.gate = _both_ends()
        self._ours.append(self.gate)
        self.theirs[_GATE] = os.dup(self.gate)
        #: Hangs up when all is in place.
        ready, last = socket.socketpair()
        ready.shutdown(socket.SHUT_WR)  # what is read from it is empty
        self.ready, self.theirs[_DATA.last] = ready.detach(), last.detach()
        self._ours.append(self.ready)
        self.options = ["--info-fd", str(_INFO), "--block-fd", str(_GATE)]
        self.file(_DATA.passwd, PASSWD.encode())
        self.file(_DATA.group, GROUP.encode())
        if not spec.network:
            self.file(_DATA.hosts, HOSTS.encode())
        program = filter_program()
        if program is not None:
            self.file(_FILTER, program)
            self.options += ["--seccomp", str(_FILTER)]

    def __enter__(self) -> _Wires:
        return self

    def __exit__(self, *_: object) -> None:
        self.close_theirs()
        for descriptor in (*self._ours, *self._to_keep):
            os.close(descriptor)

    def file(self, number: int, content: bytes) -> None:
        """Something to read, which is in memory only."""
        descriptor = self.theirs[number] = os.memfd_create("knossos", os.MFD_CLOEXEC)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        os.lseek(descriptor, 0, os.SEEK_SET)

    def close_theirs(self) -> None:
        while self.theirs:
            os.close(self.theirs.popitem()[1])

    def keep_pipes(self) -> None:
        """The pipes are another's from now on."""
        self._to_keep.clear()

    def _pipe(self, number: int, ours: list[int]) -> int:
        reading, self.theirs[number] = os.pipe()
        ours.append(reading)
        return reading


def _both_ends() -> int:
    """A pipe as one descriptor, to read and to write: who waits at it never sees its end."""
    reading, writing = os.pipe()
    try:
        return os.open(f"/proc/self/fd/{reading}", os.O_RDWR | os.O_CLOEXEC)
    finally:
        os.close(reading)
        os.close(writing)


def _first_process(info: int, deadline: float) -> int:
    """The number of the first process in the sandbox, as we see it.

    Raises:
        ProcessLookupError: bubblewrap ended without one, or is not ready in time.
    """
    text = b""
    waiting = select.poll()
    waiting.register(info, select.POLLIN)
    while b"}" not in text:
        left = deadline - time.monotonic()
        piece = os.read(info, 4096) if left > 0 and waiting.poll(int(left * 1000)) else b""
        if not piece:
            raise ProcessLookupError("bubblewrap started nothing")
        text += piece
    return int(json.loads(text)["child-pid"])


def _hangs_up(descriptor: int, deadline: float) -> bool:
    waiting = select.poll()
    waiting.register(descriptor, 0)
    return bool(waiting.poll(int(max(deadline - time.monotonic(), 0) * 1000)))


def _messages(stderr: int) -> str:
    with contextlib.suppress(BlockingIOError):
        return os.read(stderr, MESSAGE_BYTES).decode(errors="replace").strip()
    return ""


def give_away(folder: Path) -> None:
    """For root: make a folder and all in it that of the user whom scripts run as. It follows no link."""
    os.chown(folder, NOBODY, NOBODY, follow_symlinks=False)
    for _, folders, files, descriptor in os.fwalk(folder):
        for name in (*folders, *files):
            os.chown(name, NOBODY, NOBODY, dir_fd=descriptor, follow_symlinks=False)


def locate(settings: Settings) -> str:
    """The path of bubblewrap.

    Raises:
        SandboxMissing: it is not there.
    """
    found = shutil.which(settings.bubblewrap or "bwrap")
    if found is None:
        if settings.bubblewrap:
            raise SandboxMissing(f"BUBBLEWRAP: {settings.bubblewrap} is not a program that can be run", needed="bwrap")
        raise SandboxMissing(f"Scripts need bubblewrap: {INSTALL}", needed="bwrap")
    return os.path.abspath(found)


@functools.cache
def features(program: str) -> Features:
    """What this bubblewrap can. Asked once a process, and what is forked from it knows.

    Raises:
        SandboxMissing: it is too old, or none.
    """
    try:
        said = subprocess.run([program, "--help"], capture_output=True, timeout=SETUP_SECONDS, env={})
    except (OSError, subprocess.SubprocessError) as error:
        raise SandboxMissing(f"{program} cannot be run: {error}; {INSTALL}", needed="bwrap") from error
    known = set(re.findall(r"^ +(--[a-z-]+)", (said.stdout + said.stderr).decode(errors="replace"), re.MULTILINE))
    if not {"--perms", "--clearenv", "--info-fd", "--block-fd", "--seccomp"} <= known:
        raise SandboxMissing(f"{program} is not bubblewrap 0.5 or newer; {INSTALL}", needed="bwrap")
    return Features("--disable-userns" in known, "--size" in known)


def told(code: int, terminated: bool) -> int:
    """What bubblewrap's exit code says of the program: negative for a signal that ended it.

    Args:
        terminated: whether we have sent SIGTERM.
    """
    number = code - SIGNAL_BASE
    chosen = HARMLESS | (ON_PURPOSE - ({signal.SIGTERM} if terminated else set()))
    is_signal = number in signal.valid_signals() and number < signal.SIGRTMIN and number not in chosen
    return -number if is_signal else code
