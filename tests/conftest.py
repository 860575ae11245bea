"""Fixtures that every test may use: real Redis and databases, settings in a folder of the test's own, an engine,
workers."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import redis

from knossos.database import Database
from knossos.jobs import Engine
from knossos.settings import Settings
from tests.support import routes
from tests.support.postgres import Postgres
from tests.support.processes import Process, write_settings
from tests.support.redis_server import RedisServer
from tests.support.s3 import S3Server

pytest_plugins = ["tests.support.ci"]

#: Characters or bytes from which on a value is no name for a test.
LONG_VALUE = 100


def pytest_configure() -> None:
    """Have applications made sooner. Take SIGINT although a shell has started this in its background, and SIGHUP
    although nohup has: both are ignored there, processes inherit that, and tests send them."""
    routes.compile_each_once()
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a long value by its length: the id of a test goes to other processes, and with a random value in it, each
    of them would have another one."""
    if isinstance(val, str | bytes) and len(val) > LONG_VALUE:
        return f"{argname}-of-{len(val)}"
    return None


@pytest.fixture
def own_signals() -> Iterator[None]:
    """For tests of what takes signals for itself: they are as before afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for all tests of this process."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The address of an empty Redis."""
    client = redis.Redis.from_url(redis_server.url)
    client.flushall()
    client.close()
    return redis_server.url


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL for all tests of this process; made when a test first asks for it."""
    server = Postgres()
    try:
        server.create()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """One S3 server for all tests that are marked ``xdist_group("s3")``; it takes seconds to start."""
    server = S3Server()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with all tables and no rows."""
    folder = tmp_path_factory.mktemp("sqlite")
    database = Database(Settings(data_path=folder))
    database.migrate()
    database.close()
    return folder / "knossos.sqlite3"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Which database a test has: it runs on each kind, unless its module says that one is enough."""
    return str(request.param)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, database_kind: str, tmp_path: Path) -> str:
    """The address of an empty database with all tables."""
    if database_kind == "postgresql":
        return str(request.getfixturevalue("postgres").new_database())
    (tmp_path / "data").mkdir()
    shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "data" / "knossos.sqlite3")
    return f"sqlite:///{tmp_path / 'data' / 'knossos.sqlite3'}"


@pytest.fixture
def database(database_url: str, tmp_path: Path) -> Iterator[Database]:
    """An empty database with all tables, of each kind."""
    made = Database(Settings(data_path=tmp_path / "data", database=database_url))
    yield made
    made.close()


@pytest.fixture
def settings(tmp_path: Path, redis_url: str) -> Settings:
    """Settings whose data lie in the test's own folder and whose loopback is reachable."""
    return Settings(
        data_path=tmp_path / "data",
        redis=redis_url,
        api_keys=("key-of-the-tests",),
        allowed_private_networks=("127.0.0.0/8", "::1/128"),
    )


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """An engine on the empty Redis."""
    made = Engine(settings)
    yield made
    made.redis.close()


StartWorker = Callable[..., Process]


@pytest.fixture
def start_worker(tmp_path: Path, settings: Settings) -> Iterator[StartWorker]:
    """A function that starts a worker process: the engine's alone, with ``scripts=True`` one that runs scripts too, or
    with ``product=True`` the real worker.py."""
    started: list[Process] = []

    def start(
        *queues: str,
        product: bool = False,
        scripts: bool = False,
        use: Settings | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Process:
        number = len(started)
        file = write_settings(tmp_path / f"worker-{number}.py", use or settings)
        module = "run_script_worker" if scripts else "run_worker"
        program = ["worker.py"] if product else ["-m", f"tests.support.{module}"]
        variables = {"KNOSSOS_SETTINGS": str(file), **(environment or {})}
        process = Process([*program, *queues], tmp_path / f"worker-{number}.log", variables)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.popen.poll() is None:
            process.end()


@pytest.fixture
def worker_process(start_worker: StartWorker) -> Process:
    """The product's worker, running."""
    return start_worker(product=True)
