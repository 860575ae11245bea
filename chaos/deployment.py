"""The deployment: two servers, three workers, Redis, PostgreSQL and an S3 server, on two hosts.

The first host has everything but the third worker, which the second host has (conf/two-machines). The mirror and the
homes are shared by both, as a network file system would share them; each worker has a small disk of its own.
"""

from __future__ import annotations

import shutil
import sys
import urllib.request
from pathlib import Path

import psycopg

from chaos import backends, clocks, hosts
from chaos.clocks import Clock
from chaos.hosts import NEAR_ADDRESS, NETWORK
from chaos.namespaces import mount_memory
from chaos.needs import Found
from chaos.storage_door import Door, StorageDoor
from chaos.units import Keeper, Unit, wait_until
from knossos.accounts import Accounts
from knossos.accounts.first_start import prepare
from knossos.database import Database
from knossos.publishing.repository.signature import Signer
from knossos.settings import Settings
from knossos.storage import Storage
from knossos.web import third_party
from tests.support.processes import write_settings

API_PORT, WS_PORT = 8080, 8085
URL, WS_URL = f"http://{NEAR_ADDRESS}:{API_PORT}", f"ws://{NEAR_ADDRESS}:{WS_PORT}"
API_KEY = "key-of-the-chaos"
PASSWORD = "correct horse"
#: The workers, and which of them is on the second host.
WORKERS, FAR_WORKER = ("worker-1", "worker-2", "worker-3"), "worker-3"
#: Bytes of a worker's own disk, and of the mirror's.
DISK_BYTES, MIRROR_BYTES = 128 * 1024**2, 512 * 1024**2
#: The file with which a disk is filled.
FILLER = ".filler"
#: Seconds that all of it may take to start.
START_SECONDS = 60


class Deployment:
    """Everything that runs. ``folder`` is where all of it writes."""

    def __init__(self, folder: Path, found: Found) -> None:
        self.folder = folder
        self.found = found
        self.keeper = Keeper()
        self.clocks: dict[str, Clock] = {}
        self.door = StorageDoor((NEAR_ADDRESS, backends.DOOR_PORT), ("127.0.0.1", backends.S3_PORT))
        self.settings = self._settings(folder / "near", folder / "work" / "near")
        for name in ("logs", "clocks", "settings", "tmp"):
            (folder / name).mkdir()
        self._clock_library = clocks.build(found.compiler, folder / "clocks" / "clock.so")
        mount_memory(folder / "mirror", MIRROR_BYTES)

    def disk(self, worker: str) -> Path:
        """Where a worker's own disk is mounted."""
        return self.folder / "work" / worker

    def temporary(self, name: str) -> Path:
        """TMPDIR of a process."""
        return self.folder / "tmp" / name

    def start(self, people: list[str]) -> None:
        """Start everything, with an account for each of these, and wait until all of it answers."""
        logs = self.folder / "logs"
        keeper = self.keeper
        keeper.start(self._on_clock(backends.redis(self.found.redis, self.folder)))
        keeper.start(backends.seaweed(self.found.weed, self.folder))
        keeper.start(self._on_clock(backends.postgres(self.found.postgres, self.folder)))
        wait_until(self._backends_answer, "Redis, PostgreSQL and the S3 server", START_SECONDS)
        self._prepare(people)
        keeper.start(self._unit("server", "server.py"))
        keeper.start(self._unit("websocket", "websocket_server.py"))
        for worker in WORKERS:
            keeper.start(self._worker(worker))
        wait_until(lambda: self._all_ready(logs), "the servers and the workers", START_SECONDS)

    def _backends_answer(self) -> bool:
        ports = ((backends.REDIS_PORT, NEAR_ADDRESS), (backends.S3_PORT, "127.0.0.1"))
        if not all(backends.answers(port, host) for port, host in ports) or not backends.storage_takes_files():
            return False
        address = f"postgresql://postgres@{NEAR_ADDRESS}:{backends.POSTGRES_PORT}/postgres"
        try:
            with psycopg.connect(address, autocommit=True, connect_timeout=5) as connection:
                connection.execute(f"CREATE DATABASE {backends.DATABASE_NAME}")
        except psycopg.errors.DuplicateDatabase:
            return True
        except psycopg.OperationalError:
            return False
        return True

    def _prepare(self, people: list[str]) -> None:
        third_party.install()
        # The bucket comes with its first object.
        Storage(self.settings).put_bytes("made", b"made")
        database = Database(self.settings)
        prepare(self.settings, database)
        for name in people:
            Accounts(database).add(name, PASSWORD)
        Signer.of(self.settings)  # makes the key that both hosts sign with
        database.close()

    def _all_ready(self, logs: Path) -> bool:
        said = [(logs / f"{worker}.log").read_text(errors="replace") for worker in WORKERS]
        if not all("waits for tasks" in text for text in said):
            return False
        try:
            for url in (f"{URL}/ready", f"http://{NEAR_ADDRESS}:{WS_PORT}/ready"):
                with urllib.request.urlopen(url, timeout=10):
                    pass
        except OSError:
            return False
        return True

    def _settings(self, data: Path, work: Path) -> Settings:
        return Settings(
            data_path=data,
            work_path=work,
            mirror_path=self.folder / "mirror",
            homes_path=self.folder / "homes",
            public_url=URL,
            redis=backends.REDIS_URL,
            database=backends.DATABASE_URL,
            storage=f"s3://{backends.BUCKET}/site",
            storage_options={
                "endpoint": f"http://{NEAR_ADDRESS}:{backends.DOOR_PORT}",
                "region": "us-east-1",
                "access_key_id": backends.ACCESS_KEY,
                "secret_access_key": backends.SECRET_KEY,
                "allow_http": "true",
            },
            api_listen=(NEAR_ADDRESS, API_PORT),
            ws_listen=(NEAR_ADDRESS, WS_PORT),
            ws_url=WS_URL,
            api_keys=(API_KEY,),
            secret_key="the same on both machines of the chaos",
            admin_password=PASSWORD,
            allowed_private_networks=(NETWORK,),
            command="sh",
            args=("-s",),
            max_running=4,
            script_owner_concurrency=2,
            script_callback=URL,
        )

    def _worker(self, name: str) -> Unit:
        mount_memory(self.disk(name), DISK_BYTES)
        if name != FAR_WORKER:
            return self._unit(name, "worker.py", self._settings(self.folder / "near", self.disk(name)))
        far = self.folder / "far"
        far.mkdir()
        for secret in (self.folder / "near").glob("*_key"):
            shutil.copy2(secret, far)
        unit = self._unit(name, "worker.py", self._settings(far, self.disk(name)))
        unit.command = hosts.there(unit.command)
        return unit

    def _unit(self, name: str, program: str, settings: Settings | None = None) -> Unit:
        file = write_settings(self.folder / "settings" / f"{name}.py", settings or self.settings)
        temporary = self.temporary(name)
        temporary.mkdir()
        environment = {"KNOSSOS_SETTINGS": str(file), "TMPDIR": str(temporary)}
        return self._on_clock(Unit(name, [sys.executable, program], self.folder / "logs" / f"{name}.log", environment))

    def _on_clock(self, unit: Unit) -> Unit:
        """The unit with a clock of its own."""
        self.clocks[unit.name] = clock = Clock(self.folder / "clocks" / unit.name, self._clock_library)
        unit.environment = {**unit.environment, **clock.environment()}
        return unit

    def heal(self) -> None:
        """Undo every fault that lasts."""
        self.door.state = Door.OPEN
        for clock in self.clocks.values():
            clock.set(0)
        for disk in (*(self.disk(worker) for worker in WORKERS), self.folder / "mirror"):
            (disk / FILLER).unlink(missing_ok=True)
        hosts.plug()
