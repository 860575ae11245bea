"""The operator's commands for scripts and runners: ``flask --app server scripts list|check``.

They read the settings and the files that these name; neither the database nor Redis is asked.
"""

from __future__ import annotations

import click
from flask.cli import AppGroup

from knossos.errors import EXIT_BAD_SETTINGS, MissingDependency
from knossos.scripting.checking import is_configured, problems
from knossos.scripting.metadata import ScriptMetadata
from knossos.scripting.runners.model import RunnerFile
from knossos.settings import Settings
from knossos.web.commands import Command, Failure, table
from knossos.web.services import services

scripts = AppGroup("scripts", help="Scripts and runners that may be called.")


@scripts.command("list", cls=Command)
def list_all() -> None:
    """List the scripts and the runners, with what differs from the settings."""
    scripting = services().scripting
    rows = [("script", one.name, one.title, _said(one.metadata)) for one in scripting.catalogue.scripts()]
    rows += [("runner", one.name, one.title, _said(one.file)) for one in scripting.runners.all()]
    table(("KIND", "NAME", "TITLE", "MORE"), rows)


@scripts.command("check", cls=Command)
def check() -> None:
    """Say what is wrong with which file, and whether the sandbox works. Run it as the user who runs the workers.

    Exit codes: 0 all is well, 2 a file or a setting is wrong, 3 the sandbox cannot work on this machine.
    """
    settings = services().settings
    if not is_configured(settings):
        click.echo("there are no scripts: neither SERVER_SIDE_SCRIPTING_BIN_DIRS nor RUNNERS_DIR is set")
        return
    wrong = problems(settings)
    for line in wrong:
        click.echo(line)
    try:
        _check_sandbox(settings)
    except MissingDependency as error:
        if not wrong:
            raise
        click.echo(error.message)
    if wrong:
        raise Failure(f"{len(wrong)} of these lines name a file or a setting to be mended", EXIT_BAD_SETTINGS)
    click.echo("all scripts and runners are in order")


def _check_sandbox(settings: Settings) -> None:
    from knossos.scripting import sandbox  # the other commands do without all that it brings

    sandbox.check(settings)
    if settings.script_sandbox == "none":
        click.echo("there is no sandbox, since SCRIPT_SANDBOX is 'none': scripts may do all that their user may")
    else:
        click.echo("the sandbox works")


def _said(file: ScriptMetadata | RunnerFile) -> str:
    """What a file says of its script or runner, in a few words."""
    words = [f"{name}={value:.10g}" for name, value in file.limits if value is not None]
    if isinstance(file, ScriptMetadata):
        words += ["form"] * (file.form is not None) + ["html"] * (file.output == "html")
    words += ["network"] * file.network + ["mail"] * file.mail
    for name in ("concurrency", "retries", "keep_seconds"):
        if value := getattr(file, name):
            words.append(f"{name}={value:.10g}")
    return " ".join(words)
