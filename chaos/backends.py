"""Redis, PostgreSQL and an S3 server, each as the unit that runs it; all of them on the first host."""

from __future__ import annotations

import json
import os
import pwd
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from chaos.hosts import NEAR_ADDRESS
from chaos.units import Unit

REDIS_PORT, POSTGRES_PORT, DOOR_PORT, S3_PORT = 6379, 5432, 8333, 8334
REDIS_URL = f"redis://{NEAR_ADDRESS}:{REDIS_PORT}/0"
DATABASE_NAME = "knossos"
DATABASE_URL = f"postgresql+psycopg://postgres@{NEAR_ADDRESS}:{POSTGRES_PORT}/{DATABASE_NAME}"
ACCESS_KEY, SECRET_KEY = "key-of-the-chaos", "secret-of-the-chaos"
BUCKET = "knossos"


def redis(program: str, folder: Path) -> Unit:
    """Redis with its append-only file, as the documentation wants it."""
    home = folder / "redis"
    home.mkdir()
    options = {
        "port": REDIS_PORT,
        "bind": NEAR_ADDRESS,
        "dir": home,
        "save": "",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "protected-mode": "no",
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    return Unit("redis", [program, *arguments], folder / "redis.log")


def postgres(programs: str, folder: Path) -> Unit:
    """A new PostgreSQL, as the user ``postgres``, since it refuses to run as root."""
    account = pwd.getpwnam("postgres")
    home = folder / "postgres"
    home.mkdir()
    os.chown(home, account.pw_uid, account.pw_gid)
    user: dict[str, Any] = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    made = subprocess.run(
        [
            f"{programs}/initdb",
            "-D",
            str(home / "data"),
            "-A",
            "trust",
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale",
            "C",
        ],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
        **user,
    )
    if made.returncode:
        raise RuntimeError(f"initdb: {made.stderr}")
    with (home / "data" / "pg_hba.conf").open("a") as rules:
        rules.write("host all all 10.77.0.0/24 trust\n")
    options = {
        "listen_addresses": NEAR_ADDRESS,
        "port": POSTGRES_PORT,
        "unix_socket_directories": "",
        "shared_buffers": "32MB",
        "max_connections": 200,
        # A cable that was pulled is noticed as it would be on a machine set up for several hosts.
        "tcp_keepalives_idle": 10,
        "tcp_keepalives_interval": 3,
        "tcp_keepalives_count": 3,
    }
    arguments = [f"--{name}={value}" for name, value in options.items()]
    return Unit(
        "postgres",
        [f"{programs}/postgres", "-D", str(home / "data"), *arguments],
        folder / "postgres.log",
        cwd=Path("/"),
        stop_signal=signal.SIGINT,
        user=user,
    )


def seaweed(program: str, folder: Path) -> Unit:
    """An S3 server behind `storage_door.py`, which is where everybody else finds it."""
    home = folder / "s3"
    (home / "data").mkdir(parents=True)
    identity = {
        "name": "chaos",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    (home / "s3.json").write_text(json.dumps({"identities": [identity]}))
    options: dict[str, Any] = {
        "dir": home / "data",
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "filer": "true",
        "filer.localSocket": home / "filer.sock",
        "s3": "true",
        "s3.port": S3_PORT,
        "s3.config": home / "s3.json",
        "s3.localSocket": home / "s3.sock",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.iam": "false",
        "iam": "false",
        "master.telemetry": "false",
        # Once it was killed, it elects itself again first: by itself that takes it up to 20 seconds.
        "master.electionTimeout": "1s",
        "master.volumeSizeLimitMB": 64,
        "volume.max": 100,
        "volume.preStopSeconds": 0,
    }
    arguments = [f"-{name}={value}" for name, value in options.items()]
    return Unit("s3", [program, "-logtostderr=true", "server", *arguments], folder / "s3.log", cwd=home)


def answers(port: int, host: str = NEAR_ADDRESS) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True


def storage_takes_files() -> bool:
    """Whether the S3 server has a place for a file already: what is written earlier waits for a minute."""
    try:
        with urllib.request.urlopen("http://127.0.0.1:9333/dir/assign", timeout=5) as answer:
            return "fid" in json.load(answer)
    except (OSError, ValueError):
        return False
