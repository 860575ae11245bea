"""Starting a program with given descriptors under given numbers, and nothing else of ours.

An ordinary user's is spawned (no copy of this process is made). For root, who must not run scripts as root, a copy of
this process first puts all that the program needs below a folder of its own, in a mount namespace of its own, and
then becomes a user that is nobody else: so that what lies in root's closed folders can be given to it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import stat
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from knossos.scripting.sandbox import kernel
from knossos.setting_kinds import MIB

#: Who runs root's scripts: a number beyond those that Debian and systemd give to anybody, yet within 16 bits.
NOBODY = 65532
#: Where what root's scripts need is put, in the namespace of the one program.
STAGE = "/tmp"  # noqa: S108 - covered by a file system of its own
#: Numbers below this are for the program.
_OUT_OF_THE_WAY = 64

_SIGNALS = [number for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP)]


class Stage:
    """Where a program finds files of the host: where they are, or for root on the stage."""

    def __init__(self, sources: Sequence[Path]) -> None:
        self.used = os.geteuid() == 0
        self.sources = list(dict.fromkeys(sources))

    def place(self, source: Path) -> str:
        return f"{STAGE}/{self.sources.index(source)}" if self.used else str(source)

    def set_up(self) -> None:
        """Put the sources on the stage, and become nobody. In a process of its own only."""
        kernel.unshare(kernel.CLONE_NEWNS)
        kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
        # Opened before the stage hides those that are below it.
        opened = [os.open(source, os.O_PATH) for source in self.sources]
        kernel.mount("stage", STAGE, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755")
        for number, descriptor in enumerate(opened):
            target = f"{STAGE}/{number}"
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                os.mkdir(target)
            else:
                os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC))
            kernel.mount(f"/proc/self/fd/{descriptor}", target, None, kernel.MS_BIND | kernel.MS_REC)
            os.close(descriptor)
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def standard_input(file: Path | None, folder: Path) -> int:
    """A descriptor with the contents of a file, or with nothing.

    It is a copy without a name, in ``folder``: whoever has a descriptor to read from can open the file anew by way of
    /proc, to write, where the file's owner may.
    """
    if file is None:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    with open(file, "rb") as source, tempfile.TemporaryFile(dir=folder) as copy:
        shutil.copyfileobj(source, copy, MIB)
        copy.seek(0)
        return _duplicate(copy.fileno())


@contextlib.contextmanager
def its_user() -> Iterator[None]:
    """For root: be, as to whom the process belongs but not as to what it may do, the user that scripts run as.

    The limits of a process are its user's to set, and else only for a root with CAP_SYS_RESOURCE, which a container's
    does not have.
    """
    if os.geteuid() != 0:
        yield
        return
    user, group = os.getuid(), os.getgid()
    try:
        os.setresgid(NOBODY, -1, -1)
        os.setresuid(NOBODY, -1, -1)
        yield
    finally:
        os.setresuid(user, -1, -1)
        os.setresgid(group, -1, -1)


def spawn(
    program: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    descriptors: Mapping[int, int],
    before: Callable[[], None] | None = None,
) -> int:
    """Start a program, and answer its process number.

    Args:
        descriptors: ours by the number that the program has them under.
        before: what the new process does first; it then is a copy of this one, which costs a millisecond or two.

    Raises:
        OSError: it cannot be started.
    """
    _keep_the_rest_to_ourselves()
    # Out of the way first: or the first to be put in its place might hit one that is still to be moved.
    moved = {number: _duplicate(descriptor) for number, descriptor in descriptors.items()}
    try:
        if before is not None:
            return _fork(program, arguments, environment, moved, before)
        return os.posix_spawn(
            program,
            [program, *arguments],
            environment,
            file_actions=[(os.POSIX_SPAWN_DUP2, descriptor, number) for number, descriptor in moved.items()],
            setsigmask=[],
            setsigdef=_SIGNALS,
        )
    finally:
        for descriptor in moved.values():
            os.close(descriptor)


def _duplicate(descriptor: int) -> int:
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)


def _keep_the_rest_to_ourselves() -> None:
    """What whoever started us left open must not reach the program."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one of this listing is closed by now
            if int(name) > 2 and os.get_inheritable(int(name)):
                os.set_inheritable(int(name), False)


def _fork(
    program: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    moved: Mapping[int, int],
    before: Callable[[], None],
) -> int:
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
        failed = _duplicate(failed)  # out of the way as well
        for one in _SIGNALS:
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
