"""A run from its plan to what is kept of it: the product's worker, the real sandbox, on both databases."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from knossos import tracing
from knossos.database import Base
from knossos.jobs import Engine
from knossos.jobs.rq_worker import EngineWorker
from knossos.scripting import run_job, run_rows
from knossos.scripting.plan import FileRole, InputFile, RunKind, RunOutcome, RunPlan, TokenPlan
from knossos.scripting.run_records import (
    ANONYMOUS_OWNER,
    NoSuchRun,
    TooManyRuns,
    inputs_prefix,
    new_run_id,
    run_prefix,
)
from knossos.scripting.runs import Runs
from knossos.scripting.tables import ScriptRun
from knossos.settings import Settings
from tests.conftest import StartWorker
from tests.support.processes import wait_for
from tests.support.sandbox import in_a_child
from tests.support.script_runs import RunBench, ended


def test_a_concurrency_of_its_own_does_not_pass_by_what_its_owner_may_run(bench: RunBench) -> None:
    def submit(name: str, owner: str) -> int:
        plan = RunPlan(run_id=new_run_id(), kind=RunKind.SCRIPT, name=name, program="/bin/true", keep_seconds=60)
        limits = bench.runs.limits(plan.kind, name, 100, owner)
        return bench.runs.submit(plan, owner=owner, title="A script", shown=(), limits=limits)[1].ticket

    most = bench.settings.script_owner_concurrency
    mine = [submit(f"script-{number % 2}.sh", "account:dora") for number in range(most + 2)]
    other = submit("script-0.sh", "account:emil")
    assert [bench.engine.position(ticket) for ticket in mine] == [*range(most), None, None]
    assert bench.engine.position(other) == most


def test_output_exit_code_and_shared_files_are_kept(bench: RunBench, start_worker: StartWorker) -> None:
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
    bench = RunBench(use, tmp_path)
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
    bench: RunBench, start_worker: StartWorker
) -> None:
    start_worker(product=True)
    with tracing.at_request("behind-it"):
        run = bench.finish('echo "$KNOSSOS_RUN $KNOSSOS_REQUEST"\n')
    assert bench.output(run)[0] == f"{run.run_id} behind-it\n"


def test_what_is_rehearsed_works_and_leaves_nothing(bench: RunBench) -> None:
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


def test_input_files_and_the_template_are_there_and_go_with_the_run(
    bench: RunBench, start_worker: StartWorker, tmp_path: Path
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


def test_one_owner_cannot_queue_without_end_and_lost_runs_do_not_count(bench: RunBench, site: Settings) -> None:
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


def test_a_run_whose_task_is_in_the_queue_is_accepted_although_its_number_cannot_be_noted(
    bench: RunBench, monkeypatch: pytest.MonkeyPatch, start_worker: StartWorker
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("UPDATE", {}, ConnectionError("server closed the connection unexpectedly"))

    monkeypatch.setattr(run_rows, "queued", away)
    run, ticket = bench.submit("echo done")
    assert bench.runs.get(run.run_id).ticket is None
    start_worker(scripts=True)
    ended(bench.engine, ticket)
    found = bench.runs.get(run.run_id)
    assert (found.ticket, found.outcome, found.exit_code) == (ticket, RunOutcome.EXITED, 0)


def test_a_run_in_a_home_whose_script_is_gone_ends_in_words_and_one_that_was_withdrawn_does_not_run(
    bench: RunBench, tmp_path: Path, start_worker: StartWorker
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    plans = [(run_id := new_run_id(), f"{run_prefix(run_id)}/script") for _ in range(2)]
    tickets = []
    for run_id, key in plans:
        bench.storage.put_bytes(key, b"echo")
        _, ticket = bench.submit("echo", run_id=run_id, folder=str(home), stdin_key=key)
        tickets.append(ticket)
        bench.storage.delete(key)
    with bench.database.session() as session:
        session.delete(session.get_one(ScriptRun, plans[1][0]))
    start_worker(scripts=True)
    records = [ended(bench.engine, ticket) for ticket in tickets]
    assert [record.failure and record.failure.code for record in records] == ["script_failed", "no_such_run"]
    run = bench.runs.get(plans[0][0])
    assert (run.outcome, run.error) == (RunOutcome.FAILED, "What was sent for this run is not stored any more.")
