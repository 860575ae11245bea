"""Starting a program with given descriptors under given numbers, and nothing else of ours.

It is spawned: no copy of this process is made, which would take the longer the larger we are. For root, who must not
run scripts as root, this process first puts all that the program needs below a folder of its own, in a mount namespace
of its own, is nobody else in name, and comes back from both once the program is started: so that what lies in root's
closed folders can be given to it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from knossos.scripting.sandbox import kernel
from knossos.setting_kinds import MIB

#: Who runs root's scripts: a number beyond those that Debian and systemd give to anybody, yet within 16 bits.
NOBODY = 65532
#: Where what root's scripts need is put, in the namespace of the one program.
STAGE = "/tmp"  # noqa: S108 - covered by a file system of its own
#: Numbers below this are for the program.
_OUT_OF_THE_WAY = 64

#: All that can be caught.
SIGNALS = [number for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP)]


class Stage:
    """Where a program finds files of the host: where they are, or for root on the stage."""

    def __init__(self, sources: Sequence[Path]) -> None:
        self.used = os.geteuid() == 0
        self.sources = list(dict.fromkeys(sources))

    def place(self, source: Path) -> str:
        return f"{STAGE}/{self.sources.index(source)}" if self.used else str(source)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """For root: have the sources on the stage, and what is spawned be nobody's. For others: nothing.

        No signal is taken in between: a job that is interrupted there must find itself where it was.
        """
        if not self.used:
            yield
            return
        with undisturbed(), _own_mounts(), contextlib.ExitStack() as opened:
            # Opened before the stage hides those that are below it.
            found = [_opened(source, opened) for source in self.sources]
            kernel.mount("stage", STAGE, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755")
            for number, descriptor in enumerate(found):
                target = f"{STAGE}/{number}"
                if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                    os.mkdir(target)
                else:
                    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC))
                kernel.mount(f"/proc/self/fd/{descriptor}", target, None, kernel.MS_BIND | kernel.MS_REC)
            groups = os.getgroups()
            os.setgroups([])
            kernel.clear_ambient()
            try:
                with its_user():
                    yield
            finally:
                os.setgroups(groups)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Signals wait until this is over."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _own_mounts() -> Iterator[None]:
    """For root: have mounts of one's own, which nobody else sees, and leave them."""
    with contextlib.ExitStack() as opened:
        mounts = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        opened.callback(os.close, mounts)
        root, here = (_opened(path, opened) for path in ("/", "."))
        kernel.unshare(kernel.CLONE_NEWNS)
        try:
            kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
            yield
        finally:
            # One comes back to the root of the machine, which need not be ours.
            kernel.setns(mounts, kernel.CLONE_NEWNS)
            os.fchdir(root)
            os.chroot(".")
            os.fchdir(here)


def _opened(path: Path | str, opened: contextlib.ExitStack) -> int:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    opened.callback(os.close, descriptor)
    return descriptor


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
        return out_of_the_way(copy.fileno())


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
) -> int:
    """Start a program, and answer its process number.

    Args:
        descriptors: ours by the number that the program has them under.

    Raises:
        OSError: it cannot be started.
    """
    with moved_away(descriptors) as moved:
        return os.posix_spawn(
            program,
            [program, *arguments],
            environment,
            file_actions=[(os.POSIX_SPAWN_DUP2, descriptor, number) for number, descriptor in moved.items()],
            setsigmask=[],
            setsigdef=SIGNALS,
            # Whoever is another in name only (`its_user`) starts what is that other one.
            resetids=True,
        )


@contextlib.contextmanager
def moved_away(descriptors: Mapping[int, int]) -> Iterator[dict[int, int]]:
    """Copies of descriptors that are in nobody's way, and nothing else that a program would get.

    Out of the way: or the first to be put in its place might hit one that is still to be moved.
    """
    _keep_the_rest_to_ourselves()
    moved: dict[int, int] = {}
    try:
        for number, descriptor in descriptors.items():
            moved[number] = out_of_the_way(descriptor)
        yield moved
    finally:
        for descriptor in moved.values():
            os.close(descriptor)


def out_of_the_way(descriptor: int) -> int:
    """A copy of a descriptor whose number no program expects."""
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)


def _keep_the_rest_to_ourselves() -> None:
    """What whoever started us left open must not reach the program."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one of this listing is closed by now
            if int(name) > 2 and os.get_inheritable(int(name)):
                os.set_inheritable(int(name), False)
