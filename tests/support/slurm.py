"""A real Slurm on one machine, as its own controller and its one node, without systemd, for tests; with
accounting, where that is asked for: its own daemon over a MariaDB that is this test's."""

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
{accounting}
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

NO_ACCOUNTING = "AccountingStorageType=accounting_storage/none"
ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={}
AccountingStoragePass={}/munge.socket"""
DBD_CONFIGURATION = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
PidFile={folder}/slurmdbd.pid
LogFile={folder}/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser=slurm
StoragePass=secret
StorageLoc=slurm
"""
ACCOUNTING_PROGRAMS = ("slurmdbd", "sacct", "sacctmgr", "mariadbd", "mariadb-install-db", "mariadb")


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}


def missing(accounting: bool = False) -> list[str]:
    """What of it is not installed."""
    wanted = PROGRAMS + (ACCOUNTING_PROGRAMS if accounting else ())
    return [program for program in wanted if not shutil.which(program, path=_environment()["PATH"])]


class Slurm:
    """Put ``configuration`` into SLURM_CONF of whoever speaks to it."""

    def __init__(self, folder: Path, accounting: bool = False) -> None:
        self.folder = folder
        self._accounting = accounting
        self.configuration = folder / "slurm.conf"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        host = socket.gethostname().partition(".")[0]
        ports = {"controller_port": free_port(), "node_port": free_port()}
        port = free_port()
        accounting = ACCOUNTING.format(port, self.folder) if self._accounting else NO_ACCOUNTING
        text = CONFIGURATION.format(host=host, folder=self.folder, accounting=accounting, **ports)
        self.configuration.write_text(text)
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        # --force: the folders of tests are for their user alone.
        munge = [f"--{option}={self.folder}/munge.{name}" for option, name in files.items()]
        self._run("munged", "--foreground", "--force", *munge)
        wait_for((self.folder / "munge.socket").exists, "munged")
        if self._accounting:
            self._start_accounting(port)
        self.start_controller()
        self._run("slurmd", "-D", "-f", str(self.configuration))
        wait_for(lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%T"), "the node")

    def _start_accounting(self, port: int) -> None:
        data, database_port = self.folder / "mariadb", free_port()
        install = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--user=root", "--skip-test-db"]
        subprocess.run(
            [*install, "--auth-root-authentication-method=normal"], check=True, capture_output=True, timeout=120
        )
        socket_file = self.folder / "mariadb.socket"
        where = [f"--datadir={data}", f"--socket={socket_file}", f"--port={database_port}", "--bind-address=127.0.0.1"]
        self._run("mariadbd", "--no-defaults", "--user=root", "--skip-name-resolve", *where)
        client = ["mariadb", "--no-defaults", f"--socket={socket_file}", "--user=root"]
        wait_for(lambda: "1" in self.ask(*client, "--execute=SELECT 1"), "MariaDB")
        self.ask(
            *client,
            "--execute=CREATE USER slurm@127.0.0.1 IDENTIFIED BY 'secret'; GRANT ALL ON slurm.* TO slurm@127.0.0.1",
        )
        settings = self.folder / "slurmdbd.conf"
        settings.write_text(DBD_CONFIGURATION.format(folder=self.folder, port=port, database_port=database_port))
        settings.chmod(0o600)
        self._run("slurmdbd", "-D")
        wait_for(self._knows_the_cluster, "the accounting")

    def _knows_the_cluster(self) -> bool:
        self.ask("sacctmgr", "--immediate", "add", "cluster", "tests")
        return "tests" in self.ask("sacctmgr", "--noheader", "show", "cluster", "format=cluster")

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
                env={**_environment(), "SLURM_CONF": str(self.configuration)},
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
