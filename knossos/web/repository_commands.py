"""The operator's commands for the repository's files: ``flask --app server repository rebuild|status``.

A worker does the work: it has the key with which the files are signed, and what it has built already.
"""

from __future__ import annotations

import time

import click
from flask.cli import AppGroup

from knossos.errors import EXIT_CRASH
from knossos.jobs import Engine, JobState
from knossos.publishing.repository.job import submit_rebuild
from knossos.web.commands import Command, Failure
from knossos.web.services import services

#: Seconds between two looks whether the task has ended.
PAUSE_SECONDS = 0.2

repository = AppGroup("repository", help="The files that clients install from.")


@repository.command("rebuild", cls=Command)
@click.option("--wait/--no-wait", default=True, help="Wait until it is done (the default), or leave it to the worker.")
def rebuild(wait: bool) -> None:
    """Make and sign all files anew from the database, such as after a restore."""
    engine = services().engine
    task = submit_rebuild(engine)
    click.echo(f"task {task.ticket} makes the files anew; a worker has to be running")
    if wait:
        _follow(engine, task.ticket)


@repository.command("status", cls=Command)
def status() -> None:
    """Show what is published, and whether it lacks a change."""
    files = services().publisher.repository
    published, missing = files.published(), files.missing_change()
    if published is None:
        click.echo("nothing is published yet")
    else:
        for name, file in published.files.items():
            click.echo(f"{name}.json: change {published.change}, {file.size} bytes, BLAKE2b {file.blake2b}")
    click.echo("up to date" if missing is None else f"change {missing} is missing")


def _follow(engine: Engine, ticket: int) -> None:
    while not (task := engine.find(ticket)).state.finished:
        time.sleep(PAUSE_SECONDS)
    if task.state is not JobState.SUCCEEDED:
        raise Failure(task.failure.message if task.failure else f"task {ticket} failed", EXIT_CRASH)
    click.echo(f"the files hold change {engine.result(ticket)['change']}")
