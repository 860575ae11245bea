"""The engine's job of a run: stage, start in the sandbox, follow, keep what is to be kept, and say what came of it.

What always holds: the run's row gets its one outcome before the job ends; where this process is killed, whoever next
looks at the run settles it from the job's record (`runs.py`). The token of a script is made here, after the queue, and
stands nowhere but in the script's command line.
"""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from knossos import tally, tracing
from knossos.database import Database, of_this_process
from knossos.errors import KnossosError
from knossos.jobs import Engine, JobCancelled, JobContext
from knossos.scripting import channel, mail, sandbox
from knossos.scripting.collect import Collector
from knossos.scripting.helper_folder import provide
from knossos.scripting.output import Output
from knossos.scripting.plan import FileRole, RunKind, RunOutcome, RunPlan
from knossos.scripting.process import Ended, Follower
from knossos.scripting.run_records import Ending, KeptFile, Run, new_run_id
from knossos.scripting.runners.outputs import cut_results
from knossos.scripting.runs import Runs
from knossos.scripting.sandbox import (
    ResolvedLimits,
    Sandboxed,
    SandboxFailed,
    SandboxMissing,
    SandboxSpec,
    inside,
    server_url,
    start,
)
from knossos.scripting.staging import CannotStage, Stage, stage, tell_client
from knossos.scripting.tokens import RunTokens, new_text
from knossos.settings import ROOT, Settings
from knossos.storage import Storage, StorageUnavailable

#: Folder in the data folder that is on the path of scripts.
HELPER_FOLDER = "script-helper"
#: Seconds for which a run waits for a storage that is away: it may not be tried again, and its caller is not waiting.
PATIENCE_SECONDS = 60
#: Characters of the end of standard error that are repeated where a run failed.
TAIL_CHARS = 2_000

_WORDS = {
    RunOutcome.TIMEOUT: "It took longer than the {0.timeout_seconds:g} seconds that it may take.",
    RunOutcome.MEMORY: "It used more than the {0.memory_bytes} bytes of memory that it may use.",
    RunOutcome.DISK: "It wrote more than the {0.disk_bytes} bytes that it may write, or more than its folder may hold.",
}
#: What the kernel's limits are called where they end a process.
_SIGNAL_WORDS = {
    signal.SIGXCPU: " (it used more processor time than it may)",
    signal.SIGXFSZ: " (it wrote a larger file than it may)",
    signal.SIGSYS: " (it asked the system for something that scripts may not)",
}
#: Signals by which the kernel ends a run at one of its limits, and what that is called in the operator's figures.
KERNEL_KILLS = {signal.SIGXCPU: "cpu", signal.SIGXFSZ: "file", signal.SIGSYS: "seccomp"}


class RunFailed(KnossosError):
    """A run ended badly. ``run_id``, ``outcome``, ``exit_code`` and ``signal`` say how."""

    code = "script_failed"
    retryable = False


def run(context: JobContext, payload: dict[str, Any]) -> dict[str, Any]:
    """Run a plan.

    Raises:
        RunFailed: it did not end well; what it left is kept all the same.
    """
    plan = RunPlan.model_validate(payload)
    database = of_this_process(context.settings)
    context.afterwards(database.close)
    storage = Storage(context.settings, patience_seconds=PATIENCE_SECONDS)
    return _RunJob(context, plan, database, storage).run()


def prepare(settings: Settings) -> None:
    """Do before any fork what would take its time in each run. Connections are made anew in each process.

    An object store is left alone: who has talked to one has threads, and forks would wait for them for ever. What is
    rehearsed keeps no file, so an empty folder will do.
    """
    database, folder = of_this_process(settings), Storage(settings.model_copy(update={"storage": ""}))
    try:
        Runs(settings, database, folder, Engine(settings)).rehearse()
        RunTokens(settings, database).end("")
    finally:
        database.close()
    provide(settings.data_path / HELPER_FOLDER)


def rehearse(settings: Settings) -> None:
    """Touch what each run needs of the database, in a horse that waits for its job. Nothing is written, and no
    connection kept."""
    database = of_this_process(settings)
    try:
        Runs(settings, database, Storage(settings), Engine(settings)).warm_up()
    finally:
        database.close()


def rehearse_start(settings: Settings) -> None:
    """As `rehearse`, of what comes before the sandbox is started."""
    nobodys = RunPlan(run_id=new_run_id(), kind=RunKind.SCRIPT, name="rehearsal", program="/bin/sh", keep_seconds=0)
    plan = RunPlan.model_validate(nobodys.model_dump(mode="json"))
    nowhere = Path("/nowhere")
    sandbox.rehearse(settings, _spec(settings, plan, Stage(nowhere, nowhere / "shared", nowhere / "tmp")))


class _RunJob:
    def __init__(self, context: JobContext, plan: RunPlan, database: Database, storage: Storage) -> None:
        self._context = context
        self._settings: Settings = context.settings
        self._plan = plan
        self._storage = storage
        self._runs = Runs(context.settings, database, storage, context.engine)
        self._tokens = RunTokens(context.settings, database)
        self._limits = ResolvedLimits.of(context.settings, plan.limits)
        self._mails = 0
        #: Bytes that were in the run's folders before it began.
        self._before = 0
        #: The run as it began; None: that is not noted yet.
        self._begun: Run | None = None

    def run(self) -> dict[str, Any]:
        plan = self._plan
        workspace = self._context.workspace
        kept: list[KeptFile] = []
        tail = ""
        try:
            staged = stage(plan, workspace, plan.shared_name or self._begin().shared_name, self._storage)
        except CannotStage as error:
            ending = Ending(RunOutcome.FAILED, error=error.message)
        else:
            try:
                with Output(workspace, self._limits.output_bytes, self._context.output) as output:
                    ending = self._execute(staged, output)
                tail = _tail(output.paths[FileRole.STDERR]) if ending.error else ""
                ending, kept = self._keep(staged, output, ending)
            except OSError as error:
                ending = Ending(RunOutcome.FAILED, error=f"This server cannot run it: {_reason(error)}.")
            finally:
                staged.remove()
        self._begin()
        if plan.token is not None:
            self._tokens.end(plan.run_id)
        # One that was given up meanwhile, as its worker seemed lost, has its outcome: row and log must not differ.
        self._context.confirm()
        self._runs.end(plan.run_id, ending, kept, plan.keep_seconds, has_inputs=bool(plan.inputs))
        if ending.error:
            raise RunFailed(
                f"{ending.error}{tail}",
                run_id=plan.run_id,
                outcome=ending.outcome,
                exit_code=ending.exit_code,
                signal=ending.signal,
            )
        return {"run_id": plan.run_id, "exit_code": ending.exit_code}

    def _begin(self) -> Run:
        """Note that the run begins, unless that is noted.

        Raises:
            NoSuchRun: it is gone, or has ended.
        """
        if self._begun is None:
            self._begun = self._runs.begin(self._plan.run_id, self._context.ticket)
        return self._begun

    # --- run --------------------------------------------------------------------------------------

    def _execute(self, staged: Stage, output: Output) -> Ending:
        """Start the program, and follow it to its end."""
        plan = self._plan
        spec = _spec(self._settings, plan, staged)
        place = inside(self._settings, staged.folder, staged.shared, staged.temporary)
        server = server_url(self._settings, spec.network, spec.door)
        if server and plan.kind is RunKind.SCRIPT:
            tell_client(staged.folder, server)
        arguments = [
            argument.replace("$RUNDIR", place.folder) if plan.rundir_in_arguments else argument
            for argument in plan.arguments
        ]
        token = new_text()
        if plan.token is not None:
            output.hide(token)
            arguments.insert(0, f"--auth-token={token}")
        environment = {
            "HOME": place.folder,
            "PATH": self._settings.script_path,
            "LANG": "C.UTF-8",
            "TMPDIR": place.temporary,
            "SHARED_DIR": place.shared,
            "PYTHONPATH": str(spec.readable[0]),
            # Output is to be seen as it is written.
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "KNOSSOS_URL": server,
            "KNOSSOS_RUN": plan.run_id,
            "KNOSSOS_REQUEST": tracing.request_id(),
        }
        spec = dataclasses.replace(spec, arguments=tuple(arguments), environment=environment)

        def meanwhile() -> None:
            self._begin()
            if plan.token is not None:
                self._tokens.issue(plan.token, plan.run_id, token)

        try:
            sandboxed = start(self._settings, spec, meanwhile)
        except (SandboxFailed, SandboxMissing) as error:
            return Ending(RunOutcome.FAILED, error=error.message)
        try:
            return self._ending(self._follow(sandboxed, output), output)
        finally:
            sandboxed.close()

    def _follow(self, sandboxed: Sandboxed, output: Output) -> Ended:
        plan, most = self._plan, self._plan.folder_bytes
        before = 0
        if plan.inputs or plan.template or plan.folder:
            before = sandboxed.disk_bytes(self._limits.disk_bytes if most is None else most)
        if not plan.folder:
            self._before = before
        follower = Follower(
            sandboxed,
            self._limits,
            output,
            self._heard,
            self._context.check,
            disk_before=before,
            disk_most=most,
            signals=self._context.signals if plan.kind is RunKind.HOME else tuple,
        )
        try:
            ended = follower.follow()
        except JobCancelled:
            tally.add("sandbox_kills", RunOutcome.CANCELLED)
            raise
        if ended.forced is not None:
            tally.add("sandbox_kills", ended.forced)
        elif -ended.returncode in KERNEL_KILLS:
            tally.add("sandbox_kills", KERNEL_KILLS[signal.Signals(-ended.returncode)])
        return ended

    def _heard(self, message: channel.Message) -> None:
        """What the script says on its channel."""
        context = self._context
        match message:
            case channel.Progress(fraction, text):
                context.progress(fraction, text)
            case channel.LogLine(level, text):
                say: Callable[[str], None] = getattr(context, level)
                say(text)
            case channel.Shared(name, title):
                context.info(f"Shared {name}" + (f": {title}" if title else "."))
            case channel.Mail():
                self._send(message)
            case channel.Malformed(reason):
                context.warning(f"The script wrote a line to its channel that means nothing: {reason}")

    def _send(self, message: channel.Mail) -> None:
        context, plan = self._context, self._plan
        if not plan.mail:
            context.warning("A mail was not sent: this script's description does not say that it may send mail.")
        elif not mail.can_send(self._settings):
            context.warning("A mail was not sent: neither SMTP nor SENDMAIL is set.")
        elif self._mails >= mail.MAX_MAILS:
            context.warning(f"A mail was not sent: one run may send {mail.MAX_MAILS}.")
        else:
            self._mails += 1
            mail.submit(context.engine, message, owner=f"script:{plan.name}", script=plan.name)
            context.info(f"A mail to {', '.join(message.to)} is on its way.")

    # --- afterwards -------------------------------------------------------------------------------

    def _ending(self, ended: Ended, output: Output) -> Ending:
        """What came of it."""
        code = ended.returncode
        killed = -code if code < 0 else None
        if ended.forced is not None:
            outcome, error = ended.forced, _WORDS[ended.forced].format(self._limits)
        elif killed is not None:
            outcome, error = RunOutcome.SIGNALLED, f"It was ended by the signal {signal_name(killed)}."
        else:
            outcome, error = RunOutcome.EXITED, f"It ended with exit code {code}." if code else ""
        if ended.unheard:
            self._context.warning(f"{ended.unheard} lines of its channel were dropped: there were too many at once.")
        if output.failed:
            self._context.warning(f"The output is cut: this server cannot keep more of it: {output.failed}.")
        elif output.dropped:
            limit = self._limits.output_bytes
            self._context.warning(
                f"The output is cut: it may have {limit} bytes, and {output.dropped} more were dropped."
            )
        return Ending(outcome, None if killed else code, killed, error, output.dropped)

    def _keep(self, staged: Stage, output: Output, ending: Ending) -> tuple[Ending, list[KeptFile]]:
        """Keep what is to be kept; a runner that ended well must also have left its results.

        Where something cannot be kept the run has failed, and the rest is kept all the same.
        """
        plan = self._plan
        most = self._limits.disk_bytes + self._before
        collector = Collector(plan.run_id, self._storage, self._context.warning, most)
        steps: list[Callable[[], None]] = [
            lambda: collector.keep_attachments(plan.attachments, staged.folder),
            lambda: collector.keep_shared(staged.shared),
            lambda: collector.keep_output(output.paths),
        ]
        if plan.keep_all:
            steps.insert(1, lambda: collector.keep_all(staged.folder))
        if plan.results is not None and not ending.error:
            steps.insert(0, lambda: self._keep_results(collector, staged, output))
        for step in steps:
            try:
                step()
            except (KnossosError, OSError) as error:
                ending = dataclasses.replace(ending, outcome=RunOutcome.FAILED, error=f"{_reason(error)}.")
        return ending, collector.kept

    def _keep_results(self, collector: Collector, staged: Stage, output: Output) -> None:
        plan = self._plan.results
        assert plan is not None
        if output.dropped and plan.source != "file":
            raise cut_results(plan, self._limits.output_bytes)
        collector.keep_results(plan, staged.folder, output.paths, self._context.workspace / "results.json")


def _spec(settings: Settings, plan: RunPlan, staged: Stage) -> SandboxSpec:
    """What the sandbox is told of a run, without its arguments and environment."""
    helper = settings.data_path / HELPER_FOLDER
    if not helper.is_dir():  # the worker has brought it up to date as it started
        provide(helper)
    readable = [helper, *(ROOT / path for path in (*settings.script_read_paths, *plan.read_paths))]
    return SandboxSpec(
        program=Path(plan.program),
        arguments=(),
        folder=staged.folder,
        shared=staged.shared,
        temporary=staged.temporary,
        readable=tuple(readable),
        environment={},
        limits=ResolvedLimits.of(settings, plan.limits),
        network=plan.network,
        door=callback_address(settings) if plan.token is not None else None,
        stdin=staged.stdin,
        folder_is_theirs=not staged.is_ours,
    )


def _reason(error: KnossosError | OSError) -> str:
    """Why, in words for users: without paths of this machine."""
    if isinstance(error, StorageUnavailable):
        return "What it left cannot be stored"
    if isinstance(error, KnossosError):
        return error.message
    return error.strerror or "its disk does not work"


def callback_address(settings: Settings) -> tuple[str, int]:
    """Where the HTTP server is, as this worker reaches it."""
    if not settings.script_callback:
        host, port = settings.api_listen
        return ("127.0.0.1" if host in ("", "0.0.0.0") else "::1" if host == "::" else host), port  # noqa: S104
    parts = urlsplit(settings.script_callback)
    return parts.hostname or "127.0.0.1", parts.port or 80


def signal_name(number: int) -> str:
    """What a signal is called, with what it means where it stands for a limit."""
    try:
        known = signal.Signals(number)
    except ValueError:
        return str(number)
    return known.name + _SIGNAL_WORDS.get(known, "")


def _tail(path: Path) -> str:
    """The end of standard error, as a paragraph of an error's text; "" where there was none."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_CHARS))
        text = file.read().decode("utf-8", "replace").strip()
    return f"\n{text}" if text else ""
