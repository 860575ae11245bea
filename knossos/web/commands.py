"""The operator's commands: ``flask --app server user|token|audit|backup|restore ...``.

They work on the database alone, whether or not the servers run. Passwords are asked for, or read from standard input,
and never arguments, which every user of the machine can see. An error is one line, with the exit code of its kind.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import redis
from flask import Flask
from flask.cli import AppGroup, with_appcontext
from sqlalchemy.exc import DBAPIError

from knossos.accounts.accounts import known_roles
from knossos.accounts.administration import By
from knossos.accounts.audit import OPERATOR
from knossos.accounts.tokens import Scope
from knossos.errors import EXIT_BAD_SETTINGS, EXIT_CRASH, EXIT_MISSING, KnossosError, MissingDependency, SettingsError
from knossos.jobs import Engine, overview
from knossos.publishing.repository.job import catch_up
from knossos.settings import Settings
from knossos.settings_file import load_settings
from knossos.web.services import services

DAY = 86400.0


class Failure(click.ClickException):
    """One line for people, and the exit code of its kind."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click itself sets it on the class only


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn what goes wrong in a command into one line and an exit code. Elsewhere errors stay as they are."""
    try:
        yield
    except (KnossosError, DBAPIError) as error:
        if click.get_current_context(silent=True) is None:
            raise
        raise _failure(error) from error


def settings_of_command() -> Settings:
    """The settings; in a command, what is wrong with them is one line."""
    with one_line_errors():
        return load_settings()


def _failure(error: KnossosError | DBAPIError) -> Failure:
    if isinstance(error, DBAPIError):
        said = " ".join(str(error.orig).split())
        if "no such table" in said or type(error.orig).__name__ == "UndefinedTable":
            said = "it has no tables yet; start the server once, or restore a backup"
        return Failure(f"the database: {said}", EXIT_MISSING)
    if isinstance(error, SettingsError):
        return Failure(error.message, EXIT_BAD_SETTINGS)
    return Failure(error.message, EXIT_MISSING if isinstance(error, MissingDependency) else EXIT_CRASH)


class Command(click.Command):
    """A command whose errors are one line."""

    def invoke(self, ctx: click.Context) -> Any:
        with one_line_errors():
            return super().invoke(ctx)


user = AppGroup("user", help="Accounts of people.")
token = AppGroup("token", help="API tokens for programs.")


def install(app: Flask) -> None:
    for command in (user, token, audit, backup, restore):
        app.cli.add_command(command)


# --- user -------------------------------------------------------------------------------------------


@user.command("add", cls=Command)
@click.argument("name")
@click.option("--email", help="Where mails to them go.")
@click.option("--role", "roles", multiple=True, help="What they are on this site; may be repeated.")
def user_add(name: str, email: str | None, roles: Sequence[str]) -> None:
    """Make the account NAME. Its password is asked for, or read from standard input.

    A role is "operator", "administration" (runs all scripts), or one of ROLE_PERMISSIONS or AUTHTOKEN_CONFIG.
    """
    known_roles(roles, _more_roles())  # say that one is unknown before asking for a password
    account = services().accounts.add(name, _password(), roles, email, more_roles=_more_roles())
    click.echo(f"added {account.name}")


@user.command("list", cls=Command)
def user_list() -> None:
    """List all accounts."""
    rows = [
        (account.name, " ".join(sorted(account.roles)), account.email or "", _state(account.verified, account.disabled))
        for account in services().accounts.list_accounts()
    ]
    table(("NAME", "ROLES", "MAIL", "STATE"), rows)


@user.command("disable", cls=Command)
@click.argument("name")
def user_disable(name: str) -> None:
    """Shut the account NAME out at once. What it published stays."""
    click.echo(f"disabled {services().accounts.disable(name).name}")


@user.command("enable", cls=Command)
@click.argument("name")
def user_enable(name: str) -> None:
    """Let the account NAME in again."""
    click.echo(f"enabled {services().accounts.enable(name).name}")


@user.command("remove", cls=Command)
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def user_remove(name: str, yes: bool) -> None:
    """Remove the account NAME with its home, its runs and its tokens. What it published stays. Needs Redis."""
    account = services().accounts.get(name)
    if not yes:
        click.confirm(f"Remove {account.name}, with all files of its home?", abort=True)
    try:
        gone = services().departure.remove(account.name, By(OPERATOR, None))
    except redis.RedisError as error:
        raise Failure(f"{account.name} is disabled, and not removed: Redis does not answer", EXIT_MISSING) from error
    click.echo(f"removed {gone.name}")
    for mod_id in gone.mods:
        click.echo(f"an operator owns {mod_id} now")


@user.command("password", cls=Command)
@click.argument("name")
def user_password(name: str) -> None:
    """Set the password of the account NAME; its sessions and tokens are void, and no lock keeps it out."""
    services().accounts.get(name)  # say that it is unknown before asking for a password
    account = services().accounts.set_password(name, _password())
    services().logins.unlock(account.name)
    click.echo(f"set the password of {account.name}")


@user.command("roles", cls=Command)
@click.argument("name")
@click.argument("roles", nargs=-1)
@click.option("--none", "no_roles", is_flag=True, help="Take all roles away.")
def user_roles(name: str, roles: Sequence[str], no_roles: bool) -> None:
    """Show the roles of the account NAME, or give it exactly ROLES.

    A role is "operator", "administration" (runs all scripts), or one of ROLE_PERMISSIONS or AUTHTOKEN_CONFIG.
    """
    if roles and no_roles:
        raise click.UsageError("expected either roles or --none")
    change = roles or no_roles
    accounts = services().accounts
    account = accounts.set_roles(name, roles, more_roles=_more_roles()) if change else accounts.get(name)
    click.echo(f"{account.name}: {' '.join(sorted(account.roles)) or 'no roles'}")


def _more_roles() -> frozenset[str]:
    """The roles that only what may be called knows of; none of them counts for what accounts do here."""
    return services().scripting.role_names()


# --- token ------------------------------------------------------------------------------------------

_scopes = click.Choice([scope.value for scope in Scope])


@token.command("add", cls=Command)
@click.argument("user_name", metavar="USER")
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, required=True, type=_scopes, help="May be repeated.")
@click.option(
    "--days", type=click.FloatRange(min=0, min_open=True), help="For how long it is good; by default for ever."
)
def token_add(user_name: str, name: str, scopes: Sequence[str], days: float | None) -> None:
    """Make an API token called NAME for the account USER, and print it. It is shown only now."""
    account = services().accounts.get(user_name)
    click.echo(services().tokens.issue_api(account.user_id, name, scopes, None if days is None else days * DAY))


@token.command("list", cls=Command)
@click.argument("user_name", metavar="USER")
def token_list(user_name: str) -> None:
    """List the tokens and logins of the account USER."""
    account = services().accounts.get(user_name)
    rows = [
        (str(one.token_id), one.kind, one.name, " ".join(sorted(one.scopes)), _when(one.created_at),
         _when(one.expires_at), _when(one.last_used_at))
        for one in services().tokens.list_tokens(account.user_id, kind=None)
    ]  # fmt: skip
    table(("ID", "KIND", "NAME", "SCOPES", "MADE", "GOOD UNTIL", "LAST USED"), rows)


@token.command("revoke", cls=Command)
@click.argument("token_id", type=int, metavar="ID")
def token_revoke(token_id: int) -> None:
    """Make the token ID void at once."""
    services().tokens.revoke(token_id)
    click.echo(f"revoked {token_id}")


# --- audit, backup, restore -------------------------------------------------------------------------


@click.command("audit", cls=Command)
@click.option("--limit", default=50, type=click.IntRange(1, 1_000_000), help="Most entries to show.", show_default=True)
@click.option("--subject", default="", help='Only what was done to that, such as "user:dora".')
@click.option("--actor", default="", help="Only what that account did.")
@with_appcontext
def audit(limit: int, subject: str, actor: str) -> None:
    """Show the latest entries of the audit log, newest first."""
    rows = [
        (_when(one.at), one.actor or "-", one.address or "-", one.action, one.subject,
         json.dumps(one.details) if one.details else "")
        for one in services().audit.latest(limit, subject=subject, actor=actor)
    ]  # fmt: skip
    table(("WHEN", "WHO", "FROM", "WHAT", "TO", "MORE"), rows)


@click.command("backup", cls=Command)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@with_appcontext
def backup(file: Path) -> None:
    """Write every row of the database to FILE, while the server may run. Stored files are no part of it."""
    from knossos import backup as backups  # brings Alembic, which the server itself does without

    summary = backups.backup(services().database, file)
    click.echo(f"wrote {summary.total} rows of {len(summary.rows)} tables to {file}")


@click.command("restore", cls=Command)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Take the place of all that is in the database now.")
@with_appcontext
def restore(file: Path, replace: bool) -> None:
    """Put the backup FILE into an empty database. Stop servers and workers before."""
    from knossos import backup as backups

    _workers_are_stopped(services().settings)
    summary = backups.restore(services().database, file, replace=replace)
    click.echo(f"restored {summary.total} rows of {len(summary.rows)} tables from {file}")
    known = {account.user_id for account in services().accounts.list_accounts()}
    if strangers := services().homes.discard_strangers(known):
        click.echo(f"took away {len(strangers)} home(s) of accounts that the backup lacks; cron.py removes them")
    try:
        catch_up(services().settings)
    except redis.RedisError:
        click.echo("the repository's files follow when a worker is started")


def _workers_are_stopped(settings: Settings) -> None:
    """What a worker is at belongs to the rows that a restore takes away."""
    try:
        running = overview.living(Engine(settings, patience_seconds=0))
    except redis.RedisError:
        return  # no worker does anything without it
    if running:
        names = ", ".join(f"{worker.pid} on {worker.host}" for worker in running)
        raise click.ClickException(
            f"workers are running: {names}. Stop them and the servers first; one that was killed counts as running"
            f" for {settings.worker_lost_seconds:g} seconds. Nothing was changed."
        )


# --- in and out -------------------------------------------------------------------------------------


def _password() -> str:
    """Ask for a password, twice; where nobody sits at a terminal, take the first line of standard input."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


def _state(verified: bool, disabled: bool) -> str:
    return "disabled" if disabled else "active" if verified else "not verified"


def _when(at: float | None) -> str:
    return "-" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns; what is not printable in a cell is a question mark."""
    shown = [tuple("".join(c if c.isprintable() else "?" for c in cell) for cell in row) for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(heads, *shown, strict=True)]
    for row in (heads, *shown):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
