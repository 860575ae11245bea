"""The server is asked everything that its description allows, and much that it does not, over a real Redis and a real
database: it never fails, and answers with nothing but what is described."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
import redis
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from lxml import etree
from PIL import Image
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from knossos.accounts import COOKIE_NAME, Accounts
from knossos.jobs import Engine
from knossos.scripting.plan import FileRole, RunOutcome
from knossos.scripting.run_records import Ending, KeptFile, Run, run_prefix
from knossos.settings import ROOT, Settings
from knossos.web import create_app, third_party
from knossos.web.openapi import document
from knossos.web.openapi.listing import groups
from knossos.web.services import EXTENSION, Services
from tests.support import people
from tests.support.redis_server import RedisServer
from tests.support.releases_world import World
from tests.support.scenes import REPOSITORY, PlayedJob
from tests.support.script_scenes import write_script

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
#: How often each operation is asked, for each way of making requests.
EXAMPLES = 5
API_KEY = "key-of-the-tests"
#: What these take: from the path, and from the body.
RUNNERS: dict[str, Any] = {
    "config": {"path_args": [{"env_var_name": "PLATE", "path_regex": "(.*)"}]},
    "city": {"body_args": [{"env_var_name": "CITY", "body_jsonpath": "$.address.city"}]},
}
EXAMPLE_MOD = ROOT / "static" / "example_mod.json"

FIELDS = {
    (operation.method, operation.path): operation.fields
    for group in groups(document("http://localhost"))
    for operation in group.operations
}

#: The bytes of an upload that is one part.
PART = b"seventeen bytes !"

#: Words by the names of what they may be put into; several of these are alternatives.
Words = dict[str, Any]


@dataclass
class Place:
    """An app with a mod, releases, an image and tasks in it; ``words`` mean something there, by beginnings of paths."""

    schema: Any
    token: str
    session: str
    words: list[tuple[str, list[Words]]]

    def words_for(self, path: str) -> list[Words]:
        return next((words for beginning, words in self.words if path.startswith(beginning)), [{}])


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer, sqlite_template: Path
) -> Iterator[Place]:
    client = redis.Redis.from_url(redis_server.url)
    client.flushall()
    client.close()
    folder = tmp_path_factory.mktemp("openapi")
    write_script(folder / "bin", "tables/clean.py", "", title="Clean a table")
    (folder / "runners").mkdir()
    for name, inputs in RUNNERS.items():
        (folder / "runners" / f"{name}.json").write_text(json.dumps({"command": ["/bin/true"], "inputs": inputs}))
    settings = Settings(
        data_path=folder / "data", redis=redis_server.url, api_keys=(API_KEY,), storage=str(folder / "storage"),
        public_url="http://localhost", upload_path="drops", calculation_command=("true",), calculation_open=True,
        allowed_private_networks=("203.0.113.0/24",),
        server_side_scripting_bin_dirs=(str(folder / "bin"),), runners_dir=folder / "runners",
    )  # fmt: skip
    settings.data_path.mkdir()
    shutil.copy(sqlite_template, settings.data_path / "knossos.sqlite3")
    third_party.install()
    engine = Engine(settings)
    app = create_app(settings, engine)
    yield filled(app, engine, World(app.extensions[EXTENSION].database, folder))
    engine.redis.close()


def filled(app: Flask, engine: Engine, world: World) -> Place:
    services: Services = app.extensions[EXTENSION]
    # No worker is there to check releases and run scripts: nobody waits for one.
    services.stopping.set()
    services.accounts.__dict__.update(Accounts(services.database, people.CHEAP).__dict__)
    account = people.add_account(services.database, "dora", "operator", email="dora@example.org")
    people.add_account(services.database, "erik", "operator")
    headers = {"X-KN-TOKEN": services.tokens.issue_login(account.user_id)}
    client = app.test_client()
    client.post("/api/1/mod/create", json={"id": "alpha", "title": "Alpha", "type": "tc"}, headers=headers)
    picture = io.BytesIO()
    Image.new("RGB", (2, 2)).save(picture, "PNG")
    image = hashlib.sha256(picture.getvalue()).hexdigest()
    sent = {"checksum": image, "file": (io.BytesIO(picture.getvalue()), "a.png")}
    assert client.post("/api/1/upload/file", data=sent, headers=headers).get_json() == {"result": True}
    for number in range(5):
        world.publish("alpha", f"{number}.0.0", private=number == 1)
    world.bring_up()
    (published,) = (path.name for path in world.public.glob("repo-*.json"))
    done, running, asking = (PlayedJob(engine).start() for _ in range(3))
    running.log("It goes on.")
    running.progress(0.5, "half")
    done.succeed(REPOSITORY)
    asking.ask("q", "https://127.0.0.1/picture.png")
    part = hashlib.sha256(PART).hexdigest()
    conversion = {"passwd": API_KEY, "data": EXAMPLE_MOD.read_text("utf-8")}
    now, in_an_hour = str(int(time.time())), str(int(time.time()) + 3600)
    ticket = client.post("/api/converter/request", data={**conversion, "webhook": ""}).get_json()["ticket"]
    jobs = (done, running, asking, engine.find(ticket))
    tasks = [{"ticket": job.ticket, "token": job.token, "value": "abc", "after": "0-0"} for job in jobs]
    webhook = {"mid": "alpha", "url": "https://203.0.113.7/hook", "format": "json", "events": ""}
    client.set_cookie(COOKIE_NAME, people.session_of(services.settings, "dora"))
    scripts, runners = (called(client, services, address, headers) for address in ("/scripting", "/task"))
    runs = [{"path": run.run_id} for run in runners]
    files = [{"run_id": runners[0].run_id, "number": number, "name": "a.txt"} for number in (1, 1, 3)]
    words: list[tuple[str, list[Words]]] = [
        ("/scripting", [{"call": "tables/clean.py"}, {"call": "tables/clean.py", "-p0": "a"}]),
        ("/login", [{"username": "dora", "password": people.PASSWORD}, {"username": "nobody"}]),
        ("/Shared/", [{"folder": run.shared_name, "name": "a.txt"} for run in scripts]),
        ("/task/{run_id}", files),
        ("/task/", [{"path": "city"}, *runs]),
        ("/script/", [{"path": "city"}, *runs]),
        ("/api/runs", [{"run_id": run.run_id, "token": engine.find(run.ticket or 0).token} for run in scripts]),
        ("/api/tasks", tasks),
        ("/api/users", [{"name": "dora", "q": "o"}, {"name": "erik", "command": "reset"}]),
        ("/api/1/mod/release/converted", tasks),
        ("/api/converter/request", [{**conversion, "webhook": ""}, {**conversion, "webhook": webhook["url"]}]),
        ("/api/converter", tasks),
        ("/drop/", [{"made": made, "token": signed(made), "key": "0"} for made in (now, in_an_hour)]),
        ("/api/1/multiupload/start", [{"id": part, "size": len(PART), "parts": 1}]),
        ("/api/1/multiupload/finish", [{"id": part, "checksum": part, "content_checksum": "", "vp_checksum": ""}]),
        ("/api/1/multiupload", [{"id": part, "part": 0, "checksum": part, "file": PART}]),
        ("/api/1/upload", [{"checksum": image, "file": picture.getvalue()}]),
        ("/storage/files", [{"sha256": image, "name": "a.png"}]),
        ("/storage/images", [{"name": f"{image}.png"}]),
        ("/storage/{name}", [{"name": published}, {"name": published + ".minisig"}]),
        ("/api/1/mod/webhooks/add", [webhook]),
        ("/api/1/mod/webhooks", [{"mid": "alpha", "id": number} for number in (1, 2, 3)]),
        ("/api/1/mod", [{"mid": "alpha", "mod_id": "alpha", "id": "alpha", "version": f"{n}.0.0"} for n in range(5)]),
        ("/api/1/", [{"user": "dora", "name": "nora", "password": people.PASSWORD, "email": "n@example.org"}]),
    ]
    calculated = hashlib.sha1(b"<input/>").hexdigest()
    assert client.post(f"/{calculated}/", data=b"<input/>").text == "POST OK"
    words.append(("/{sha1}", [{"sha1": calculated, "name": name} for name in ("input.xml", "info.xml")]))
    schema = schemathesis.openapi.from_wsgi("/api/openapi.json", app)
    return Place(schema, headers["X-KN-TOKEN"], people.session_of(services.settings, "dora"), words)


def called(client: FlaskClient, services: Services, address: str, headers: dict[str, str]) -> list[Run]:
    """Two runs, of which one has ended as a worker would tell it."""
    body = {"data": {"call": "tables/clean.py"}} if address == "/scripting" else {"json": None}
    for _ in range(2):
        answer = client.post(address, headers=headers, **body)
        assert answer.status_code in (200, 202), answer.text
    scripting = services.scripting
    done, waiting = scripting.runs.history(None)[:2]
    roles = (FileRole.STDOUT, FileRole.RESULTS, FileRole.SHARED)
    kept = []
    for number, role in enumerate(roles if address == "/scripting" else (*roles, FileRole.ATTACHMENT)):
        key = f"{run_prefix(done.run_id)}/{number}"
        scripting.storage.put_bytes(key, b"[17]")
        kept.append(KeptFile(number, role, "a.txt", 4, key))
    scripting.runs.end(done.run_id, Ending(RunOutcome.EXITED, exit_code=0), kept)
    return [scripting.runs.get(done.run_id), waiting]


def signed(made: str) -> str:
    return hashlib.sha256(f"{API_KEY}{made}".encode()).hexdigest()


@pytest.mark.xdist_group("openapi")
@pytest.mark.parametrize(("method", "path"), FIELDS, ids=map(" ".join, FIELDS))
def test_the_server_answers_as_it_is_described(place: Place, method: str, path: str) -> None:
    operation = place.schema[path][method]
    fields = FIELDS[method, path]
    cases = st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode))

    @hypothesis_settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases, st.sampled_from(place.words_for(path)), st.randoms(use_true_random=False))
    def ask(case: Any, words: Words, random: Random) -> None:
        for where, values in (("path", case.path_parameters), ("query", case.query), ("form", case.body)):
            if isinstance(values, dict):
                names = {field.name for field in fields if field.place == where} & words.keys()
                values.update({name: words[name] for name in sorted(names) if random.random() < 0.8})
        headers = {"X-KN-TOKEN": place.token} if random.random() < 0.8 else {}
        cookies = {COOKIE_NAME: place.session} if random.random() < 0.5 else {}
        response = case.call(headers=headers, cookies=cookies)
        case.validate_response(response, checks=CHECKS)
        if response.headers["content-type"][0].startswith("text/xml"):
            assert etree.fromstring(response.content).tag == "Response"

    ask()


@pytest.mark.xdist_group("openapi")
@pytest.mark.parametrize(
    ("text", "status"),
    [("{}", 200), ('{"status": "bad"}', 200), ('{"status": "ok"}', 201), ('{"status": "ok"}', 500), ("ok", 200)],
)
def test_an_answer_that_is_not_described_would_be_noticed(place: Place, text: str, status: int) -> None:
    other = Flask("other")
    kind = "application/json" if text.startswith("{") else "text/plain"
    other.add_url_rule("/api/health", view_func=lambda: (text, status, {"Content-Type": kind}))
    case = place.schema["/api/health"]["GET"].Case()
    case.validate_response(case.call(), checks=CHECKS)
    with pytest.raises((Failure, FailureGroup)):
        case.validate_response(other.test_client().get("/api/health"), checks=CHECKS)
