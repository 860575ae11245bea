"""The operator's scripts for a batch system: ``startcalc``, ``getstatus`` and ``cancelcalc``, each with a directory.

The one place that calls them: as argument lists, with a time limit, without a terminal (whatever asks for a password
gets no answer), and with a bound on what is read of them. `BatchFailed` says what a script did wrong; it holds the end
of what the script said, for people.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from knossos.errors import KnossosError
from knossos.scripting.calculations.states import plain, read_job
from knossos.scripting.first_line import what_is_wrong
from knossos.settings import ROOT, Settings
from knossos.settings_file import child_environment

#: The file in a calculation's directory that keeps the batch system's id of the job.
JOB_FILE = "job"
#: Beside it, there once startcalc was called: it may have submitted something and been ended before it could say so.
STARTED_FILE = ".startcalc"
#: Bytes of a script's output that are read; the rest is thrown away.
MAX_OUTPUT_BYTES = 64 * 1024
#: How ``startcalc`` ends where the batch system does not answer for the moment: EX_TEMPFAIL of sysexits.h.
LATER_CODE = 75
#: Characters of its end that an error repeats.
TAIL_CHARS = 500
#: Seconds for which output is read of a script that has ended, when something it started holds its pipes.
DRAIN_SECONDS = 0.5
#: Seconds between two looks whether a script must end.
LOOK_SECONDS = 0.25

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class BatchFailed(KnossosError):
    """A script of the operator's did not do what it is there for. ``script`` is its name."""

    code = "batch_failed"


class BatchAway(BatchFailed):
    """The batch system does not answer for the moment: call again later."""

    code = "batch_away"


@dataclass(frozen=True)
class BatchScripts:
    """The operator's scripts. ``check`` is called while one runs, and raises where it must end."""

    startcalc: Path
    getstatus: Path
    #: None: there is none, and what was submitted goes on when it is cancelled here.
    cancelcalc: Path | None
    seconds: float

    @classmethod
    def of(cls, settings: Settings) -> BatchScripts | None:
        """None where calculations are not handed to a batch system."""
        if not settings.calculation_startcalc:
            return None
        cancelcalc = settings.calculation_cancelcalc
        return cls(
            startcalc=ROOT / settings.calculation_startcalc,
            getstatus=ROOT / settings.calculation_getstatus,
            cancelcalc=ROOT / cancelcalc if cancelcalc else None,
            seconds=settings.calculation_call_seconds,
        )

    def start(self, directory: Path, check: Callable[[], None] = lambda: None) -> str:
        """Submit the calculation in a directory, unless that was done, and answer the job's id.

        A script whose worker was lost is called again for the same directory, whose name is the calculation's alone.

        Raises:
            BatchAway: the batch system does not answer; call again later.
            BatchFailed: it does not take it, or the script does not do what it is for.
        """
        if job := kept_job(directory):
            return job
        (directory / STARTED_FILE).touch()
        output = _call(self.startcalc, directory, self.seconds, check)
        # The script may keep the id itself, and print more than that.
        job = kept_job(directory) or read_job(output)
        if not job:
            raise BatchFailed(
                f"startcalc did not say the job's id; expected it on its output{_said(output)}", script="startcalc"
            )
        unfinished = directory / f".{JOB_FILE}"
        unfinished.write_text(f"{job}\n", "utf-8")
        unfinished.replace(directory / JOB_FILE)
        return job

    def status(self, directory: Path, check: Callable[[], None] = lambda: None) -> str:
        """What ``getstatus`` prints. Raises BatchFailed."""
        return _call(self.getstatus, directory, self.seconds, check)

    def cancel(self, directory: Path) -> None:
        """End the job that was submitted from a directory, where one was or may have been. Raises BatchFailed."""
        if self.cancelcalc is not None and os.path.lexists(directory / STARTED_FILE):
            _call(self.cancelcalc, directory, self.seconds, lambda: None)


def batch_scripts(settings: Settings) -> list[Path]:
    """The operator's scripts that are set."""
    named = (settings.calculation_startcalc, settings.calculation_getstatus, settings.calculation_cancelcalc)
    return [ROOT / one for one in named if one]


def kept_job(directory: Path) -> str:
    """What the file ``job`` says; "" where it says nothing."""
    return read_job(read_start(directory / JOB_FILE, MAX_OUTPUT_BYTES).decode("utf-8", "replace"))


def read_start(path: Path, most: int, start: int = 0) -> bytes:
    """The bytes of a regular file that a program may have made; b"" where it is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    with contextlib.suppress(OSError), os.fdopen(descriptor, "rb") as file:
        file.seek(start)
        return file.read(most)
    return b""


def _call(script: Path, directory: Path, seconds: float, check: Callable[[], None]) -> str:
    """Run a script to its end, and answer its standard output."""
    name = script.name
    try:
        process = subprocess.Popen(
            [str(script), str(directory)],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
            # A session of its own has no terminal on which something could ask for a password.
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
    except OSError as error:
        raise BatchFailed(f"{name} cannot be run: {_why_not(script, error)}", script=name) from error
    try:
        output, errors = _read(process, seconds, check)
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    if process.returncode == -signal.SIGKILL:
        raise BatchFailed(
            f"{name} did not end within {seconds:g} seconds; perhaps the batch system does not answer, "
            f"or it asks for a password{_said(errors or output)}",
            script=name,
        )
    if process.returncode == LATER_CODE:
        raise BatchAway(f"{name} says that the batch system does not answer{_said(errors or output)}", script=name)
    if process.returncode:
        raise BatchFailed(f"{name} ended with exit code {process.returncode}{_said(errors or output)}", script=name)
    return output


def _read(process: subprocess.Popen[bytes], seconds: float, check: Callable[[], None]) -> tuple[str, str]:
    """Standard output and standard error, as far as they are read, until the script has ended or its time is over."""
    assert process.stdout is not None
    assert process.stderr is not None
    kept = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    deadline = time.monotonic() + seconds
    drain_until: float | None = None
    with selectors.DefaultSelector() as selector:
        for descriptor in kept:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            now = time.monotonic()
            if now > deadline or (drain_until is not None and now > drain_until):
                break
            for key, _ in selector.select(LOOK_SECONDS if drain_until is None else 0.05):
                data = os.read(key.fd, MAX_OUTPUT_BYTES)
                if not data:
                    selector.unregister(key.fd)
                kept[key.fd] += data[: MAX_OUTPUT_BYTES - len(kept[key.fd])]
            if drain_until is None and process.poll() is not None:
                drain_until = time.monotonic() + DRAIN_SECONDS
            check()
    # Both pipes are closed, which is not yet the end.
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, deadline - time.monotonic()))
    output, errors = (data.decode("utf-8", "replace") for data in kept.values())
    return output, errors


def _why_not(script: Path, error: OSError) -> str:
    """Why a script cannot be run, where the system's words lead astray."""
    if error.errno == errno.ENOEXEC:
        return "expected a first line such as #!/bin/sh"
    return what_is_wrong(script) or error.strerror or str(error)


def _environment() -> dict[str, str]:
    """The worker's own, without what is secret in it or opens a window that asks for a password."""
    hidden = ("KNOSSOS_ADMIN_PASSWORD", "REDIS", "SSH_ASKPASS", "SUDO_ASKPASS", "DISPLAY", "WAYLAND_DISPLAY")
    return child_environment(**dict.fromkeys(hidden, ""))


def _end_with_parent() -> None:
    """In the child: end when the worker's process does, which may be killed."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _said(text: str) -> str:
    """What a script said last, as the end of a sentence."""
    said = plain(text)[-TAIL_CHARS:]
    return f": {said}" if said else ""
