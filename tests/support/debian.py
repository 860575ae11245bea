"""A Debian of its own, with systemd: for what only a whole machine can show.

Its files are made by debootstrap once (``var/machine``); each machine gets a layer over them that is thrown away. It is
started by systemd-nspawn, with a loopback network and nothing else. Needs root; see `MISSING` for the programs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from knossos.errors import MissingDependency
from knossos.settings import ROOT
from tests.support.processes import wait_for

#: The release, and what docs/operating.md expects of a machine, besides Python and git.
SUITE = "bookworm"
PACKAGES = (
    "systemd systemd-sysv dbus python3 python3-venv git ca-certificates curl nginx-light redis-server bubblewrap procps"
)
#: What has to be there to make one: the program, and Debian's package of it.
NEEDED = {"debootstrap": "debootstrap", "systemd-nspawn": "systemd-container", "nsenter": "util-linux", "git": "git"}
#: Seconds that installing, starting and stopping may take.
INSTALL_SECONDS, START_SECONDS, STOP_SECONDS = 900, 60, 60
#: What the host's programs need to reach a package registry, and so does the machine while it is installed.
PASSED_ON = ("PIP_", "SSL_CERT", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "no_proxy")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


class Machine:
    """A Debian in ``root``; `boot` starts it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.leader = 0

    def install(self, command: str) -> None:
        """Run a shell command in its files, with the host's network, before it is started."""
        environment = [f"--setenv={name}" for name in os.environ if name.startswith(PASSED_ON)]
        nspawn = ["systemd-nspawn", "-q", "-D", self.root, "--register=no", "--keep-unit", "--as-pid2", "--pipe"]
        inside = ["bash", "-euc", command]
        subprocess.run([*nspawn, *environment, *inside], check=True, timeout=INSTALL_SECONDS, stdin=subprocess.DEVNULL)

    @contextlib.contextmanager
    def boot(self) -> Iterator[None]:
        """It runs with its own systemd."""
        name = f"--machine=knossos-{os.getpid()}"
        options = ["-q", "--boot", name, "--register=no", "--keep-unit", "--private-network", "--link-journal=no"]
        with (self.root.parent / "console").open("wb") as console:
            nspawn = subprocess.Popen(
                ["systemd-nspawn", "-D", self.root, *options],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_for(lambda: self._found(nspawn), "the machine begins", START_SECONDS)
            wait_for(self._runs, "its systemd says that it runs", START_SECONDS)
            yield
        finally:
            nspawn.send_signal(signal.SIGTERM)
            try:
                nspawn.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                # nspawn alone would leave the machine running: with its first process all others end.
                os.kill(self.leader or nspawn.pid, signal.SIGKILL)
                raise
            finally:
                nspawn.kill()
                nspawn.wait()

    def run(self, command: str, check: bool = True, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a shell command as root in ``/opt/knossos`` of the machine that runs."""
        plain = {"HOME": "/root", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        done = subprocess.run(
            ["nsenter", "-t", str(self.leader), "-a", "bash", "-euc", f"cd /opt/knossos\n{command}"],
            capture_output=True,
            text=True,
            timeout=seconds,
            env=plain | {"LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
        )
        if check:
            assert done.returncode == 0, f"{command}\nended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done

    def _found(self, nspawn: subprocess.Popen[bytes]) -> bool:
        assert nspawn.poll() is None, (self.root.parent / "console").read_text(errors="replace")
        children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children").read_text().split()
        # Until it is what runs there, it is nspawn still.
        for pid in children:
            if "systemd-nspawn" not in Path(f"/proc/{pid}/comm").read_text():
                self.leader = int(pid)
        return self.leader != 0

    def _runs(self) -> bool:
        return self.run("systemctl is-system-running", check=False).stdout.strip() == "running"


@contextlib.contextmanager
def machine(programs: Mapping[str, str] = NEEDED) -> Iterator[Machine]:
    """A machine with a clone of this repository's HEAD in ``/opt/knossos``, not started; removed at the end.

    Raises:
        MissingDependency: something to make it with is not there, or this is not root.
    """
    lacking = [package for program, package in programs.items() if not shutil.which(program)]
    if lacking:
        raise MissingDependency(f"a machine of its own needs packages: apt install {' '.join(lacking)}")
    if os.geteuid() != 0:
        raise MissingDependency("a machine of its own can be made by root only")
    store = ROOT / "var" / "machine"
    files = _files(store)
    with TemporaryDirectory(dir=store, prefix="run-") as made:
        folder = Path(made)
        for name in ("upper", "work", "root"):
            (folder / name).mkdir()
        root = folder / "root"
        layers = f"lowerdir={files},upperdir={folder / 'upper'},workdir={folder / 'work'}"
        subprocess.run(["mount", "-t", "overlay", "-o", layers, "overlay", root], check=True)
        try:
            subprocess.run(["git", "clone", "-q", ROOT, root / "opt" / "knossos"], check=True)
            yield Machine(root)
        finally:
            subprocess.run(["umount", root], check=True)


def _files(store: Path) -> Path:
    """What debootstrap makes, made once."""
    files = store / SUITE
    if not files.is_dir():
        store.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=store, prefix="making-") as made:
            part = Path(made) / "root"
            include = f"--include={','.join(PACKAGES.split())}"
            command = ["debootstrap", "--variant=minbase", include, SUITE, part]
            subprocess.run(command, check=True, timeout=INSTALL_SECONDS, stdout=subprocess.DEVNULL)
            if CERTIFICATES.is_file():
                shutil.copy(CERTIFICATES, part / CERTIFICATES.relative_to("/"))
            part.rename(files)
    return files
