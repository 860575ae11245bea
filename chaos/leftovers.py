"""What was for the time being, and is still there: files, processes, slots and locks.

Each function answers a list of lines, one for each thing that is left. They look at a deployment that has come to rest:
nothing waits and nothing runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import cast

import redis
from sqlalchemy import text

from chaos.deployment import FILLER, WORKERS, Deployment
from chaos.scripts import MARKS
from chaos.units import program_of, programs, state_of
from knossos.database import Database
from knossos.jobs import keys
from knossos.storage import Storage

#: Ends of the names of files that are being written; those that Python or we have named begin with "tmp" or a dot.
UNFINISHED = (".new", ".part", ".tmp", ".partial")
#: Programs that run inside of a job only, and the names of the files that they are, such as "dash" of "sh".
JOB_PROGRAMS = programs("bwrap", "7zz", "7z", "7za", "sh", "seq", "sleep")


def of_files(deployment: Deployment) -> list[str]:
    """Workspaces, and files that only something that is at work needs."""
    found = []
    for worker in WORKERS:
        found += [f"workspace: {path}" for path in deployment.disk(worker).iterdir()]
    for folder in sorted(deployment.temporary("").iterdir()):
        found += [f"temporary file: {path}" for path in folder.iterdir()]
    for name in ("near", "far", "mirror", "homes"):
        found += [f"unfinished file: {path}" for path in _unfinished(deployment.folder / name)]
    return found + of_homes(deployment.folder / "homes")


def of_homes(homes: Path) -> list[str]:
    """Files in homes that no script has put there."""
    paths = (path for path in homes.rglob("*") if path.is_file())
    return [f"file in a home: {path}" for path in paths if path.parent.name != MARKS and not _is_unfinished(path.name)]


def of_mirror(root: Path, known: Collection[str]) -> list[str]:
    """Archives that no result has; what was known lies below the root at these paths."""
    paths = (path for path in sorted(root.rglob("*")) if path.is_file() and path.name != FILLER)
    return [f"archive of no result: {path}" for path in paths if str(path.relative_to(root)) not in known]


def of_machine(temporary: Sequence[Path] = (Path("/tmp"), Path("/dev/shm"))) -> list[str]:
    """Files in the folders of the machine itself, which everybody may write to and nobody here has to."""
    found = (path for folder in temporary for path in sorted(folder.iterdir()))
    return [f"file in a folder of everybody's: {path}" for path in found if path.is_file() and not _is_backends(path)]


def _is_backends(path: Path) -> bool:
    """Whether Redis, PostgreSQL or the S3 server have it there while they run."""
    return path.name.startswith(("PostgreSQL.", "seaweedfs-"))


def _unfinished(root: Path) -> Iterator[Path]:
    for path in root.rglob("*"):
        if not path.is_file() or path.name == FILLER:
            continue
        inside = path.relative_to(root).parts
        if _is_unfinished(path.name) or ".incoming" in inside or inside[0] in ("uploads", "work", "incoming"):
            yield path


def _is_unfinished(name: str) -> bool:
    return name.endswith(UNFINISHED) or name.startswith(("tmp", "."))


def of_storage(storage: Storage, database: Database) -> list[str]:
    """Parts of uploads that are finished, or that nobody knows of."""
    with database.reading() as session:
        uploads = {row[0] for row in session.execute(text("SELECT key FROM uploads"))}
    found = [f"upload that was never finished: {key}" for key in sorted(uploads)]
    for key, size, _ in storage.list_keys("uploads"):
        if not any(upload in key for upload in uploads):
            found.append(f"part of an upload that is over: {key}, {size} bytes")
    return found


def of_redis(client: redis.Redis) -> list[str]:
    """Slots of limits, lines that wait, jobs that count as being worked on, and locks."""
    found = []
    for name in (keys.SLOTS, keys.LINES):
        if client.exists(name):
            found.append(f"Redis: {name} is not empty")
    for key in sorted(cast("list[bytes]", list(client.scan_iter(count=1000)))):
        name = key.decode(errors="replace")
        if name.startswith((keys.limit(""), keys.waiting(""), keys.line(""), keys.place(""), keys.limit_lines(""))):
            found.append(f"Redis: {name}")
        elif name.startswith("rq:wip:") and client.type(key) == b"zset":
            found.append(f"Redis: {name} holds {client.zcard(key)} executions")
        elif name.startswith("rq:queue:") and client.type(key) == b"list":
            found.append(f"Redis: {name} holds {client.llen(key)} jobs")
        elif name.startswith("knossos:") and "lock" in name and client.ttl(key) == -1:
            found.append(f"Redis: the lock {name} is for ever")
    return found


def of_database(database: Database) -> list[str]:
    """Transactions that nobody ends, and locks that outlive whoever took them."""
    questions = {
        "PostgreSQL: open transaction: {}": "SELECT left(query, 80) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        " AND state LIKE 'idle in transaction%' AND state_change < now() - interval '5 s'",
        "PostgreSQL: advisory lock {}": "SELECT objid::text FROM pg_locks WHERE locktype = 'advisory'",
        "PostgreSQL: prepared transaction {}": "SELECT gid FROM pg_prepared_xacts",
    }
    with database.reading() as session:
        return [
            words.format(row[0]) for words, question in questions.items() for row in session.execute(text(question))
        ]


def of_processes(allowed: set[int]) -> list[str]:
    """Processes that belong to nobody: all but these, and those that have ended."""
    found = []
    for pid in sorted(_pids() - allowed):
        if state_of(pid) not in ("Z", "X", ""):
            found.append(f"process {pid}: {_command(pid)}")
    return found


def of_jobs() -> list[str]:
    """Processes of jobs, while no job runs."""
    return [f"process of a job: {pid} {_command(pid)}" for pid in sorted(_pids()) if program_of(pid) in JOB_PROGRAMS]


def _pids() -> set[int]:
    return {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()}


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:120]
    return ""
