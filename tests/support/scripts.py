"""Running a script as the server runs one: the helper on its path, and the pipe of the channel."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from knossos.scripting.channel import ChannelReader, Message
from knossos.scripting.helper_folder import provide

#: Seconds after which a script counts as hanging.
_TIMEOUT = 60
_CANDIDATES = ("2.7", *(f"3.{minor}" for minor in range(6, 15)))


def pythons() -> list[str]:
    """The interpreters that can be had here, by version, each of which has run; at least the running one."""
    found = {f"{sys.version_info[0]}.{sys.version_info[1]}": sys.executable}
    roots = [Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"]
    for version in _CANDIDATES:
        installed = sorted(str(path) for root in roots for path in root.glob(f"{version}.*/bin/python{version}"))
        for program in (*installed, f"python{version}"):
            if version not in found and _runs(program, version):
                found[version] = program
    return [found[version] for version in _CANDIDATES if version in found]


def _runs(program: str, version: str) -> bool:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([program, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.strip() == version


@dataclass(frozen=True)
class Ran:
    """What came of a script."""

    code: int
    stdout: str
    stderr: str
    messages: list[Message]


class ScriptFolder:
    """A working directory with the helper beside it and a folder for shared files."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "work"
        self.work.mkdir()
        self.shared = folder / "shared ü"
        self.shared.mkdir()
        self.helper = provide(folder / "helper")

    def run(self, program: list[str], *, channel: bool = True, readers: bool = True, **environment: str) -> Ran:
        """Run a program to its end.

        Args:
            channel: whether there is a server at all.
            readers: False closes the reading end of the pipe before the program starts.
        """
        clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        clean |= {"PYTHONPATH": str(self.helper), "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"}
        ours, theirs = os.pipe()
        received = bytearray()

        def read() -> None:
            while piece := os.read(ours, 65536):
                received.extend(piece)
            os.close(ours)

        if channel:
            clean |= {"KNOSSOS_FD": str(theirs), "SHARED_DIR": str(self.shared)}
        thread = threading.Thread(target=read)
        if readers:
            thread.start()
        else:
            os.close(ours)
        try:
            done = subprocess.Popen(
                program,
                cwd=self.work,
                env={**clean, **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(theirs,) if channel else (),
            )
        finally:
            os.close(theirs)
        with done:
            try:
                out, err = done.communicate(timeout=_TIMEOUT)
            except BaseException:
                done.kill()
                raise
        if readers:
            thread.join(_TIMEOUT)
        reader = ChannelReader()
        messages = reader.feed(bytes(received)) + reader.close()
        return Ran(done.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"), messages)
