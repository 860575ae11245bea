"""Do what a page of the docs says, in a machine of one's own: ``python -m tests.support.run_tutorial PAGE CLONE``.

To be started by `tests.support.machine`: nothing else may run in this namespace. Each step is typed into a real
terminal (a pseudo-terminal), so that programs write what a reader would see. Ends with 1 and says which step went
wrong; all that was typed and seen goes to standard output.
"""

from __future__ import annotations

import fcntl
import os
import pty
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

from tests.support import tutorial
from tests.support.tutorial import Step

#: Seconds that a step may take, and that what runs in the first terminal has to stop; for hanging only.
STEP_SECONDS, STOP_SECONDS = 240, 120
#: Of a terminal.
ROWS, COLUMNS = 60, 200


class WentWrong(Exception):
    """A step did not do what the page says."""


class Terminal:
    """A program in a terminal, and what it has written there."""

    def __init__(self, command: list[str], clone: Path, environment: dict[str, str], stdin: int | None = None) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        attributes = termios.tcgetattr(slave)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, attributes)

        def own_terminal() -> None:
            os.setsid()
            fcntl.ioctl(1, termios.TIOCSCTTY, 0)

        self.popen = subprocess.Popen(
            command,
            cwd=clone,
            env=environment,
            stdin=slave if stdin is None else stdin,
            stdout=slave,
            stderr=slave,
            preexec_fn=own_terminal,
        )
        os.close(slave)
        self._seen = bytearray()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def seen(self) -> str:
        return self._seen.decode(errors="replace")

    def interrupt(self) -> None:
        """Ctrl-C."""
        os.write(self._master, b"\x03")

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # what ran there has ended
                return
            if not data:
                return
            self._seen += data


class Reader:
    """Somebody who follows a page, with two terminals."""

    def __init__(self, clone: Path, environment: dict[str, str]) -> None:
        self._clone, self._environment = clone, environment
        self._first: Terminal | None = None
        self._file = clone.parent / "typed.sh"
        read, self._typing = os.pipe()
        self._second = Terminal(["bash", "--noprofile", "--norc"], clone, environment, stdin=read)
        os.close(read)
        self._count = 0

    def do(self, step: Step) -> None:
        """Raise WentWrong unless the step does what the page says."""
        print("".join(f"$ {line}\n" for line in step.commands.splitlines()), end="", flush=True)
        seen = self._in_first(step) if step.in_first else self._in_second(step)
        print(seen.replace("\r\n", "\n"), flush=True)

    def stop(self) -> None:
        """Ctrl-C in the first terminal."""
        terminal, self._first = self._first, None
        if terminal is None or terminal.popen.poll() is not None:
            return
        terminal.interrupt()
        try:
            code = terminal.popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise WentWrong(f"Ctrl-C did not end what ran:\n{terminal.seen}") from None
        if code not in (0, 130):
            raise WentWrong(f"what ran in the first terminal ended with code {code}:\n{terminal.seen}")

    def _in_first(self, step: Step) -> str:
        self.stop()
        self._first = terminal = Terminal(["bash", "-c", step.commands], self._clone, self._environment)
        if step.expected is None and "launch.sh" not in step.commands:
            if code := terminal.popen.wait(STEP_SECONDS):
                raise WentWrong(f"it ended with code {code} after\n{terminal.seen}")
            return terminal.seen
        expected = step.expected or "Knossos is ready: ..."
        deadline = time.monotonic() + STEP_SECONDS
        while not tutorial.fits_so_far(expected, terminal.seen):
            if terminal.popen.poll() is not None or time.monotonic() > deadline:
                raise WentWrong(f"expected to see\n{expected}\nbut saw\n{terminal.seen}")
            time.sleep(0.1)
        return terminal.seen

    def _in_second(self, step: Step) -> str:
        self._count += 1
        before, mark = len(self._second.seen), f"--- step {self._count} has ended with "
        self._file.write_text(f"failed=0; trap 'failed=$?' ERR\n{step.commands}\ntrap - ERR\n")
        typed = f"source {self._file} </dev/null; printf '\\n{mark}%s.\\n' $failed\n"
        os.write(self._typing, typed.encode())
        deadline = time.monotonic() + STEP_SECONDS
        while mark not in (seen := self._second.seen[before:]) or not seen.rstrip().endswith("."):
            if self._second.popen.poll() is not None or time.monotonic() > deadline:
                raise WentWrong(f"it did not end, and wrote\n{seen}")
            time.sleep(0.05)
        seen, _, code = seen.rpartition(mark)
        if step.expected is not None and not tutorial.fits(step.expected, seen):
            raise WentWrong(f"expected to see\n{step.expected}\nbut saw\n{seen}")
        if code.strip() != "0.":
            raise WentWrong(f"a command ended with code {code.strip()} after\n{seen}")
        return seen


def follow(page: Path, clone: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(clone.parent / "home"),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
    }
    Path(environment["HOME"]).mkdir(exist_ok=True)
    reader = Reader(clone, environment)
    for step in tutorial.steps(page.read_text("utf-8")):
        try:
            reader.do(step)
        except WentWrong as error:
            first = reader._first.seen if reader._first else ""
            raise SystemExit(f"{page.name}, line {step.line}: {error}\n--- first terminal:\n{first}") from error
    reader.stop()


def open_loopback() -> None:
    """A new network namespace has its loopback, but not switched on."""
    up, set_flags = 0x1, 0x8914  # IFF_UP, SIOCSIFFLAGS
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sh", b"lo", up))


if __name__ == "__main__":
    open_loopback()
    follow(Path(sys.argv[1]), Path(sys.argv[2]))
