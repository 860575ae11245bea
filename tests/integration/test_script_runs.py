"""A run from its plan to what is kept of it: the product's worker, the real sandbox, on both databases."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.storage_door import Door
from knossos import tracing
from knossos.database import Base, Database
from knossos.jobs import Engine, JobRecord, JobState
from knossos.jobs.rq_worker import EngineWorker
from knossos.scripting import housekeeping, run_job, runs
from knossos.scripting.metadata import RunLimits
from knossos.scripting.plan import FileRole, InputFile, RunKind, RunOutcome, RunPlan, TokenPlan
from knossos.scripting.run_records import (
    ANONYMOUS_OWNER,
    Ending,
    NoSuchRun,
    Run,
    TooManyRuns,
    inputs_prefix,
    new_run_id,
    run_prefix,
)
from knossos.scripting.runs import Runs
from knossos.scripting.tokens import RunTokenExpired, RunTokens
from knossos.settings import Settings
from knossos.storage import Storage, StorageUnavailable
from tests.conftest import StartWorker
from tests.support.processes import is_alive, wait_for
from tests.support.s3 import S3Server, behind_a_door
from tests.support.sandbox import in_a_child
from tests.support.submitting import children


def ended(engine: Engine, ticket: int) -> JobRecord:
    def look() -> JobRecord | None:
        record = engine.find(ticket)
        return record if record.state.finished else None

    return wait_for(look, f"the end of task {ticket}")


class Bench:
    """Submits runs of small shell scripts, and looks at what came of them."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.database = Database(settings)
        self.storage = Storage(settings)
        self.engine = Engine(settings)
        self.runs = Runs(settings, self.database, self.storage, self.engine)

    def program(self, text: str, name: str = "script.sh") -> Path:
        path = self.folder / name
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)
        return path

    def submit(self, text: str, retries: int = 0, run_id: str = "", **more: object) -> tuple[Run, int]:
        plan = RunPlan.model_validate(
            {
                "run_id": run_id or new_run_id(),
                "kind": RunKind.SCRIPT,
                "name": "script.sh",
                "program": str(self.program(text)),
                "keep_seconds": 1000,
                **more,
            }
        )
        run, record = self.runs.submit(plan, owner="account:dora", title="A script", shown=["one"], retries=retries)
        return run, record.ticket

    def finish(self, text: str, **more: object) -> Run:
        run, ticket = self.submit(text, **more)  # type: ignore[arg-type]
        ended(self.engine, ticket)
        return self.runs.get(run.run_id)

    def output(self, run: Run) -> tuple[str, str]:
        return self.runs.text(run, FileRole.STDOUT), self.runs.text(run, FileRole.STDERR)


@pytest.fixture
def site(settings: Settings, sqlite_template: Path, tmp_path: Path) -> Settings:
    """Settings with a database that has its tables."""
    settings.data_path.mkdir()
    (settings.data_path / "knossos.sqlite3").write_bytes(sqlite_template.read_bytes())
    return settings


@pytest.fixture
def bench(site: Settings, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(site, tmp_path)
    yield made
    made.database.close()


def test_a_concurrency_of_its_own_does_not_pass_by_what_its_owner_may_run(bench: Bench) -> None:
    def submit(name: str, owner: str) -> int:
        plan = RunPlan(run_id=new_run_id(), kind=RunKind.SCRIPT, name=name, program="/bin/true", keep_seconds=60)
        limits = bench.runs.limits(plan.kind, name, 100, owner)
        return bench.runs.submit(plan, owner=owner, title="A script", shown=(), limits=limits)[1].ticket

    most = bench.settings.script_owner_concurrency
    mine = [submit(f"script-{number % 2}.sh", "account:dora") for number in range(most + 2)]
    other = submit("script-0.sh", "account:emil")
    assert [bench.engine.position(ticket) for ticket in mine] == [*range(most), None, None]
    assert bench.engine.position(other) == most


def test_output_exit_code_and_shared_files_are_kept(bench: Bench, start_worker: StartWorker) -> None:
    start_worker(scripts=True)
    run = bench.finish('echo out; echo err >&2; echo shared > "$SHARED_DIR/a.txt"; ln -s /etc/passwd "$SHARED_DIR/b"')
    assert (run.outcome, run.exit_code, run.error) == (RunOutcome.EXITED, 0, "")
    assert bench.output(run) == ("out\n", "err\n")
    shared = [file for file in run.files if file.role is FileRole.SHARED]
    assert [file.name for file in shared] == ["a.txt"]
    assert b"".join(bench.runs.read(shared[0])) == b"shared\n"
    assert run.ticket is not None
    events = bench.engine.events(run.ticket)
    assert {(event.data["stream"], event.data["text"]) for event in events if event.type == "output"} == {
        ("stdout", "out\n"),
        ("stderr", "err\n"),
    }
    assert any("b is not kept: it is a symbolic link" in event.data.get("text", "") for event in events)
    wait_for(lambda: not list(bench.settings.work_folder.glob("*")), "the end of what the run had on the worker's disk")


def test_a_run_goes_its_whole_way_on_either_database(
    settings: Settings, database_url: str, tmp_path: Path, start_worker: StartWorker
) -> None:
    use = settings.model_copy(update={"database": database_url, "script_owner_runs": 1})
    bench = Bench(use, tmp_path)
    script = 'echo "$1"; echo shared > "$SHARED_DIR/a"'
    waiting, ticket = bench.submit(script, token=TokenPlan())
    assert (waiting.ticket, waiting.started_at, waiting.outcome) == (ticket, None, None)
    with pytest.raises(TooManyRuns):
        bench.submit(script)
    start_worker(scripts=True, use=use)
    ended(bench.engine, ticket)
    run = bench.runs.get(waiting.run_id)
    assert (run.outcome, run.exit_code, run.error, run.dropped_bytes) == (RunOutcome.EXITED, 0, "", 0)
    assert waiting.created_at <= (run.started_at or 0) <= (run.ended_at or 0) < run.expires_at
    assert [(file.number, file.role, file.name) for file in run.files] == [
        (0, FileRole.SHARED, "a"),
        (1, FileRole.STDOUT, "stdout"),
    ]
    assert bench.output(run)[0].startswith("--auth-token=")
    assert run == dataclasses.replace(
        waiting,
        started_at=run.started_at,
        ended_at=run.ended_at,
        expires_at=run.expires_at,
        outcome=RunOutcome.EXITED,
        exit_code=0,
        files=run.files,
    )
    bench.database.close()


def test_a_script_knows_its_run_and_the_request_behind_it_for_logs_of_its_own(
    bench: Bench, start_worker: StartWorker
) -> None:
    start_worker(product=True)
    with tracing.at_request("behind-it"):
        run = bench.finish('echo "$KNOSSOS_RUN $KNOSSOS_REQUEST"\n')
    assert bench.output(run)[0] == f"{run.run_id} behind-it\n"


def test_what_is_rehearsed_works_and_leaves_nothing(bench: Bench) -> None:
    """Runs of everybody may wait meanwhile; and where a rehearsal fails, nobody hears of it."""
    bench.submit("exit 0")
    plan = RunPlan(run_id=new_run_id(), kind=RunKind.SCRIPT, name="x", program="/bin/true", keep_seconds=60)
    bench.runs.submit(plan, owner=ANONYMOUS_OWNER, title="x", shown=())

    def all_there_is() -> object:
        with bench.database.snapshot() as connection:
            tables = [connection.execute(table.select()).all() for table in Base.metadata.sorted_tables]
        return tables, sorted(bench.engine.redis.keys()), sorted(bench.settings.data_path.rglob("*"))

    run_job.prepare(bench.settings)
    before = all_there_is()
    run_job.prepare(bench.settings)
    run_job.rehearse(bench.settings)
    run_job.rehearse_start(bench.settings)
    in_a_child(lambda: EngineWorker(Engine(bench.settings), ("default",))._rehearse())
    assert all_there_is() == before


def test_a_run_that_has_its_outcome_already_is_not_started(
    site: Settings, tmp_path: Path, start_worker: StartWorker
) -> None:
    settings = site.model_copy(update={"script_sandbox": "none"})
    bench = Bench(settings, tmp_path)
    run, ticket = bench.submit(f"touch {tmp_path}/begun")
    assert bench.runs.end(run.run_id, Ending(RunOutcome.LOST, error="Its worker seemed lost."), ())
    start_worker(scripts=True, use=settings)
    failure = ended(bench.engine, ticket).failure
    assert failure is not None
    assert failure.code == "no_such_run"
    assert bench.runs.get(run.run_id).outcome is RunOutcome.LOST
    assert not (tmp_path / "begun").exists()
    bench.database.close()


def test_a_run_whose_process_is_killed_before_it_has_begun_has_one_outcome_and_leaves_nothing(
    bench: Bench, start_worker: StartWorker
) -> None:
    """Its sandbox is being made then, and waits."""
    run, ticket = bench.submit('echo begun > "$SHARED_DIR/a"')

    def in_the_making() -> list[int]:
        found = [worker.popen.pid]
        for _ in range(3):  # the horse, bubblewrap, and the first process in the sandbox
            found += children(found[-1])[:1]
        return found[1:] if len(found) == 4 else []

    with bench.database.writing():  # nobody else writes meanwhile
        worker = start_worker(scripts=True)
        waiting = wait_for(in_the_making, "a sandbox")
        os.kill(waiting[0], signal.SIGKILL)
        wait_for(lambda: not any(is_alive(pid) for pid in waiting), "the end of all of it")
    assert ended(bench.engine, ticket).state is JobState.FAILED
    run = bench.runs.get(run.run_id)
    assert (run.outcome, run.started_at, run.files) == (RunOutcome.LOST, None, ())
    wait_for(lambda: not list(bench.settings.work_folder.glob("*")), "the end of what the run had on the worker's disk")


def test_a_run_that_cannot_be_staged_has_begun_and_failed(bench: Bench, start_worker: StartWorker) -> None:
    start_worker(scripts=True)
    run = bench.finish("exit 0", template=str(bench.folder / "missing"))
    assert (run.outcome, run.started_at is None) == (RunOutcome.FAILED, False)


def test_a_task_of_an_older_version_does_not_say_the_name_of_what_is_shared(
    bench: Bench, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(RunPlan, "model_copy", lambda plan, **_: plan)
        run, ticket = bench.submit('basename "$SHARED_DIR"')
    assert bench.engine.payload(ticket)["shared_name"] == ""
    start_worker(scripts=True)
    ended(bench.engine, ticket)
    assert bench.output(bench.runs.get(run.run_id))[0] == f"{run.shared_name}\n"


def test_a_run_that_fails_says_how_and_repeats_the_end_of_its_errors(bench: Bench, start_worker: StartWorker) -> None:
    start_worker(scripts=True)
    run = bench.finish("echo no such table >&2; exit 3")
    assert (run.outcome, run.exit_code) == (RunOutcome.EXITED, 3)
    assert run.ticket is not None
    failure = bench.engine.find(run.ticket).failure
    assert failure is not None
    assert failure.message == "It ended with exit code 3.\nno such table"
    assert failure.details["exit_code"] == 3


def test_a_signal_is_told_from_an_exit_code(bench: Bench, start_worker: StartWorker) -> None:
    start_worker(scripts=True)
    run = bench.finish("kill -SEGV $$")
    assert (run.outcome, run.exit_code, run.signal) == (RunOutcome.SIGNALLED, None, signal.SIGSEGV)
    assert "SIGSEGV" in run.error


def test_input_files_and_the_template_are_there_and_go_with_the_run(
    bench: Bench, start_worker: StartWorker, tmp_path: Path
) -> None:
    template = tmp_path / "template"
    template.mkdir()
    (template / ".settings").write_text("of the operator")
    run_id = new_run_id()
    key = f"{inputs_prefix(run_id)}/0"
    bench.storage.put_bytes(key, b"1,2\n")
    start_worker(scripts=True)
    run = bench.finish(
        'cat .settings .upload_files/a.csv; echo "$@"; pwd; echo "$HOME"; [ -d out ] && echo made',
        run_id=run_id,
        inputs=[InputFile(name="a.csv", key=key, size=4)],
        template=str(template),
        folders=["out"],
        arguments=["--x=1", "two words", "$RUNDIR"],
    )
    out = bench.output(run)[0].splitlines()
    assert out[0] == "of the operator1,2"
    assert out[1] == "--x=1 two words $RUNDIR"
    assert out[2] == out[3]
    assert out[4] == "made"
    assert list(bench.storage.list_keys(inputs_prefix(run_id))) == []
    assert (template / ".settings").read_text() == "of the operator"


def test_a_run_that_takes_too_long_is_ended_also_where_it_does_not_want_to(
    bench: Bench, start_worker: StartWorker
) -> None:
    start_worker(scripts=True)
    limits = RunLimits(timeout_seconds=0.3)
    run = bench.finish("trap 'echo asked' TERM; while :; do sleep 0.1; done", limits=limits)
    assert run.outcome is RunOutcome.TIMEOUT
    assert "0.3 seconds" in run.error
    assert "asked" in bench.output(run)[0]


def test_a_flood_of_output_is_cut_and_said_to_be(bench: Bench, start_worker: StartWorker) -> None:
    start_worker(scripts=True)
    run = bench.finish("yes | head -c 3000000", limits=RunLimits(output_bytes=10_000))
    assert (run.outcome, run.exit_code) == (RunOutcome.EXITED, 0)
    assert (len(bench.output(run)[0]), run.dropped_bytes) == (10_000, 2_990_000)
    assert run.ticket is not None
    told = [event.data["text"] for event in bench.engine.events(run.ticket) if event.type == "log"]
    assert any("10000 bytes, and 2990000 more were dropped" in text for text in told)


def test_a_run_that_fills_its_disk_is_ended(bench: Bench, start_worker: StartWorker) -> None:
    start_worker(scripts=True)
    limits = RunLimits(disk_bytes=5_000_000, file_bytes=4_000_000)
    run = bench.finish(
        "for n in 1 2 3 4 5 6 7 8 9; do head -c 3000000 /dev/zero > $n; done; while :; do sleep 0.1; done",
        limits=limits,
    )
    assert run.outcome is RunOutcome.DISK


def test_a_cancelled_run_ends_with_all_it_started_and_says_so(bench: Bench, start_worker: StartWorker) -> None:
    start_worker(scripts=True)
    run, ticket = bench.submit("echo begun; sleep 600 & wait")
    wait_for(lambda: any(event.type == "output" for event in bench.engine.events(ticket)), "the script's output")
    assert bench.engine.cancel(ticket, "Cancelled by dora.")
    ended(bench.engine, ticket)
    found = bench.runs.get(run.run_id)
    assert (found.outcome, found.error) == (RunOutcome.CANCELLED, "Cancelled by dora.")


@pytest.mark.parametrize(("retries", "outcome"), [(0, RunOutcome.LOST), (1, RunOutcome.EXITED)])
def test_a_run_whose_worker_is_killed_starts_again_only_where_that_is_safe(
    bench: Bench, site: Settings, start_worker: StartWorker, retries: int, outcome: RunOutcome
) -> None:
    quick = site.model_copy(update={"worker_lost_seconds": 5.0})
    first = start_worker(scripts=True, use=quick)
    run, ticket = bench.submit("echo begun; sleep 3", retries=retries)
    wait_for(lambda: any(event.type == "output" for event in bench.engine.events(ticket)), "the script's output")
    first.kill()
    start_worker(scripts=True, use=quick)
    record = ended(bench.engine, ticket)
    found = bench.runs.get(run.run_id)
    assert found.outcome is outcome
    assert record.state is (JobState.FAILED if outcome is RunOutcome.LOST else JobState.SUCCEEDED)


def test_what_a_script_says_on_its_channel_shows_in_its_task(bench: Bench, start_worker: StartWorker) -> None:
    start_worker(scripts=True)
    run = bench.finish('echo "progress 0.5 half way" >&$KNOSSOS_FD; echo "warning look here" >&$KNOSSOS_FD')
    assert run.ticket is not None
    assert bench.engine.find(run.ticket).progress == (0.5, "half way")
    logged = [event.data for event in bench.engine.events(run.ticket) if event.type == "log"]
    assert [(line["level"], line["text"]) for line in logged] == [("WARNING", "look here")]


def test_the_token_is_on_the_command_line_and_nowhere_else(bench: Bench, start_worker: StartWorker) -> None:
    worker = start_worker(scripts=True)
    run = bench.finish('for a in "$@"; do echo "${a%%=*}"; done; printf %s "${1#*=}" > "$SHARED_DIR/token"', token={})
    assert bench.output(run)[0] == "--auth-token\n"
    shared = next(file for file in run.files if file.role is FileRole.SHARED)
    token = b"".join(bench.runs.read(shared)).decode()
    tokens = RunTokens(bench.settings, bench.database)
    assert tokens.check(token).account is None
    kept = (bench.settings.data_path / "knossos.sqlite3").read_bytes()
    kept += (bench.settings.data_path / "knossos.sqlite3-wal").read_bytes()
    assert token.encode() not in kept
    assert token not in worker.log
    for key in bench.engine.redis.scan_iter():
        assert token.encode() not in (bench.engine.redis.dump(key) or b"")


def test_a_token_is_covered_in_what_a_script_says_on_its_channel(bench: Bench, start_worker: StartWorker) -> None:
    start_worker(scripts=True)
    run = bench.finish(
        'echo "info $1" >&$KNOSSOS_FD; echo "progress 0.5 $1" >&$KNOSSOS_FD; printf %s "$1" > "$SHARED_DIR/token"',
        token={},
    )
    shared = next(file for file in run.files if file.role is FileRole.SHARED)
    token = b"".join(bench.runs.read(shared)).decode().partition("=")[2]
    assert token
    assert run.ticket is not None
    assert bench.engine.find(run.ticket).progress == (0.5, "--auth-token=***")
    for key in bench.engine.redis.scan_iter():
        assert token.encode() not in (bench.engine.redis.dump(key) or b"")


def test_the_token_of_a_cancelled_run_is_void_though_nobody_looks_at_the_run(
    bench: Bench, site: Settings, start_worker: StartWorker
) -> None:
    start_worker(scripts=True)
    run, ticket = bench.submit('printf %s "${1#*=}" | base64 -w 0; sleep 600', token=TokenPlan())

    def written() -> str:
        return "".join(event.data["text"] for event in bench.engine.events(ticket) if event.type == "output")

    token = b64decode(wait_for(written, "the script's output")).decode()
    tokens = RunTokens(site.model_copy(update={"script_token_grace_seconds": 0.1}), bench.database, bench.runs.get)
    assert tokens.check(token).account is None
    assert bench.engine.cancel(ticket, "Cancelled by dora.")
    at = ended(bench.engine, ticket).ended_at
    time.sleep(0.2)
    with pytest.raises(RunTokenExpired):
        tokens.check(token)
    assert bench.runs.get(run.run_id).ended_at == at


def test_a_run_that_is_told_to_end_keeps_within_its_limits_until_it_does(
    bench: Bench, site: Settings, start_worker: StartWorker
) -> None:
    # A moment so long that the test would give up before it is over.
    start_worker(scripts=True, use=site.model_copy(update={"script_kill_grace_seconds": 300.0}))
    limits = RunLimits(timeout_seconds=0.3, disk_bytes=5_000_000, file_bytes=4_000_000)
    fill = "for n in 1 2 3 4 5; do head -c 3000000 /dev/zero > $n; done"
    run = bench.finish(f"trap '' TERM; sleep 1; {fill}; while :; do sleep 0.1; done", limits=limits)
    assert run.outcome is RunOutcome.TIMEOUT


def test_lines_of_the_channel_that_are_too_many_are_dropped_and_counted(
    bench: Bench, start_worker: StartWorker
) -> None:
    start_worker(scripts=True)
    text = "x" * 10_000
    run = bench.finish(f'echo "progress 0.5 {text}" >&$KNOSSOS_FD; yes "info x" | head -n 3000 >&$KNOSSOS_FD')
    assert run.ticket is not None
    told = [event.data["text"] for event in bench.engine.events(run.ticket) if event.type == "log"]
    assert "lines of its channel were dropped" in told[-1]
    assert len(told) + int(told[-1].split()[0]) == 3001
    progress = bench.engine.find(run.ticket).progress
    assert progress is not None
    assert progress[1].endswith("... (6000 more characters)")


def test_what_cannot_be_stored_or_fetched_fails_the_run_in_words(bench: Bench, start_worker: StartWorker) -> None:
    start_worker(scripts=True)
    run_id = new_run_id()
    missing = InputFile(name="a", key=f"{inputs_prefix(run_id)}/0", size=1)
    run = bench.finish("exit 0", run_id=run_id, inputs=[missing])
    assert (run.outcome, run.error) == (
        RunOutcome.FAILED,
        "The folder of this run cannot be made: the files that came with the call cannot be read.",
    )
    # What storage.py would make a folder of is none.
    folder = bench.storage.folder
    assert folder is not None
    folder.mkdir(exist_ok=True)
    shutil.rmtree(folder / "runs", ignore_errors=True)
    (folder / "runs").write_text("no folder")
    run = bench.finish("echo out", token=TokenPlan())
    assert (run.outcome, run.exit_code, run.error) == (RunOutcome.FAILED, 0, "What it left cannot be stored.")


def test_runs_expire_with_their_files_and_their_tokens(bench: Bench, site: Settings, start_worker: StartWorker) -> None:
    start_worker(scripts=True)
    run = bench.finish("echo out", keep_seconds=0.2, token=TokenPlan())
    assert list(bench.storage.list_keys(run_prefix(run.run_id)))
    time.sleep(0.3)
    with pytest.raises(NoSuchRun):
        bench.runs.get(run.run_id)
    assert dict(housekeeping.tidy(site))["runs of scripts whose time was over"] == 1
    assert list(bench.storage.list_keys(run_prefix(run.run_id))) == []
    assert bench.storage.folder is not None
    assert list((bench.storage.folder / "runs").iterdir()) == [], "no empty folder is left either"


def test_files_of_a_run_that_was_never_noted_go_after_a_task_s_lifetime(bench: Bench, site: Settings) -> None:
    noted, _ = bench.submit("exit 0")
    for run_id in (noted.run_id, lost := new_run_id()):
        bench.storage.put_bytes(f"{inputs_prefix(run_id)}/0", b"x")
    housekeeping.tidy(site)
    assert list(bench.storage.list_keys(run_prefix(lost)))
    impatient = site.model_copy(update={"task_lifetime": 0.01})
    time.sleep(0.02)
    housekeeping.tidy(impatient)
    assert list(bench.storage.list_keys(run_prefix(lost))) == []
    assert list(bench.storage.list_keys(run_prefix(noted.run_id)))


def test_a_run_whose_task_is_gone_is_settled(bench: Bench) -> None:
    run, ticket = bench.submit("echo never")
    bench.engine.forget(ticket)
    found = bench.runs.get(run.run_id)
    assert (found.outcome, found.exit_code) == (RunOutcome.LOST, None)
    assert found.error


def test_a_program_that_is_gone_or_a_template_that_is_gone_is_an_error_of_the_run(
    bench: Bench, start_worker: StartWorker, tmp_path: Path
) -> None:
    start_worker(scripts=True)
    run = bench.finish("exit 0", template=str(tmp_path / "nowhere"))
    assert run.outcome is RunOutcome.FAILED
    assert "cannot be made" in run.error
    run = bench.finish("exit 0", program=str(tmp_path / "gone"))
    assert run.outcome is RunOutcome.FAILED
    assert run.error


def test_one_owner_cannot_queue_without_end_and_lost_runs_do_not_count(bench: Bench, site: Settings) -> None:
    few = site.model_copy(update={"script_owner_runs": 2})
    bench.runs = Runs(few, bench.database, bench.storage, bench.engine)
    first = bench.submit("exit 0")
    bench.submit("exit 0")
    run_id = new_run_id()
    key = f"{inputs_prefix(run_id)}/0"
    bench.storage.put_bytes(key, b"x")
    with pytest.raises(TooManyRuns, match="2 runs"):
        bench.submit("exit 0", run_id=run_id, inputs=[InputFile(name="a", key=key, size=1)])
    assert list(bench.storage.list_keys(run_prefix(run_id))) == []
    with pytest.raises(NoSuchRun):
        bench.runs.get(run_id)
    bench.engine.forget(first[1])
    bench.submit("exit 0")


def test_folders_below_each_other_without_end_end_no_worker(bench: Bench, start_worker: StartWorker) -> None:
    start_worker(scripts=True)
    program = "import os\nos.chdir(os.environ['{}'])\nfor _ in range(4000):\n os.mkdir('a')\n os.chdir('a')"
    for folder in ("HOME", "SHARED_DIR"):
        run = bench.finish(f'exec /usr/bin/python3 -c "{program.format(folder)}"')
        assert run.outcome in (RunOutcome.EXITED, RunOutcome.DISK)
    assert bench.finish("exit 0").outcome is RunOutcome.EXITED
    wait_for(lambda: not list(bench.settings.work_folder.glob("*")), "the end of the folders")


@pytest.mark.xdist_group("s3")
def test_a_run_waits_for_an_object_store_that_is_away_and_succeeds(
    site: Settings, s3_server: S3Server, start_worker: StartWorker, tmp_path: Path
) -> None:
    store = s3_server.settings(site.data_path)
    place = {"storage": store.storage, "storage_options": store.storage_options}
    with behind_a_door(site.model_copy(update=place)) as (door, settings):
        bench = Bench(settings, tmp_path)
        run_id = new_run_id()
        key = f"{run_prefix(run_id)}/script"
        bench.storage.put_bytes(key, b"its text")
        run, ticket = bench.submit("cat", run_id=run_id, stdin_key=key)
        door.state = Door.FAILING
        start_worker(scripts=True, use=settings)
        # More often than one who is in a hurry tries.
        wait_for(lambda: door.refused > 8 or bench.engine.find(ticket).state.finished, "the tries")
        door.state = Door.OPEN
        assert ended(bench.engine, ticket).state is JobState.SUCCEEDED
        assert bench.output(bench.runs.get(run.run_id))[0] == "its text"
        bench.database.close()


def test_a_run_has_one_outcome_also_where_its_inputs_cannot_be_removed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row said that it had ended well, and its task had failed."""

    def away(_prefix: str) -> None:
        raise StorageUnavailable("The storage does not answer.")

    run, ticket = bench.submit("exit 0")
    bench.runs.begin(run.run_id, ticket)
    told: list[list[str]] = []
    monkeypatch.setattr(bench.storage, "delete_below", away)
    monkeypatch.setattr(runs, "settle", lambda *_: ["a notice"])
    monkeypatch.setattr(bench.runs, "_tell", told.append)
    assert bench.runs.end(run.run_id, Ending(RunOutcome.EXITED, 0), ())
    assert told == [["a notice"]]
