"""What a script says on its channel, and the token that it gets."""

from __future__ import annotations

import time
from base64 import b64decode

import pytest

from knossos.scripting.plan import FileRole, TokenPlan
from knossos.scripting.tokens import RunTokenExpired, RunTokens
from knossos.settings import Settings
from tests.conftest import StartWorker
from tests.support.processes import wait_for
from tests.support.script_runs import RunBench, ended


def test_what_a_script_says_on_its_channel_shows_in_its_task(bench: RunBench, start_worker: StartWorker) -> None:
    start_worker(scripts=True)
    run = bench.finish('echo "progress 0.5 half way" >&$KNOSSOS_FD; echo "warning look here" >&$KNOSSOS_FD')
    assert run.ticket is not None
    assert bench.engine.find(run.ticket).progress == (0.5, "half way")
    logged = [event.data for event in bench.engine.events(run.ticket) if event.type == "log"]
    assert [(line["level"], line["text"]) for line in logged] == [("WARNING", "look here")]


def test_the_token_is_on_the_command_line_and_nowhere_else(bench: RunBench, start_worker: StartWorker) -> None:
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


def test_a_token_is_covered_in_what_a_script_says_on_its_channel(bench: RunBench, start_worker: StartWorker) -> None:
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
    bench: RunBench, site: Settings, start_worker: StartWorker
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


def test_lines_of_the_channel_that_are_too_many_are_dropped_and_counted(
    bench: RunBench, start_worker: StartWorker
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
