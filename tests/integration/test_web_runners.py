"""script-runner's protocol over HTTP: what is asked, answered and refused, and by whom. Runs end as they are told to;
`test_runner_whole_way.py` has them run."""

from __future__ import annotations

import base64
import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from knossos import __version__
from knossos.accounts import COOKIE_NAME, Account, Accounts, Role
from knossos.accounts.tokens import Scope
from knossos.database import Database
from knossos.jobs import Engine
from knossos.scripting.plan import FileRole, RunKind, RunOutcome, RunPlan, TokenPlan
from knossos.scripting.run_records import Ending, KeptFile, new_run_id, run_prefix
from knossos.scripting.runs import Runs
from knossos.settings import Settings
from knossos.storage import Storage
from knossos.web import create_app
from tests.support.issuer import AUDIENCE, Issuer
from tests.support.people import CHEAP, PASSWORD

SAME_ORIGIN = {"Origin": "http://localhost"}
CONFIG: dict[str, Any] = {
    "command": ["/bin/true", "fixed", "$PLATE", "$SEASON", "$CITY", "$RUNDIR"],
    "inputs": {
        "path_args": [{"env_var_name": "PLATE", "path_regex": "([^/]+)", "path_regex_match_group": 1}],
        "query_args": [{"env_var_name": "SEASON", "query_var_name": "season"}],
        "body_args": [{"env_var_name": "CITY", "body_jsonpath": "$.address.city"}],
    },
}
CALL = {"address": {"city": "Oslo"}}


@pytest.fixture
def runners_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "runners"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "plain.json").write_text(json.dumps({"command": ["/bin/true"], "title": "Plain"}))
    (folder / "broken.json").write_text(json.dumps({"command": ["/bin/true"], "limits": {"memory": 1}}))
    return folder


@pytest.fixture
def settings(settings: Settings, runners_dir: Path) -> Settings:
    return settings.model_copy(
        update={
            "runners_dir": runners_dir,
            "auth_provider": "none",
            "role_permissions": {"lab": ("RUNNER:EXECUTE:*",), "anonymous": ("RUNNER:EXECUTE:plain",)},
            "script_inline_bytes": 1000,
        }
    )


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture
def client(settings: Settings, engine: Engine, database: Database) -> FlaskClient:
    return create_app(settings, engine).test_client()


def with_provider(settings: Settings, engine: Engine, provider: str, **more: Any) -> FlaskClient:
    return create_app(settings.model_copy(update={"auth_provider": provider, **more}), engine).test_client()


@pytest.fixture
def knossos(settings: Settings, engine: Engine, database: Database) -> FlaskClient:
    return with_provider(settings, engine, "knossos")


@pytest.fixture
def runs(settings: Settings, engine: Engine, database: Database) -> Runs:
    return Runs(settings, database, Storage(settings), engine)


def end(runs: Runs, settings: Settings, run_id: str, files: list[tuple[FileRole, str, bytes]], **ending: Any) -> None:
    """Have a run end as its worker would tell it."""
    kept = []
    for number, (role, name, data) in enumerate(files):
        key = f"{run_prefix(run_id)}/{number}"
        Storage(settings).put_bytes(key, data)
        kept.append(KeptFile(number, role, name, len(data), key))
    runs.begin(run_id, 1)
    assert runs.end(run_id, Ending(**{"outcome": RunOutcome.EXITED, "exit_code": 0, **ending}), kept)


def started(answer: TestResponse) -> str:
    assert answer.status_code == 200, answer.text
    assert answer.json is not None
    assert answer.json == {"id": answer.json["id"], "status": "not-ready"}
    return str(answer.json["id"])


def account(database: Database, name: str, *roles: str) -> Account:
    """An account, also with roles that the settings name."""
    return Accounts(database, CHEAP).add(name, PASSWORD, roles, more_roles=("lab",))


def token(client: FlaskClient, owner: Account, *scopes: Scope) -> dict[str, str]:
    text = client.application.extensions["knossos"].tokens.issue_api(owner.user_id, "t", scopes or [Scope.RUN], None)
    return {"Authorization": f"Bearer {text}"}


# --- calling ------------------------------------------------------------------------------------------


def test_a_call_is_a_job_with_the_values_of_path_query_and_body(client: FlaskClient, engine: Engine) -> None:
    for address in ("/task/P7/more?season=1", "/script/P7/more?season=1"):
        run_id = started(client.post(address, json=CALL))
        record = engine.list_jobs()[0]
        payload = engine.payload(record.ticket)
        assert (record.kind, record.owner, record.title) == ("runner", "anonymous", "config")
        assert payload["run_id"] == run_id
        assert payload["arguments"] == ["fixed", "P7", "1", "Oslo", "$RUNDIR"]
        assert (payload["folders"], payload["rundir_in_arguments"]) == (["out"], True)
        assert client.get(f"/task/{run_id}").json == {"id": run_id, "status": "not-ready"}
        assert client.get(f"/script/{run_id}").json == {"id": run_id, "status": "not-ready"}


def test_a_first_part_that_names_a_runner_selects_it(client: FlaskClient, engine: Engine) -> None:
    started(client.post("/task/plain"))
    assert engine.list_jobs()[0].title == "Plain"
    started(client.post("/task/plain/rest", json=[]))
    started(client.post("/script/plain/rest", data=b""))
    assert client.post("/task").status_code == 400, "the default runner, whose path is empty"


#: What is asked, and the field that the answer names.
WRONG: list[tuple[str, Any, str]] = [
    ("/task?season=1", CALL, "path"),
    ("/task/P7", CALL, "query.season"),
    ("/task/P7?season=1&season=2", CALL, "query.season"),
    ("/task/P7?season=%00", CALL, "query.season"),
    ("/task/P%007?season=1", CALL, "path"),
    ("/task/--help?season=1", CALL, "path"),
    ("/task/P7?season=--exec", CALL, "query.season"),
    ("/task/P7?season=1", {"address": {}}, "body.$.address.city"),
    ("/task/P7?season=1", {"address": {"city": None}}, "body.$.address.city"),
    ("/task/P7?season=1", {"address": {"city": "x" * 200_000}}, "body.$.address.city"),
    ("/task/P7?season=1", "text", "body"),
    (f"/task/{'x' * 600}?season=1", CALL, "path"),
]


def test_what_is_missing_or_cannot_be_is_named_and_nothing_is_left(
    client: FlaskClient, engine: Engine, runs: Runs, settings: Settings
) -> None:
    for path, body, field in WRONG:
        answer = client.post(path, json=body)
        assert answer.status_code == 400, path
        assert answer.json is not None
        assert [error["path"] for error in answer.json["errors"]] == [field]
        assert answer.json["code"] == "invalid_input"
        assert answer.json["description"] == answer.json["message"]
    assert engine.list_jobs() == []
    assert runs.history(None) == []
    assert list(Storage(settings).list_keys("runs")) == []


def test_a_body_that_is_no_json_is_refused_whatever_it_calls_itself(client: FlaskClient) -> None:
    kinds = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")
    for body, kind in product((b"nonsense", b"a=b", b"{", b"\0"), kinds):
        answer = client.post("/task/P7?season=1", data=body, content_type=kind)
        assert (answer.status_code, answer.json and answer.json["errors"][0]["path"]) == (400, "body")
    large = client.post("/task/P7?season=1", data=b'"' + b"x" * 5_000_000 + b'"')
    assert large.status_code == 413
    assert large.json is not None


def test_what_is_not_there_is_told_in_json(client: FlaskClient, runners_dir: Path) -> None:
    assert client.post("/task/broken/x").status_code == 500
    broken = client.post("/task/broken/x").json
    assert broken is not None
    assert broken["code"] == "broken_runner"
    assert "broken.json: limits.memory: " in broken["description"]
    (runners_dir / "config.json").unlink()
    for answer in (client.post("/task/x"), client.post("/task"), client.get(f"/task/{new_run_id()}"),
                   client.get("/task/nonsense"), client.get("/script/" + "x" * 500)):  # fmt: skip
        assert answer.status_code == 404
        assert answer.json is not None
        assert set(answer.json) == {"code", "description", "message"}
    wrong = client.delete(f"/task/{new_run_id()}")
    assert (wrong.status_code, wrong.json and wrong.json["code"]) == (405, "method_not_allowed")


def test_health_tells_the_version(client: FlaskClient) -> None:
    assert client.get("/health").json == {"version": __version__, "server": True}


# --- results ------------------------------------------------------------------------------------------


def test_results_and_attachments_come_by_base_name(client: FlaskClient, runs: Runs, settings: Settings) -> None:
    run_id = started(client.post("/task/plain"))
    rows = [{"plateIndex": "1"}]
    end(runs, settings, run_id, [
        (FileRole.RESULTS, "results.json", json.dumps(rows).encode()),
        (FileRole.ATTACHMENT, "a.pdf", b"one"),
        (FileRole.ATTACHMENT, "out/a.pdf", b"two"),
        (FileRole.ATTACHMENT, "out/b.pdf", b""),
        (FileRole.STDOUT, "stdout", b"not told"),
        (FileRole.SHARED, "x", b"not told"),
    ])  # fmt: skip
    answer = client.get(f"/task/{run_id}").json
    one, two = base64.b64encode(b"one").decode(), base64.b64encode(b"two").decode()
    attachments = {"a.pdf": one, "out/a.pdf": two, "b.pdf": ""}
    assert answer == {"id": run_id, "status": "ready", "attachments": attachments, "results": rows}
    assert client.get(f"/script/{run_id}").json == answer


def test_what_is_large_comes_as_links_that_can_be_continued(
    client: FlaskClient, runs: Runs, settings: Settings
) -> None:
    run_id = started(client.post("/task/plain"))
    large, rows = bytes(range(256)) * 8, json.dumps([{"a": "b" * 2000}]).encode()
    middle = [(FileRole.ATTACHMENT, f"m{number}", b"m" * 900) for number in range(6)]
    end(runs, settings, run_id, [(FileRole.ATTACHMENT, "out/ü 1.html", large), *middle,
                                 (FileRole.RESULTS, "results.json", rows)])  # fmt: skip
    answer = client.get(f"/task/{run_id}").json
    assert answer is not None
    assert answer["results"] is None
    assert set(answer["attachments"]) == {"m0", "m1", "m2", "m3"}, "together they have a limit too"
    assert set(answer["links"]) == {"ü 1.html", "m4", "m5"}
    link = answer["links"]["ü 1.html"]
    assert link.startswith(f"http://localhost/task/{run_id}/files/0/")
    got = client.get(link)
    assert (got.status_code, got.data) == (200, large)
    assert got.headers["Content-Type"] == "application/octet-stream"
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert got.headers["Content-Disposition"] == "attachment; filename*=UTF-8''%C3%BC%201.html"
    assert "sandbox" in got.headers["Content-Security-Policy"]
    assert "public" not in got.headers["Cache-Control"]
    part = client.get(link, headers={"Range": "bytes=100-199", "If-Range": got.headers["ETag"]})
    assert (part.status_code, part.data) == (206, large[100:200])
    assert client.get(link, headers={"Range": "bytes=9999-"}).status_code == 416
    assert client.get(answer["results_link"]).json == json.loads(rows)
    for path in (f"/task/{run_id}/files/0/other", f"/task/{run_id}/files/99/m0", f"/task/{new_run_id()}/files/1/m0"):
        assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    ("ending", "says"),
    [
        ({"exit_code": 3, "error": "It ended with exit code 3."}, "It ended with exit code 3.\nlast line"),
        ({"exit_code": 3}, "It ended with exit code 3.\nlast line"),
        ({"outcome": RunOutcome.TIMEOUT, "exit_code": None, "error": "Too long."}, "Too long.\nlast line"),
    ],
)
def test_a_failed_run_tells_its_exit_code_and_the_end_of_standard_error(
    client: FlaskClient, runs: Runs, settings: Settings, ending: dict[str, Any], says: str
) -> None:
    run_id = started(client.post("/task/plain"))
    end(runs, settings, run_id, [(FileRole.STDERR, "stderr", b"\xff" * 9000 + b"\nlast line\n")], **ending)
    answer = client.get(f"/task/{run_id}").json
    assert answer is not None
    assert set(answer) == {"id", "status", "error"}
    assert answer["status"] == "failed"
    assert answer["error"].startswith(says.split("\n")[0])
    assert answer["error"].endswith(says.split("\n")[1])
    assert len(answer["error"]) < 5000


def test_runs_of_scripts_are_not_told_here(client: FlaskClient, runs: Runs) -> None:
    plan = RunPlan(run_id=new_run_id(), kind=RunKind.SCRIPT, name="x", program="/bin/true", keep_seconds=60)
    runs.submit(plan, owner="anonymous", title="x", shown=())
    assert client.get(f"/task/{plan.run_id}").status_code == 404


# --- who may ------------------------------------------------------------------------------------------


def test_accounts_call_with_a_token_what_their_roles_may(knossos: FlaskClient, database: Database) -> None:
    dora, erik = account(database, "dora", "lab"), account(database, "erik")
    started(knossos.post("/task/P7?season=1", json=CALL, headers=token(knossos, dora)))
    text = token(knossos, dora)["Authorization"].split()[1]
    started(knossos.post("/task/P7?season=1", json=CALL, headers={"X-KN-TOKEN": text}))
    denied = knossos.post("/task/P7?season=1", json=CALL, headers=token(knossos, erik))
    assert (denied.status_code, denied.json and denied.json["code"]) == (403, "may_not_call")
    scripting = knossos.application.extensions["knossos"].scripting
    run_id = started(knossos.post("/task/plain", headers=token(knossos, dora)))
    of_run = scripting.tokens.issue(TokenPlan(user_id=dora.user_id), run_id)
    bearer = {"Authorization": f"Bearer {of_run}"}
    started(knossos.post("/task/P7?season=1", json=CALL, headers=bearer))  # a script calls for its caller
    assert knossos.get(f"/task/{run_id}", headers=bearer).status_code == 200
    scope = knossos.post("/task/P7?season=1", json=CALL, headers=token(knossos, dora, Scope.READ, Scope.RELEASE))
    assert scope.status_code == 403
    assert scope.json is not None
    assert "scope run" in scope.json["description"]
    # Not even whether it is set up rightly, or is there.
    assert knossos.post("/task/broken", headers=token(knossos, erik)).status_code == 403
    olga = account(database, "olga", Role.OPERATOR)
    started(knossos.post("/task/P7?season=1", json=CALL, headers=token(knossos, olga)))


def test_whoever_says_nothing_or_something_wrong_gets_the_protocols_words(
    knossos: FlaskClient, database: Database
) -> None:
    tokens = knossos.application.extensions["knossos"].tokens
    dora = account(database, "dora", "lab")
    expired = tokens.issue_api(dora.user_id, "short", [Scope.RUN], 1e-6)
    for headers, code in (
        ({}, "authorization_header_missing"),
        ({"Authorization": "Basic eDp5"}, "invalid_header"),
        ({"Authorization": "Bearer nonsense"}, "invalid_header"),
        ({"Authorization": "Bearer knossos-run-nonsense"}, "invalid_header"),
        ({"X-KN-TOKEN": "nonsense"}, "invalid_header"),
        ({"Authorization": f"Bearer {expired}"}, "token_expired"),
    ):
        answer = knossos.post("/task/P7?season=1", json=CALL, headers=headers)
        assert answer.status_code == 401
        assert answer.json is not None
        assert (set(answer.json), answer.json["code"]) == ({"code", "description"}, code)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    started(knossos.post("/task/plain"))  # which the role anonymous may


def test_a_session_counts_for_pages_of_this_server_only(knossos: FlaskClient, database: Database) -> None:
    dora = account(database, "dora", "lab")
    knossos.set_cookie(COOKIE_NAME, knossos.application.extensions["knossos"].sessions.issue(dora))
    answer = knossos.post("/task/P7?season=1", json=CALL, headers=SAME_ORIGIN)
    run_id = started(answer)
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert knossos.get(f"/task/{run_id}").status_code == 200
    for headers in ({}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert knossos.post("/task/P7?season=1", json=CALL, headers=headers).status_code == 401


def test_results_are_their_owners_and_the_operators(
    knossos: FlaskClient, database: Database, runs: Runs, settings: Settings
) -> None:
    dora, erik, olga = (
        account(database, "dora", "lab"),
        account(database, "erik", "lab"),
        account(database, "olga", Role.OPERATOR),
    )
    run_id = started(knossos.post("/task/plain", headers=token(knossos, dora)))
    end(runs, settings, run_id, [(FileRole.ATTACHMENT, "a.bin", b"x" * 2000)])
    for path in (f"/task/{run_id}", f"/script/{run_id}", f"/task/{run_id}/files/0/a.bin"):
        for owner in (dora, olga):
            assert knossos.get(path, headers=token(knossos, owner)).status_code == 200
        for headers in ({}, token(knossos, erik)):
            refused = knossos.get(path, headers=headers)
            assert (refused.status_code, refused.json and refused.json["code"]) == (404, "no_such_run")


def test_callers_are_told_apart_by_an_issuer(
    settings: Settings, engine: Engine, database: Database, runs: Runs
) -> None:
    with Issuer() as issuer:
        oidc = {"oidc_issuer": issuer.url, "oidc_audience": AUDIENCE}
        client = with_provider(settings, engine, "oidc", **oidc)

        def bearer(sub: str, **claims: Any) -> dict[str, str]:
            return {"Authorization": f"Bearer {issuer.token(sub, **claims)}"}

        run_id = started(client.post("/task/P7?season=1", json=CALL, headers=bearer("dora")))
        assert engine.list_jobs()[0].owner == f"openid:{issuer.host}:dora"
        assert client.get(f"/task/{run_id}", headers=bearer("dora")).status_code == 200
        assert client.get(f"/task/{run_id}", headers=bearer("erik")).status_code == 404
        for headers, code in (
            ({}, "authorization_header_missing"),
            ({"Authorization": "Bearer x"}, "invalid_header"),
            (bearer("dora", exp=1), "token_expired"),
            (bearer("dora", aud="other"), "invalid_claims"),
        ):
            for answer in (client.get(f"/task/{run_id}", headers=headers), client.post("/task", headers=headers)):
                assert (answer.status_code, answer.json and answer.json["code"]) == (401, code)
        issuer.down = True
        away = with_provider(settings, engine, "oidc", **oidc).post("/task", headers=bearer("dora"))
        assert (away.status_code, away.json and away.json["code"]) == (503, "issuer_unavailable")


def test_other_sites_may_call_where_no_cookie_is_involved(client: FlaskClient) -> None:
    preflight = client.options(
        "/task/P7", headers={"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    )
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert "Access-Control-Allow-Credentials" not in preflight.headers
    answer = client.post("/task/plain", headers={"Origin": "https://a.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cache-Control"] == "no-store"
    refused = client.post("/task/P7", headers={"Origin": "https://a.example"})
    assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (400, "*")
