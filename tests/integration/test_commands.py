"""The operator's commands, as `flask --app server ...` runs them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from knossos.accounts.tokens import Scope
from knossos.errors import AccessDenied
from knossos.jobs import Engine, overview
from knossos.settings import ROOT, Settings
from knossos.settings_file import child_environment
from knossos.web import create_app
from knossos.web.services import services
from tests.conftest import StartWorker
from tests.support.people import CHEAP, PASSWORD
from tests.support.processes import wait_for
from tests.support.schedules import ScheduleBench

LINE = f"{PASSWORD}\n"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"command": "sh", "args": ("-s",)})


@pytest.fixture
def app(settings: Settings, engine: Engine) -> Iterator[Flask]:
    made = create_app(settings, engine)
    with made.app_context():
        services().database.migrate()
        services().accounts._passwords = CHEAP
        database = services().database
    yield made
    database.close()


def run(app: Flask, *arguments: str, stdin: str = "") -> Result:
    return app.test_cli_runner().invoke(args=list(arguments), input=stdin)


def succeed(app: Flask, *arguments: str, stdin: str = "") -> list[str]:
    result = run(app, *arguments, stdin=stdin)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def fail(app: Flask, *arguments: str, stdin: str = "") -> tuple[int, str]:
    result = run(app, *arguments, stdin=stdin)
    return result.exit_code, result.stderr.splitlines()[-1]


def test_accounts_are_added_listed_shut_out_and_given_roles(app: Flask) -> None:
    assert succeed(app, "user", "add", "dora", "--email", "d@example.org", stdin=LINE) == ["added dora"]
    succeed(app, "user", "add", "Olga", "--role", "operator", stdin=LINE)
    assert succeed(app, "user", "disable", "DORA") == ["disabled dora"]
    assert [line.split() for line in succeed(app, "user", "list")] == [
        ["NAME", "ROLES", "MAIL", "STATE"],
        ["dora", "d@example.org", "disabled"],
        ["Olga", "operator", "active"],
    ]
    assert succeed(app, "user", "enable", "dora") == ["enabled dora"]
    assert succeed(app, "user", "roles", "dora") == ["dora: no roles"]
    assert succeed(app, "user", "roles", "dora", "operator") == ["dora: operator"]
    assert succeed(app, "user", "roles", "dora", "--none") == ["dora: no roles"]


def test_accounts_may_have_the_roles_that_the_settings_name(settings: Settings, engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "tokens.yml").write_text("- {purpose: 'SCRIPTING:EXECUTE:x.py', roles: [keepers]}\n")
    more = {
        "role_permissions": {"curators": ("SCRIPTING:EXECUTE:*",), "anonymous": ("SCRIPTING:EXECUTE:open.py",)},
        "authtoken_config": str(tmp_path / "tokens.yml"),
    }
    app = create_app(settings.model_copy(update=more), engine)
    with app.app_context():
        services().database.migrate()
        services().accounts._passwords = CHEAP
    succeed(app, "user", "add", "dora", "--role", "curators", "--role", "administration", stdin=LINE)
    assert succeed(app, "user", "roles", "dora") == ["dora: administration curators"]
    assert succeed(app, "user", "roles", "dora", "keepers", "operator") == ["dora: keepers operator"]
    known = "expected only roles of: operator, administration, curators, keepers"
    for role in ("king", "anonymous"):
        refused = f"Error: roles: there is no role {role}; {known}"
        assert fail(app, "user", "roles", "dora", role) == (1, refused)
        assert fail(app, "user", "add", "erik", "--role", role, stdin=LINE) == (1, refused)
    (tmp_path / "tokens.yml").unlink()
    again = create_app(settings.model_copy(update=more), engine)
    code, message = fail(again, "user", "roles", "dora", "curators")
    assert (code, "AUTHTOKEN_CONFIG" in message) == (2, True)
    for made in (app, again):
        with made.app_context():
            services().database.close()


def test_a_password_comes_from_standard_input_and_opens_a_locked_account(app: Flask) -> None:
    succeed(app, "user", "add", "dora", "--email", "d@example.org", stdin=LINE)
    with app.app_context():
        logins = services().logins
        for _ in range(services().settings.login_failures_per_account):
            with pytest.raises(AccessDenied):
                logins.log_in("dora", "wrong", "")
    succeed(app, "user", "password", "dora", stdin="another one\r\n")
    with app.app_context():
        # The operator vouches for the address: nobody waits for a mail.
        assert services().logins.log_in("dora", "another one", "").email == "d@example.org"
    assert fail(app, "user", "add", "ivan", stdin="")[0] == 1
    with app.app_context():
        assert services().accounts.find("ivan") is None


def test_a_token_is_printed_once_and_can_be_revoked(app: Flask) -> None:
    succeed(app, "user", "add", "dora", stdin=LINE)
    [text] = succeed(app, "token", "add", "dora", "CI", "--scope", "upload", "--scope", "release", "--days", "7")
    with app.app_context():
        assert services().tokens.check(text).scopes == {Scope.UPLOAD, Scope.RELEASE}
    _, line = succeed(app, "token", "list", "dora")
    assert line.split()[:5] == ["1", "api", "CI", "release", "upload"]
    assert text not in line
    assert succeed(app, "token", "revoke", "1") == ["revoked 1"]
    with app.app_context(), pytest.raises(AccessDenied):
        services().tokens.check(text)
    assert len(succeed(app, "token", "list", "dora")) == 1


def test_the_audit_log_tells_what_was_done_without_what_a_terminal_would_obey(app: Flask) -> None:
    succeed(app, "user", "add", "dora", stdin=LINE)
    with app.app_context():
        services().audit.write(actor="dora", address="192.0.2.1", action="login.lock", subject="user:\x1b[2J")
    lines = succeed(app, "audit")
    assert [line.split()[2:] for line in lines[1:]] == [
        ["dora", "192.0.2.1", "login.lock", "user:?[2J"],
        ["operator", "-", "user.add", "user:dora"],
    ]
    assert len(succeed(app, "audit", "--subject", "user:dora")) == 2
    assert len(succeed(app, "audit", "--actor", "dora", "--limit", "1")) == 2


def test_a_backup_is_written_and_restored(app: Flask, tmp_path: Path) -> None:
    succeed(app, "user", "add", "dora", stdin=LINE)
    file = tmp_path / "backup"
    [said] = succeed(app, "backup", str(file))
    assert said.endswith(f"to {file}")
    assert fail(app, "restore", str(file))[0] == 1
    succeed(app, "user", "add", "ivan", stdin=LINE)
    [said] = succeed(app, "restore", "--replace", str(file))
    assert said.startswith("restored ")
    with app.app_context():
        assert [account.name for account in services().accounts.list_accounts()] == ["dora"]


def test_nothing_is_restored_under_the_feet_of_a_worker(
    app: Flask, engine: Engine, start_worker: StartWorker, tmp_path: Path
) -> None:
    file = tmp_path / "backup"
    succeed(app, "backup", str(file))
    succeed(app, "user", "add", "dora", stdin=LINE)
    worker = start_worker()
    wait_for(lambda: overview.living(engine), "a sign of life")
    code, said = fail(app, "restore", "--replace", str(file))
    assert code == 1
    assert said.startswith(f"Error: workers are running: {worker.popen.pid} on ")
    assert len(succeed(app, "user", "list")) == 2
    assert worker.stop() == 0
    succeed(app, "restore", "--replace", str(file))
    assert len(succeed(app, "user", "list")) == 1


def test_a_restored_server_has_schedules_runs_and_homes_and_nobody_gets_the_home_of_another(
    app: Flask, settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    file = tmp_path / "backup"
    with app.app_context():
        bench = ScheduleBench(settings, services().database, engine)
        dora = bench.account("dora")
        schedule = bench.made.schedules.create(dora, {"kind": "home", "text": "echo hello", "cron": "0 * * * *"})
        run_id = bench.made.firings.run_now(dora, schedule.schedule_id).run_id
        with services().homes.open(dora.user_id) as home:
            home.make_folder("/", "of dora")
        succeed(app, "backup", str(file))
        ivan = bench.account("ivan")
        with services().homes.open(ivan.user_id) as home:
            home.make_folder("/", "of ivan")
        bench.made.schedules.remove(dora, schedule.schedule_id)
        said = succeed(app, "restore", "--replace", str(file))
        assert said[1] == "took away 1 home(s) of accounts that the backup lacks; cron.py removes them"
        assert bench.made.schedules.get(dora, schedule.schedule_id).next_at == schedule.next_at
        assert services().scripting.runs.get(run_id).owner == "account:dora"
        assert [path.name for path in services().homes.folder(dora.user_id).iterdir()] == ["of dora"]
        olga = bench.account("olga")
        assert olga.user_id == ivan.user_id
        with services().homes.open(olga.user_id):
            assert list(services().homes.folder(olga.user_id).iterdir()) == []


def test_what_goes_wrong_is_one_line_and_an_exit_code(app: Flask, tmp_path: Path) -> None:
    succeed(app, "user", "add", "dora", stdin=LINE)
    assert fail(app, "user", "add", "Dora", stdin=LINE) == (1, "Error: there is already an account called Dora")
    assert fail(app, "user", "disable", "nobody") == (1, "Error: there is no account called nobody")
    assert fail(app, "user", "password", "nobody") == (1, "Error: there is no account called nobody")
    assert fail(app, "token", "add", "nobody", "CI", "--scope", "read") == (
        1,
        "Error: there is no account called nobody",
    )
    assert fail(app, "token", "revoke", "7") == (1, "Error: There is no token 7.")
    assert fail(app, "user", "roles", "dora", "operator", "--none")[0] == 2
    foreign = tmp_path / "foreign"
    foreign.write_text("x")
    assert fail(app, "restore", str(foreign)) == (1, f"Error: {foreign} is no backup of this server")
    with app.app_context():
        services().database.migrate("base")
    code, line = fail(app, "user", "list")
    assert (code, "no tables yet" in line) == (3, True)


def test_bad_settings_are_one_line_for_a_command_too(tmp_path: Path) -> None:
    file = tmp_path / "settings.py"
    file.write_text("WORKER = 3\n")
    command = [sys.executable, "-m", "flask", "--app", "server", "user", "list"]
    environment = child_environment(KNOSSOS_SETTINGS=str(file))
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "Error: WORKER: there is no such setting; conf/settings.py.dist lists all of them\n"
