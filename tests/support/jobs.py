"""Job functions for tests of the engine. Each does one thing that jobs do, or that goes wrong in them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from knossos.errors import KnossosError
from knossos.jobs import JobContext, JobSpec, QuestionTimeout
from knossos.publishing.tables import Release


class Broken(KnossosError):
    code = "broken"


class Hopeless(KnossosError):
    code = "hopeless"
    retryable = False


def echo(context: JobContext, payload: dict[str, Any]) -> dict[str, Any]:
    """Give back what came."""
    return payload


def tables(context: JobContext, payload: dict[str, Any]) -> dict[str, bool]:
    """Whether SQLAlchemy has done what it does before the first statement, by the name of a table."""
    return {table.__tablename__: table.__mapper__.configured for table in (Release,)}


def talk(context: JobContext, payload: dict[str, Any]) -> int:
    """Log so many lines."""
    for number in range(payload["lines"]):
        context.info(f"line {number + 1}")
        context.progress(number / payload["lines"], f"at {number + 1}")
    return int(payload["lines"])


def print_out(context: JobContext, payload: dict[str, Any]) -> None:
    """Pass on what a program writes."""
    for stream, text in (("stdout", "one\n"), ("stderr", "two"), ("stdout", "three\n")):
        context.output(stream, text)


def fail(context: JobContext, payload: dict[str, Any]) -> None:
    """Raise something on purpose."""
    raise Broken("It broke.", file="a.7z")


def fail_until(context: JobContext, payload: dict[str, Any]) -> int:
    """Raise until the attempt with this number."""
    if context.attempt < payload["attempt"]:
        raise Broken(f"attempt {context.attempt} broke")
    return context.attempt


def fail_for_good(context: JobContext, payload: dict[str, Any]) -> None:
    """Raise what no retry can help."""
    raise Hopeless("There is no hope.")


def crash(context: JobContext, payload: dict[str, Any]) -> None:
    """Raise something that nobody foresaw."""
    raise ZeroDivisionError("a secret of the server")


def submit_another(context: JobContext, payload: dict[str, Any]) -> int:
    """Submit a job, and answer its ticket."""
    return context.engine.submit(JobSpec(function="tests.support.jobs.echo", kind="test", title="", owner="o")).ticket


def linger(context: JobContext, payload: dict[str, Any]) -> str:
    """Say that it has begun, wait until a file appears, and finish."""
    context.info(f"attempt {context.attempt} began")
    (context.workspace / "temporary").write_text("x")
    while not Path(payload["until"]).exists():
        time.sleep(0.02)
        if payload.get("talks"):
            context.check()
    context.info("ended")
    return f"attempt {context.attempt}"


def spawn(context: JobContext, payload: dict[str, Any]) -> None:
    """Start another program that outlives a careless job, tell its number, and wait for it."""
    child = subprocess.Popen(["sleep", "600"], start_new_session=bool(payload.get("own_session")))
    Path(payload["pid_file"]).write_text(str(child.pid))
    context.info("spawned")
    child.wait()


def die(context: JobContext, payload: dict[str, Any]) -> None:
    """Be killed as if memory had run out."""
    os.kill(os.getpid(), signal.SIGKILL)


def ask(context: JobContext, payload: dict[str, Any]) -> str:
    """Ask the user."""
    return context.ask("captcha", {"image": "http://127.0.0.1/captcha.png"}, payload.get("seconds"))


def ask_and_talk(context: JobContext, payload: dict[str, Any]) -> None:
    """Ask many questions that nobody answers, then log many lines."""
    for _ in range(payload["questions"]):
        with contextlib.suppress(QuestionTimeout):
            context.ask("captcha", {}, 0.01)
        context.info("asked")
    talk(context, payload)


def workspace(context: JobContext, payload: dict[str, Any]) -> str:
    """Use the private folder."""
    folder = context.workspace
    (folder / "inner").mkdir()
    (folder / "inner" / "file").write_text("x")
    os.chmod(folder / "inner", 0o500)
    return str(folder)


def note_run(context: JobContext, payload: dict[str, Any]) -> None:
    """Add a line to a file for each run."""
    with open(payload["file"], "a") as file:
        file.write(f"{payload.get('ticket', context.ticket)}\n")


def tell_signals(context: JobContext, payload: dict[str, Any]) -> list[str]:
    """Note which signals its program should get, until that is to be killed."""
    context.info("began")
    wished: list[str] = []
    while "kill" not in wished:
        wished += context.signals()
        time.sleep(0.02)
    return wished
