"""Mods, teams and releases over HTTP, as both generations of clients speak; the job that checks archives is apart."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import select
from werkzeug.test import TestResponse

from knossos.accounts.tokens import Identity
from knossos.database import Database
from knossos.jobs import Engine
from knossos.publishing.documents import ReleaseDocument
from knossos.publishing.releases import Mode
from knossos.publishing.tables import Blob, Report
from knossos.settings import Settings
from knossos.web import create_app
from knossos.web.services import EXTENSION
from tests.support.people import add_account
from tests.support.releases import QuietPublisher, document, sha256_of

ARCHIVE, IMAGE = sha256_of("alpha-1.0.0.7z"), sha256_of("image")
BASE = "http://mods.example.org"


class StoringAtOnce:
    """Stands for the job that checks releases: stores what was accepted."""

    def __init__(self, publisher: QuietPublisher) -> None:
        self._publisher = publisher
        self.ran: list[tuple[Mode, Sequence[Any]]] = []

    def run(
        self, identity: Identity, accepted: ReleaseDocument, mode: Mode, *, actions: Sequence[Any], address: str
    ) -> dict[str, Any]:
        assert address == "127.0.0.1"
        self.ran.append((mode, actions))
        if mode in (Mode.RELEASE, Mode.UPDATE):
            self._publisher.releases.store(accepted, identity.user_id, mode)
        return {"result": True, "errors": []}


@pytest.fixture
def publisher(tmp_path: Path, sqlite_template: Path) -> Iterator[QuietPublisher]:
    made = Settings(data_path=tmp_path / "data", public_url=BASE)
    made.data_path.mkdir()
    shutil.copy(sqlite_template, made.data_path / "knossos.sqlite3")
    database = Database(made)
    publisher = QuietPublisher(made, database)
    publisher.__dict__["submissions"] = StoringAtOnce(publisher)
    with database.session() as session:
        for sha256, kind in ((ARCHIVE, "application/octet-stream"), (IMAGE, "image/png")):
            session.add(Blob(sha256=sha256, size=1000, content_type=kind, created_at=1.0, touched_at=1.0))
    yield publisher
    database.close()


class Caller:
    """A mod manager that is logged in."""

    def __init__(self, client: FlaskClient, token: str) -> None:
        self._client = client
        self._headers = {"X-KN-TOKEN": token} if token else {}

    def form(self, path: str, **fields: str) -> dict[str, Any]:
        return self._read(self._client.post(f"/api/1/mod/{path}", data=fields, headers=self._headers))

    def json(self, path: str, data: Any, status: int = 200) -> dict[str, Any]:
        return self._read(self._client.post(f"/api/1/mod/{path}", json=data, headers=self._headers), status)

    def get(self, path: str, status: int = 200) -> dict[str, Any]:
        return self._read(self._client.get(f"/api/1/mod/{path}", headers=self._headers), status)

    def post(self, path: str, **more: Any) -> TestResponse:
        headers = self._headers | more.pop("headers", {})
        return self._client.post(f"/api/1/mod/{path}", headers=headers, **more)

    def _read(self, response: TestResponse, status: int = 200) -> dict[str, Any]:
        assert response.status_code == status, response.get_data(as_text=True)
        data: dict[str, Any] = response.get_json()
        assert isinstance(data["result"], bool)
        assert data["result"] or isinstance(data["reason"], str)
        return data


Named = Callable[..., Caller]


@pytest.fixture
def named(publisher: QuietPublisher) -> Named:
    """A function from a name (and roles on the site) to a caller; "" is a stranger without a token."""
    app = create_app(publisher.settings, Engine(publisher.settings))
    app.extensions[EXTENSION].__dict__["publisher"] = publisher

    def make(name: str, *roles: str) -> Caller:
        if not name:
            return Caller(app.test_client(), "")
        account = add_account(publisher.database, name, *roles)
        return Caller(app.test_client(), app.extensions[EXTENSION].tokens.issue_login(account.user_id))

    return make


@pytest.fixture
def dora(named: Named) -> Caller:
    """An owner of the mod alpha."""
    caller = named("dora")
    assert caller.json("create", {"id": "alpha", "title": "Alpha", "type": "tc", "parent": None})["result"]
    return caller


def sent(**changes: Any) -> dict[str, Any]:
    """A full mod as a client sends it."""
    return document(**changes).model_dump(mode="json")


def changed(path: str, value: Any) -> dict[str, Any]:
    """A full mod with another value somewhere."""
    data = sent()
    place: Any = data
    *parents, last = path.split(".")
    for part in parents:
        place = place[int(part) if part.isdigit() else part]
    place[int(last) if last.isdigit() else last] = value
    return data


def test_an_id_is_free_once_in_whatever_case(dora: Caller, named: Named) -> None:
    assert dora.form("check_id", id="beta", title="Beta") == {"result": True}
    assert dora.form("check_id", id="ALPHA", title="")["result"] is False
    assert dora.form("check_id", id="a/b", title="")["result"] is False
    answer = named("mallory").json("create", {"id": "Alpha", "title": "Mine", "type": "mod", "parent": "FS2"})
    assert (answer["result"], answer["reason"]) == (False, "duplicated id")


def test_nobody_takes_the_id_of_the_retail_game(dora: Caller) -> None:
    for mod_id in ("FS2", "fs2"):
        assert dora.form("check_id", id=mod_id, title="FreeSpace 2")["reason"] == "duplicated id"
        answer = dora.json("create", {"id": mod_id, "title": "FreeSpace 2", "type": "tc"})
        assert (answer["reason"], answer["message"]) == (
            "duplicated id",
            f"The id {mod_id} is that of the retail game.",
        )


def test_a_mod_is_not_created_of_anything_broken(dora: Caller) -> None:
    good = {"id": "beta", "title": "Beta", "type": "tc"}
    for path in ("id", "title", "type", "parent", "logo", "tile", "first_release"):
        value: Any
        for value in (7, [], {}, True, "\ud800", "\0", "x" * 301):
            answer = dora.json("create", good | {path: value})
            assert answer["result"] is False
            assert [error["path"] for error in answer["errors"]] == [path]
    assert dora.form("check_id", id="beta", title="")["result"]


def test_only_the_team_may_publish(dora: Caller, named: Named) -> None:
    mallory = named("mallory")
    assert dora.get("editable") == {"result": True, "mods": ["alpha"]}
    assert mallory.get("editable") == {"result": True, "mods": []}
    assert dora.form("is_editable", mid="alpha") == {"result": True, "missing": False}
    assert mallory.form("is_editable", mid="alpha")["missing"] is False
    for unknown in ("beta", "ALPHA", ""):
        assert mallory.form("is_editable", mid=unknown) == {"result": True, "missing": True}
    for path in ("release/preflight", "release", "release/update", "update"):
        assert mallory.json(path, sent())["reason"] == "unauthorized"
        assert named("").json(path, sent(), 403)["result"] is False
        assert dora.json(path, sent(id="beta"), 404)["result"] is False
    for path in ("delete", "yank", "unyank"):
        assert mallory.form(f"release/{path}", mid="alpha", version="1.0.0")["reason"] == "unauthorized"
        assert dora.form(f"release/{path}", mid="alpha", version="1.0.0")["reason"] == "release missing"
    assert named("olga", "operator").json("release", sent())["result"]


def test_a_release_of_a_mod_that_is_not_there_says_what_comes_first(dora: Caller) -> None:
    for path in ("release/preflight", "release/dry_run", "release"):
        answer = dora.json(path, sent() | {"id": "nobodys"}, status=404)
        assert (answer["result"], answer["reason"]) == (False, "not found")
        assert "A mod is made once before its first release: by mod/create" in answer["message"]


def test_a_release_goes_out_and_its_version_is_taken(dora: Caller, named: Named) -> None:
    assert dora.json("release/preflight", sent())["result"]
    assert dora.json("release", sent())["result"]
    mod = named("").get("json/alpha/1.0.0")["mod"]
    assert (mod["id"], mod["title"], mod["owners"]) == ("alpha", "The alpha mod", ["dora"])
    assert mod["packages"][0]["files"][0]["urls"] == [f"{BASE}/storage/files/{ARCHIVE}/alpha-1.0.0.7z"]
    for path in ("release/preflight", "release", "release/dry_run"):
        assert dora.json(path, sent())["reason"] == "duplicated version"
    assert dora.form("release/delete", mid="alpha", version="1.0.0") == {"result": True}
    assert named("").get("json/alpha/1.0.0")["reason"] == "mod_not_found"
    assert dora.json("release", sent())["reason"] == "duplicated version"
    assert dora.json("release/update", sent())["reason"] == "release missing"


def test_a_dry_run_stores_nothing(dora: Caller, publisher: QuietPublisher) -> None:
    assert dora.json("release/dry_run", sent())["result"]
    assert publisher.releases.load("alpha", "1.0.0") is None


def test_a_client_that_names_its_fields_without_quotes_is_understood(dora: Caller) -> None:
    body = b"--x\r\nContent-Disposition: form-data; name=mid\r\n\r\nalpha\r\n--x--\r\n"
    answer = dora.post("is_editable", data=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.get_json() == {"result": True, "missing": False}


def test_what_clients_send_sloppily_is_stored_strictly(dora: Caller, publisher: QuietPublisher) -> None:
    data = sent() | {
        "logo": f" {IMAGE.upper()} ",
        "tile": f"{BASE}/storage/images/{IMAGE}.png",
        "banner": "",
        "screenshots": [f"{IMAGE}.png"],
        "stability": "",
        "installed": True,
        "mod_source": 7,
        "dev_mode": None,
        "owners": ["x"],
        "what is this": {},
        "last_update": "2001-01-01",
        "first_release": "2020-05-06T00:00:00",
    }
    data |= dict.fromkeys(("attachments", "videos", "mod_flag", "notes", "cmdline", "release_thread", "private"))
    package = data["packages"][0]
    package |= dict.fromkeys(("dependencies", "notes", "folder", "is_vp"))
    package |= {"status": "Required", "check_notes": 1, "isEnabled": None}
    package["environment"] = [{"type": "os", "value": "windows"}, {"type": "cpu_feature", "value": "avx", "not": True}]
    package["executables"] = [{"file": "bin\\fs2.exe", "properties": {"avx": True, "x64": None}}]
    package["files"][0] |= {"checksum": ["SHA256", ARCHIVE.upper()], "dest": None, "urls": None, "filesize": None}
    assert dora.json("release", data)["result"]
    mod = dora.get("json/alpha/1.0.0")["mod"]
    picture = f"{BASE}/storage/images/{IMAGE}.png"
    assert (mod["logo"], mod["tile"], mod["banner"], mod["screenshots"]) == (picture, picture, None, [picture])
    assert (mod["attachments"], mod["videos"], mod["mod_flag"]) == ([], [], [])
    assert (mod["notes"], mod["cmdline"], mod["private"], mod["stability"]) == ("", "", False, None)
    assert mod["first_release"] == "2020-05-06"
    assert mod["last_update"] > "2025"
    stored = mod["packages"][0]
    assert (stored["dependencies"], stored["status"], stored["folder"]) == ([], "required", "Core")
    assert stored["environment"] == "windows && !avx"
    properties = {"x64": False, "sse2": False, "avx": True, "avx2": False}
    assert stored["executables"] == [{"file": "bin/fs2.exe", "label": None, "properties": properties}]
    assert stored["files"][0]["checksum"] == ["sha256", ARCHIVE]
    assert (stored["files"][0]["dest"], stored["files"][0]["filesize"]) == ("", 1000)
    # What a client reads, it may send back.
    assert dora.json("release/update", mod)["result"]
    assert dora.get("json/alpha/1.0.0")["mod"] == mod


BAD_NAMES = ("", "a/b", "a\\b", "C:", "c:x", " a", "a ", "a.", "..", ".")


def test_names_that_break_on_a_players_disk_are_refused(dora: Caller) -> None:
    for path in ("id", "version", "parent", "packages.0.folder"):
        for value in BAD_NAMES:
            answer = dora.json("release", changed(path, value))
            assert answer["reason"] == f"invalid {path.split('.')[-1]}"
            assert [error["path"] for error in answer["errors"]] == [path]


REFUSED: tuple[tuple[str, Any, str], ...] = (
    ("version", "3.7", "invalid version"),
    ("version", None, "invalid version"),
    ("type", "mod", "invalid type"),
    ("logo", "0" * 64, "image missing"),
    ("logo", ARCHIVE, "image missing"),
    ("screenshots", ["https://example.org/a.png"], "invalid screenshots"),
    ("packages.0.files.0.checksum", ["md5", "0" * 32], "unsupported archive checksum"),
    ("packages.0.files.0.checksum", "0" * 64, "unsupported archive checksum"),
    ("packages.0.files.0.checksum", None, "unsupported archive checksum"),
    ("packages.0.files.0.urls", ["https://example.org/a.7z"], "urls unauthorized"),
    ("packages.0.dependencies", [{"id": "b", "version": ">=1.0.0,<2"}], "invalid dependency version"),
    ("packages.0.environment", "windows &&", "invalid environment"),
    ("packages.0.filelist.0.filename", "../x", "invalid filename"),
    ("packages", {}, "invalid packages"),
)


def test_the_reason_says_what_is_wrong(dora: Caller) -> None:
    for path, value, reason in REFUSED:
        assert dora.json("release", changed(path, value))["reason"] == reason, path


def test_a_size_out_of_range_is_told_in_words(dora: Caller) -> None:
    for size, meant in ((-1, "at least 0"), (2**60, f"at most {2**53 - 1}")):
        (error,) = dora.json("release", changed("packages.0.files.0.filesize", size))["errors"]
        assert error == {"path": "packages.0.files.0.filesize", "message": f"expected a number of {meant}"}


def test_a_missing_archive_is_named(dora: Caller) -> None:
    answer = dora.json("release", changed("packages.0.files.0.checksum", ["sha256", "0" * 64]))
    assert (answer["reason"], answer["archive"]) == ("archive missing", "0" * 64)
    assert answer["errors"][0]["path"] == "packages.0.files.0.checksum"


def test_all_problems_are_told_at_once_with_their_paths(dora: Caller) -> None:
    data = changed("packages.0.dependencies", [{"id": "a/b", "version": "x"}])
    data |= {"version": "1", "logo": "0" * 64, "title": 7}
    data["packages"][0]["files"][0] |= {"checksum": ["sha256", "0" * 64], "urls": ["https://example.org/a"]}
    data["packages"].append(copy.deepcopy(data["packages"][0]) | {"status": "maybe"})
    answer = dora.json("release", data)
    assert answer["reason"] == "invalid version"
    assert answer["errors"][0]["path"] == "version"
    of_package = ("dependencies.0.id", "dependencies.0.version", "files.0.checksum", "files.0.urls")
    paths = {f"packages.{number}.{path}" for number in (0, 1) for path in of_package}
    assert {error["path"] for error in answer["errors"]} == paths | {
        "version",
        "logo",
        "title",
        "packages.1.status",
        "packages.1.name",
    }


def test_before_the_upload_what_is_not_there_yet_is_no_problem(dora: Caller) -> None:
    data = sent(logo=None) | {"logo": "C:\\logo.png", "screenshots": ["/home/dora/shot.png"]}
    data["packages"][0] |= {"files": [{"filename": "core.7z"}], "executables": [{"file": "fs2.exe"}]}
    assert dora.json("release/preflight", data)["result"]
    assert dora.json("release/preflight", data | {"version": "x"})["reason"] == "invalid version"
    assert dora.json("release", data)["reason"] == "unsupported archive checksum"


def test_operators_may_publish_what_lies_elsewhere(dora: Caller, named: Named) -> None:
    data = changed("packages.0.files.0", {**sent()["packages"][0]["files"][0], "checksum": ["sha256", "1" * 64]})
    data["packages"][0]["files"][0]["urls"] = ["https://example.org/a.7z"]
    assert dora.json("release", data)["reason"] == "urls unauthorized"
    assert named("olga", "operator").json("release", data)["result"]
    mod = named("").get("json/alpha/1.0.0")["mod"]
    assert mod["packages"][0]["files"][0]["urls"] == ["https://example.org/a.7z"]


def test_an_update_keeps_files_and_changes_the_rest(dora: Caller) -> None:
    dora.json("release", sent())
    before = dora.get("json/alpha/1.0.0")["mod"]
    data = sent(needs=[("beta", "~1.0.0")]) | {"title": "Better", "description": "More."}
    data["packages"][0] |= {"files": None, "filelist": "nothing", "notes": "New"}
    assert dora.json("release/update", data)["result"]
    after = dora.get("json/alpha/1.0.0")["mod"]
    assert (after["title"], after["description"], after["packages"][0]["notes"]) == ("Better", "More.", "New")
    assert after["packages"][0]["files"] == before["packages"][0]["files"]
    assert after["packages"][0]["filelist"] == before["packages"][0]["filelist"]
    data["packages"][0]["name"] = "Another"
    answer = dora.json("release/update", data)
    assert (answer["reason"], answer["errors"][0]["path"]) == ("invalid packages", "packages.0.name")


def test_a_private_release_is_seen_by_the_team_and_operators_only(dora: Caller, named: Named) -> None:
    dora.json("release", sent(private=True))
    tina, mallory = named("tina"), named("mallory")
    members = [{"user": "dora", "role": 0}, {"user": "Tina", "role": 30}]
    assert dora.json("team/update", {"mid": "alpha", "members": members}) == {"result": True}
    for caller in (dora, tina, named("olga", "operator")):
        assert [mod["version"] for mod in caller.get("list_private")["mods"]] == ["1.0.0"]
        assert caller.get("json/alpha/1.0.0")["mod"]["private"] is True
    for caller in (mallory, named("")):
        assert caller.get("json/alpha/1.0.0")["reason"] == "mod_not_found"
    assert mallory.get("list_private") == {"result": True, "mods": []}
    assert mallory.form("release/report", mid="alpha", version="1.0.0", message="?")["reason"] == "release missing"
    assert tina.json("release", sent(version="1.1.0"))["reason"] == "unauthorized"
    assert dora.json("release", sent(version="1.1.0") | {"packages": []})["result"]
    assert mallory.get("json/alpha/1.0.0")["reason"] == "not_found"
    assert mallory.get("json/alpha/1.1")["reason"] == "invalid_version_string"
    assert mallory.get("json/beta/1.0.0")["reason"] == "mod_not_found"


def test_an_update_that_does_not_say_so_makes_nothing_public(dora: Caller, publisher: QuietPublisher) -> None:
    assert dora.json("release", sent(private=True))["result"]
    for silent in ({"private": None}, {}):
        data = {key: value for key, value in sent(description="new").items() if key != "private"} | silent
        assert dora.json("release/update", data)["result"]
        assert publisher.releases.load("alpha", "1.0.0").private  # type: ignore[union-attr]
    assert dora.json("release/update", sent(private=False))["result"]
    assert not publisher.releases.load("alpha", "1.0.0").private  # type: ignore[union-attr]


def test_the_team_is_fetched_by_the_team(dora: Caller, named: Named) -> None:
    assert dora.form("team/fetch", mid="alpha") == {"result": True, "members": [{"user": "dora", "role": 0}]}
    assert dora.form("team/fetch", mid="beta")["reason"] == "missing"
    assert named("mallory").form("team/fetch", mid="alpha")["reason"] == "unauthorized"


def test_a_manager_edits_the_team_but_not_the_owners(dora: Caller, named: Named) -> None:
    max_, _una = named("max"), named("una")

    def update(caller: Caller, **roles: Any) -> dict[str, Any]:
        members = [{"user": user, "role": role} for user, role in roles.items()]
        return caller.json("team/update", {"mid": "alpha", "members": members})

    assert update(dora, dora=0, max=10) == {"result": True}
    assert update(max_, dora=0, max=10, una=20) == {"result": True}
    assert update(max_, dora=0, max=0)["reason"] == "owners_changed"
    assert update(max_, max=10)["reason"] == "owners_changed"
    assert update(max_, dora=10, max=10)["reason"] == "owners_changed"
    assert update(dora, dora=10, max=10)["reason"] == "no_owners"
    answer = update(dora, dora=0, nobody=20)
    assert (answer["reason"], answer["member"]) == ("member_not_found", "nobody")
    assert update(_una, dora=0, una=20)["reason"] == "unauthorized"
    team = dora.form("team/fetch", mid="alpha")["members"]
    assert [(one["user"], one["role"]) for one in team] == [("dora", 0), ("max", 10), ("una", 20)]
    assert update(dora, max=0) == {"result": True}
    assert update(dora, dora=0)["reason"] == "unauthorized"


def test_a_broken_list_of_members_changes_nothing(dora: Caller) -> None:
    owner = {"user": "dora", "role": 0}
    broken: list[Any] = [7, {}, {"user": "dora"}, {"user": 1, "role": 0}, {"user": "dora", "role": True}]
    broken += [{"user": "dora", "role": 5}, {"user": "dora", "role": "0"}, {"user": "\ud800", "role": 0}]
    for members in ([owner, {"user": "DORA", "role": 10}], *([one] for one in broken)):
        answer = dora.json("team/update", {"mid": "alpha", "members": members})
        assert answer["reason"] == "invalid members"
    assert dora.form("team/fetch", mid="alpha")["members"] == [owner]


def test_a_body_that_is_no_full_mod_is_a_400(dora: Caller) -> None:
    for path in ("create", "update", "release", "release/update", "release/preflight", "team/update"):
        assert dora.json(path, [1], 400)["result"] is False
        assert dora.post(path, data=b"{").status_code == 400
    assert dora.json("team/update", {"mid": 1, "members": {}}, 400)["result"] is False
    assert dora.json("release", {"version": "1.0.0"})["reason"] == "invalid id"


def test_actions_go_with_a_release_and_not_with_an_update(dora: Caller, publisher: QuietPublisher) -> None:
    actions = [{"type": "delete", "paths": ["readme.txt"]}]
    assert dora.json("release", sent() | {"actions": actions})["result"]
    assert dora.json("release/update", sent() | {"actions": actions})["result"]
    stub = publisher.submissions
    assert isinstance(stub, StoringAtOnce)
    assert [(mode, len(given)) for mode, given in stub.ran] == [(Mode.RELEASE, 1), (Mode.UPDATE, 0)]
    assert dora.json("release", sent(version="2.0.0") | {"actions": [{"type": "x"}]})["result"] is False


def test_reports_reach_the_team(dora: Caller, named: Named, publisher: QuietPublisher) -> None:
    dora.json("release", sent())
    assert named("pete").form("release/report", mid="alpha", version="1.0.0", message="It crashes.")["result"]
    assert (
        named("paul").form("release/report", mid="alpha", version="1.0.0", message=" ")["reason"] == "invalid message"
    )
    with publisher.database.reading() as session:
        rows = session.scalars(select(Report)).all()
    assert [(row.mod_id, row.version, row.message) for row in rows] == [("alpha", "1.0.0", "It crashes.")]


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*path, key))


FULL = sent(needs=[("beta", "1.0.0")], logo=f"{IMAGE}.png", videos=["https://example.org/v"], mod_flag=["beta"])
FULL["packages"][0]["executables"] = [{"file": "fs2.exe", "label": None, "properties": {"x64": True}}]
FULL["actions"] = [{"type": "delete", "paths": ["a"]}]
PLACES = sorted((place for place in _places(FULL) if place), key=str)
PATHS = ("release/dry_run", "release/preflight", "create", "update")
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


def test_whatever_is_wrong_somewhere_in_a_full_mod_is_refused_or_taken(dora: Caller) -> None:
    @hypothesis_settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(PLACES), ANYTHING, st.sampled_from(PATHS))
    def send(place: tuple[Any, ...], value: Any, path: str) -> None:
        data = copy.deepcopy(FULL)
        where: Any = data
        for key in place[:-1]:
            where = where[key]
        where[place[-1]] = value
        answer = dora.post(path, json=data)
        assert answer.status_code in (200, 404), (place, value, answer.get_data(as_text=True))
        assert isinstance(answer.get_json()["result"], bool)

    send()
