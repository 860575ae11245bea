"""Tasks as they look in life, played by hand: for tests of the pages and for their pictures."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from rq.defaults import RQ_KEY_PREFIX
from rq.worker import WorkerStatus
from rq.worker_registration import REDIS_WORKER_KEYS

from knossos.jobs import Engine, FilePhase, FileProgress, JobFailure, JobRecord, JobSpec, JobState
from knossos.packaging.archives import Entry, Inspection, Inspections
from knossos.settings import Settings

#: A Unix time that no test lives to see.
FAR_AHEAD = 4e9


class PlayedJob:
    """A job with a title and an owner whose worker is the test; the engine's own scripts write what it says."""

    def __init__(
        self, engine: Engine, title: str = "A mod 1.0.0", owner: str = "key:test", kind: str = "conversion"
    ) -> None:
        self.engine = engine
        spec = JobSpec(function="no.such.function", kind=kind, title=title, owner=owner)
        self._take(engine.submit(spec))

    @classmethod
    def of(cls, engine: Engine, record: JobRecord) -> PlayedJob:
        """A job that was submitted already."""
        job = cls.__new__(cls)
        job.engine = engine
        job._take(record)
        return job

    def _take(self, record: JobRecord) -> None:
        self.ticket, self.token = record.ticket, record.token
        self._fence, self._seq = f"fence-{self.ticket}", 0

    def start(self) -> PlayedJob:
        self.engine.ledger.start(self.ticket, self._fence, "worker", self._pipe)
        return self

    def write(self, kind: str, data: dict[str, Any], **how: Any) -> None:
        self._seq += 1
        self.engine.ledger.append(self.ticket, self._fence, self._seq, kind, data, **how)

    def log(self, text: str, level: str = "INFO", max_lines: int = 10_000) -> None:
        self.write("log", {"level": level, "text": text, "time": 1.0}, max_lines=max_lines)

    def progress(self, fraction: float, text: str) -> None:
        self.write("progress", {"fraction": fraction, "text": text}, only_last=True, field="progress")

    def files(self, files: Sequence[FileProgress]) -> None:
        self.write("files", {"files": [file.as_dict() for file in files]}, only_last=True)

    def ask(self, question: str, image: str, **more: str) -> None:
        self.engine.ledger.ask(self.ticket, self._fence, question, "captcha", {"image": image, **more})

    def take_back(self, question: str) -> None:
        self.engine.ledger.take_back(self.ticket, self._fence, question)

    def lose_worker(self) -> None:
        self.engine.ledger.requeue(self.ticket, self._fence, "The worker was lost; another one starts.", self._pipe)

    def succeed(self, result: Any = None) -> None:
        self.engine.ledger.succeed(self.ticket, self._fence, result, self._pipe)

    def fail(self, failure: JobFailure) -> None:
        self.engine.ledger.fail(self.ticket, self._fence, failure, self._pipe)

    def cancelled(self, reason: str) -> None:
        self.engine.ledger.cancelled(
            self.ticket, self._fence, JobFailure(code="cancelled", message=reason), self.engine.redis
        )

    @property
    def _pipe(self) -> Any:
        return self.engine.redis


def play_workers(engine: Engine, hosts: Sequence[str]) -> None:
    """See that RQ has the queue as the records say, and that a worker of one of these machines is at each job that
    runs. They live for as long as the picture does."""
    queue = engine.queue("default")
    for number, job_id in enumerate(queue.job_ids):
        record = engine.find(int(job_id))
        if record.state is JobState.QUEUED:
            continue
        engine.redis.lrem(queue.key, 0, job_id)
        if record.state is not JobState.RUNNING:
            continue
        engine.redis.zadd(queue.started_job_registry.key, {f"{job_id}:1": FAR_AHEAD})
        pid = 700 + 13 * number
        registered = {
            "hostname": hosts[number % len(hosts)],
            "pid": pid,
            "queues": queue.name,
            "birth": "2026-05-01T06:00:00.000000Z",
            "last_heartbeat": "2099-01-01T00:00:00.000000Z",
            "state": WorkerStatus.BUSY,
            "successful_job_count": 40 + pid % 37,
        }
        key = f"{RQ_KEY_PREFIX}:worker:played-{pid}"
        engine.redis.hset(key, mapping=registered)
        engine.redis.sadd(f"{key}:executions", f"{job_id}:1")
        engine.redis.sadd(REDIS_WORKER_KEYS, key)


@contextlib.contextmanager
def free_worker(engine: Engine) -> Iterator[None]:
    """A worker is registered that waits for tasks, and takes none."""
    key = f"{RQ_KEY_PREFIX}:worker:played-free"
    registered = {"hostname": "knossos-1", "pid": 1, "queues": "default", "state": WorkerStatus.IDLE}
    engine.redis.hset(key, mapping=registered)
    engine.redis.sadd(REDIS_WORKER_KEYS, key)
    yield
    engine.redis.srem(REDIS_WORKER_KEYS, key)
    engine.redis.delete(key)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


#: As a conversion writes it: pictures of the documents show nothing that the server would not say.
LOG = (
    ("INFO", "Downloading starlit-core.7z from downloads.example.org"),
    ("DEBUG", "starlit-core.7z: trying downloads.example.org first, 2 links known."),
    ("INFO", "Downloading starlit-voices.zip from downloads.example.org"),
    ("WARNING", "https://downloads.example.org/starlit-voices.zip: the server answers 503 (it is overloaded)"),
    ("INFO", "https://downloads.example.org/starlit-voices.zip: trying again in 1 s"),
    ("INFO", "starlit-core.7z: downloaded 412,300,000 bytes from https://downloads.example.org/starlit-core.7z"),
    ("INFO", "starlit-core.7z: 7z, 214 files, 1,003,121,440 bytes"),
    ("INFO", "Downloading starlit-textures.7z from mirror.example.net"),
    ("DEBUG", "starlit-textures.7z: resumed at 96 MB."),
)

FILES = (
    FileProgress("starlit-core.7z", FilePhase.DONE, 412_300_000, 412_300_000),
    FileProgress("starlit-voices.zip", FilePhase.INSPECTING, 88_400_000, 131_000_000, 214_000_000, 0.4),
    FileProgress("starlit-textures.7z", FilePhase.DOWNLOADING, 402_800_000, 1_204_000_000, 18_400_000, 43.5),
    FileProgress("starlit-extras-with-a-rather-long-name-2024-03-01.rar", FilePhase.WAITING),
)


def running(engine: Engine) -> PlayedJob:
    job = PlayedJob(engine, "Starlit Passage 1.2.0").start()
    for level, text in LOG:
        job.log(text, level)
    job.files(FILES)
    job.progress(0.46, "1 of 4 files are read")
    return job


def asking(engine: Engine, image: str) -> PlayedJob:
    job = PlayedJob(engine, "Harbour Lights 0.9.1").start()
    job.log("The hoster of harbour.rar asks for a code.")
    job.progress(0.1, "Waiting for the answer to a question")
    job.ask("question-1", image)
    return job


def cancelled(engine: Engine) -> PlayedJob:
    job = PlayedJob(engine, "Slow Boat 0.2").start()
    job.files(
        [
            FileProgress("slow-boat.zip", FilePhase.DOWNLOADING, 150_000, 10_000_000, 162_000, 61.0),
            FileProgress("oars.zip", FilePhase.WAITING),
        ]
    )
    job.progress(0.01, "Downloading slow-boat.zip")
    job.cancelled("Cancelled by dora.")
    return job


def succeeded(engine: Engine) -> PlayedJob:
    job = running(engine)
    job.progress(1.0, "All files are read")
    job.log("The repository JSON lists 6 files.")
    job.files([FileProgress(one.name, FilePhase.DONE, one.total_bytes or 0, one.total_bytes) for one in FILES[:3]])
    job.succeed(REPOSITORY)
    return job


def failed(engine: Engine) -> PlayedJob:
    job = PlayedJob(engine, "Broken Compass 2.0.0").start()
    links = ["https://downloads.example.org/compass/compass.7z", "https://mirror.example.net/compass.7z"]
    job.log("Downloading compass.7z from downloads.example.org")
    reasons = [
        f"{links[0]}: the server answers 404 (there is no such file)",
        f"{links[1]} is refused: its host leads to an address that is not public; "
        "the operator can allow it in ALLOWED_PRIVATE_NETWORKS",
    ]
    for one in reasons:
        job.log(one, "WARNING")
    sentence = "compass.7z could not be downloaded from any of its 2 links."
    message = "\n".join([sentence, *(f"- {one}" for one in reasons), "Open the links in a browser."])
    job.log(message, "ERROR")
    job.files(
        [
            FileProgress("needle.zip", FilePhase.DONE, 4_200_000, 4_200_000),
            FileProgress("compass.7z", FilePhase.FAILED, 0, None, note=sentence),
        ]
    )
    job.progress(0.95, "1 of 2 files are read, 1 failed")
    reason = {
        "links": [{"url": link, "reason": one} for link, one in zip(links, reasons, strict=True)],
        "file": "compass.7z",
        "mod": "broken-compass",
        "package": "Core",
        "code": "download_failed",
        "message": message,
    }
    failure = JobFailure(code="conversion_failed", message=message, details={"files": [reason], "mods": []})
    job.fail(failure)
    return job


def _file(name: str, size: int) -> dict[str, Any]:
    digest = sha256(name)
    return {
        "filename": name,
        "is_archive": True,
        "dest": "",
        "urls": [f"https://downloads.example.org/starlit/{name}"],
        "filesize": size,
        "md5sum": digest[:32],
        "checksum": ["sha256", digest],
    }


def _entry(path: str, archive: str) -> dict[str, Any]:
    digest = sha256(path)
    return {
        "filename": path,
        "archive": archive,
        "orig_name": path,
        "md5sum": digest[:32],
        "checksum": ["sha256", digest],
    }


#: What a conversion answers, as far as pages look at it.
REPOSITORY: dict[str, Any] = {
    "generated": 1_700_000_000.0,
    "mods": [
        {
            "id": "starlit-passage",
            "title": "Starlit Passage",
            "version": "1.2.0",
            "packages": [
                {
                    "name": "Core",
                    "status": "required",
                    "files": [_file("starlit-core.7z", 412_300_000)],
                    "filelist": [
                        _entry(path, "starlit-core.7z")
                        for path in (
                            "mod.ini",
                            "data/missions/starlit-01.fs2",
                            "data/missions/starlit-02.fs2",
                            "data/missions/starlit-03.fs2",
                            "data/tables/starlit-shp.tbm",
                            "data/tables/starlit-wep.tbm",
                            "data/maps/cruiser.dds",
                            "starlit-core.vp",
                        )
                    ],
                },
                {
                    "name": "Voice acting",
                    "status": "recommended",
                    "files": [_file("starlit-voices.zip", 131_000_000)],
                    "filelist": [_entry(f"data/voice/line-{n:02}.ogg", "starlit-voices.zip") for n in range(1, 13)],
                },
            ],
        }
    ],
}


def remember_sizes(settings: Settings) -> None:
    """Let this machine know the archives above, as if it had read them."""
    for package in REPOSITORY["mods"][0]["packages"]:
        archive = package["files"][0]["checksum"][1]
        entries = [
            Entry(one["filename"], 1000 + 7919 * number**2, one["md5sum"], one["checksum"][1])
            for number, one in enumerate(package["filelist"], 1)
        ]
        total = sum(entry.size for entry in entries)
        Inspections(settings).save(archive, Inspection(format="7z", entries=entries, total_bytes=total))
