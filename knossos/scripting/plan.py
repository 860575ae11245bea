"""What crosses from those who start a run to the worker that runs it, and what comes of it.

A plan holds no secret but the name of its SHARED_DIR, to which whoever knows it is let: where the script gets a token,
the worker issues it as the run begins. Paths in a plan are paths of the operator's (a script, a home template, a folder
to copy); names that users chose are checked before a plan is made (`arguments.py`, `staging.py`).
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from knossos.scripting.metadata import RunLimits

#: Folder of a run's directory for the files that come with a call.
UPLOADS = ".upload_files"


class RunKind(StrEnum):
    """By which protocol a run was started."""

    #: An executable of SERVER_SIDE_SCRIPTING_BIN_DIRS (linkahead.md).
    SCRIPT = "script"
    #: A runner of RUNNERS_DIR (script-runner.md).
    RUNNER = "runner"
    #: CALCULATION_COMMAND, or a batch system, with an ``input.xml`` (calculation.md).
    CALCULATION = "calculation"
    #: A script that somebody has sent, in their home (script-server.md).
    HOME = "home"


class RunOutcome(StrEnum):
    """How a run ended."""

    #: It ended by itself; its exit code says how well.
    EXITED = "exited"
    #: A signal that was not ours ended it: a crash, or the kernel's limits for processor time and file size.
    SIGNALLED = "signalled"
    #: It took longer than it may.
    TIMEOUT = "timeout"
    #: It used more memory than it may.
    MEMORY = "memory"
    #: It wrote more than it may.
    DISK = "disk"
    #: Somebody stopped it.
    CANCELLED = "cancelled"
    #: Its worker was lost.
    LOST = "lost"
    #: It could not be started, or what it left could not be used: see the run's error.
    FAILED = "failed"


class FileRole(StrEnum):
    """What a kept file of a run is."""

    STDOUT = "stdout"
    STDERR = "stderr"
    #: What the script put into SHARED_DIR.
    SHARED = "shared"
    #: A file of a runner's ``attachments``.
    ATTACHMENT = "attachment"
    #: A runner's ``results``, as JSON.
    RESULTS = "results"
    #: What a calculation has written into its directory.
    WRITTEN = "written"


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputFile(Model):
    """A file that comes with a call. ``key`` is where the storage has it, until the run has ended at least."""

    name: str
    key: str
    size: int


class TokenPlan(Model):
    """The token that the worker issues to the script. None of a field: see `tokens.py`."""

    #: The account that the token stands for; None: nobody is logged in.
    user_id: int | None = None
    #: Roles of AUTHTOKEN_CONFIG, which count instead of the account's; None: the token is its caller.
    roles: tuple[str, ...] | None = None
    permissions: tuple[str, ...] = ()
    expires_after_seconds: float | None = None
    max_replays: int | None = None


class CsvColumn(Model):
    output_name: str
    input_name: str
    skip_list: tuple[str, ...] = ()


class ResultsPlan(Model):
    """Where a runner's results are, and how they are read (script-runner.md, ``outputs.results``)."""

    #: "file", "stdout" or "stderr".
    source: str
    #: "csv" or "json".
    format: str
    #: Path below the run's directory, for "file".
    path: str = ""
    columns: tuple[CsvColumn, ...] | None = None


class RunPlan(Model):
    """One run, whole."""

    run_id: str
    kind: RunKind
    #: What was called: the script's or the runner's name.
    name: str
    #: The program as the operator named it, and what follows it. In each argument ``$RUNDIR`` stands for the run's
    #: directory where ``rundir_in_arguments`` is true.
    program: str
    arguments: tuple[str, ...] = ()
    rundir_in_arguments: bool = False
    #: None: the script gets no token; else ``--auth-token=...`` comes before the other arguments.
    token: TokenPlan | None = None
    #: The last part of the path of its SHARED_DIR, a random name; "" where only the run's row has it.
    shared_name: str = ""
    #: Files that come with the call, and the folder for them in the run's directory; "" for the directory itself.
    inputs: tuple[InputFile, ...] = ()
    inputs_folder: str = UPLOADS
    #: Folder whose contents are copied into the run's directory first; "" for none.
    template: str = ""
    #: Folders that are made in the run's directory.
    folders: tuple[str, ...] = ()
    #: Folder in which the run's directory is made; "" for the task's own.
    parent: str = ""
    #: A folder that is there and is the run's directory itself, such as a home: it is neither copied nor removed, and
    #: belongs to whom scripts run as. "": the run gets one of its own.
    folder: str = ""
    #: Most bytes that ``folder`` may hold, with what was in it before.
    folder_bytes: int | None = None
    #: Where the storage has what the program reads on its standard input; "": nothing.
    stdin_key: str = ""
    #: Files and folders that the run may read besides the system and its program.
    read_paths: tuple[str, ...] = ()
    limits: RunLimits = RunLimits()
    network: bool = False
    mail: bool = False
    #: Glob patterns of files in the run's directory that are kept.
    attachments: tuple[str, ...] = ()
    #: Whether all files of the run's directory are kept.
    keep_all: bool = False
    results: ResultsPlan | None = None
    #: Seconds for which what is kept is kept.
    keep_seconds: float
