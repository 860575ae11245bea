"""A real Slurm on one machine, as its own controller and its one node, without systemd, for tests of batch systems."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from tests.support.processes import wait_for
from tests.support.redis_server import free_port

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
CONFIGURATION = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
TaskPlugin=task/none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
MessageTimeout=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
NodeName={host} NodeAddr=127.0.0.1 CPUs=1 State=UNKNOWN
PartitionName=tests Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}


def missing() -> list[str]:
    """What of it is not installed."""
    return [program for program in PROGRAMS if not shutil.which(program, path=_environment()["PATH"])]


class Slurm:
    """Put ``configuration`` into SLURM_CONF of whoever speaks to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.configuration = folder / "slurm.conf"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        host = socket.gethostname().partition(".")[0]
        ports = {"controller_port": free_port(), "node_port": free_port()}
        self.configuration.write_text(CONFIGURATION.format(host=host, folder=self.folder, **ports))
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        # --force: the folders of tests are for their user alone.
        munge = [f"--{option}={self.folder}/munge.{name}" for option, name in files.items()]
        self._run("munged", "--foreground", "--force", *munge)
        wait_for((self.folder / "munge.socket").exists, "munged")
        self.start_controller()
        self._run("slurmd", "-D", "-f", str(self.configuration))
        wait_for(lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%T"), "the node")

    def start_controller(self) -> None:
        self._run("slurmctld", "-D", "-f", str(self.configuration))
        wait_for(lambda: "UP" in self.ask("scontrol", "ping"), "the controller")

    def stop_controller(self) -> None:
        self._stop("slurmctld")

    def ask(self, *command: str) -> str:
        """What a command of Slurm's prints; "" where it fails."""
        environment = {**_environment(), "SLURM_CONF": str(self.configuration)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60).stdout

    def stop(self) -> None:
        for name in reversed(list(self._processes)):
            self._stop(name)

    def _run(self, program: str, *arguments: str) -> None:
        with open(self.folder / f"{program}.out", "ab") as log:
            self._processes[program] = subprocess.Popen(
                [program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
                start_new_session=True,
            )

    def _stop(self, name: str) -> None:
        process = self._processes.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)
