"""A release as its author sends it and as players get it: over HTTP, by a real worker, installed as both clients do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient

from knossos.database import Database
from knossos.jobs import Engine, JobSpec
from knossos.packaging.description import parse_request
from knossos.publishing.documents import ReleaseDocument
from knossos.settings import Settings
from knossos.web import create_app
from knossos.web.nebula.requests import TOKEN_HEADER
from knossos.web.services import EXTENSION
from tests.conftest import StartWorker
from tests.support.archives import zip_of
from tests.support.conversions import file, mod
from tests.support.file_server import FileServer
from tests.support.installing import installed_by_net, installed_by_old, tree
from tests.support.processes import wait_for
from tests.support.real_releases import Shelf


class Site:
    """The web server's app, a worker, and dora, who sends things."""

    def __init__(self, settings: Settings, engine: Engine, folder: Path) -> None:
        self._folder = folder
        self.database = Database(settings)
        self.shelf = Shelf(settings, self.database, engine, folder)
        app = create_app(settings, engine)
        self.client: FlaskClient = app.test_client()
        self._token = app.extensions[EXTENSION].tokens.issue_login(self.shelf.user_id)

    def post(self, path: str, **sent: Any) -> dict[str, Any]:
        response = self.client.post(f"/api/1/{path}", headers={TOKEN_HEADER: self._token}, **sent)
        assert response.status_code == 200, response.get_data(as_text=True)
        answer: dict[str, Any] = response.get_json()
        return answer

    def offered(self, mod_id: str) -> tuple[ReleaseDocument, dict[str, Path]]:
        """The mod as the repository has it, and its archives by their sums, downloaded from its addresses."""

        def look() -> dict[str, Any] | None:
            response = self.client.get("/storage/repo.json")
            mods = json.loads(response.data)["mods"] if response.status_code == 200 else []
            return next((one for one in mods if one["id"] == mod_id), None)

        found = wait_for(look, "the repository to have it")
        archives: dict[str, Path] = {}
        for package in found["packages"]:
            for one in package["files"]:
                assert len(one["urls"]) == 1
                data = self.client.get(urlsplit(one["urls"][0]).path).data
                sha256 = hashlib.sha256(data).hexdigest()
                assert one["checksum"] == ["sha256", sha256]
                archives[sha256] = self._folder / f"{len(archives)}-{one['filename']}"
                archives[sha256].write_bytes(data)
        known = {name: found[name] for name in ReleaseDocument.model_fields}
        for name in ("logo", "tile", "banner"):
            known[name] = found[name].rpartition("/")[2] if found[name] else None
        return ReleaseDocument.model_validate(known), archives


@pytest.fixture
def site(
    settings: Settings, engine: Engine, sqlite_template: Path, start_worker: StartWorker, tmp_path: Path
) -> Iterator[Site]:
    settings.data_path.mkdir()
    (settings.data_path / "knossos.sqlite3").write_bytes(sqlite_template.read_bytes())
    start_worker(product=True)
    made = Site(settings, engine, tmp_path)
    yield made
    made.database.close()


def test_what_is_released_is_installed_by_both_clients(site: Site, tmp_path: Path) -> None:
    contents = {"Folder/mod.ini": b"ini", "Folder/data/a.tbl": b"table", "unneeded": b"x"}
    sent = site.shelf.release(contents).model_dump(mode="json")
    sent["actions"] = [
        {"type": "delete", "paths": ["unneeded"]},
        {"type": "move", "paths": ["Folder/*"], "dest": ""},
    ]
    tried = site.post("mod/release/dry_run", json=sent)
    assert tried["result"] is True, tried
    assert "packed anew as core.7z" in tried["warnings"][0]["message"]
    assert site.post("mod/release", json=sent)["result"] is True
    document, archives = site.offered("alpha")
    installed_by_net(document, archives, tmp_path / "net" / "alpha")
    installed_by_old(document, archives, tmp_path / "old" / "alpha")
    wanted = {"mod.ini": b"ini", "data/a.tbl": b"table"}
    assert tree(tmp_path / "net" / "alpha") == tree(tmp_path / "old" / "alpha") == wanted
    again = site.post("mod/release", json=sent)
    assert (again["result"], again["reason"]) == (False, "duplicated version")
    wrong = site.shelf.release(contents, version="1.0.1").model_dump(mode="json")
    wrong["packages"][0]["filelist"][0]["checksum"][1] = "0" * 64
    wrong["packages"][0]["executables"] = [{"file": "folder/MOD.ini"}]
    refused = site.post("mod/release", json=wrong)
    assert refused["result"] is False
    assert [one["path"] for one in refused["errors"]] == [
        "packages.0.executables.0.file", "packages.0.filelist.0.checksum",
    ]  # fmt: skip
    assert refused["reason"] == "invalid file"
    assert isinstance(refused["ticket"], int)


def test_a_conversion_is_published_in_one_step(site: Site, engine: Engine, settings: Settings, tmp_path: Path) -> None:
    with FileServer() as server:
        archive = file(server.file("/my-mod.zip", zip_of({"MyMod/mod.ini": b"ini", "MyMod/x": b"1"})))
        request = parse_request(json.dumps(mod([archive], type="tc")))
        payload = {"request": request.as_payload(), "mirror_url": "http://localhost/mirror"}
        function = "knossos.packaging.conversion.convert"
        record = engine.submit(
            JobSpec(function=function, kind="conversion", title="My Mod 1.0.0", owner="key:a", payload=payload)
        )
        wait_for(lambda: engine.find(record.ticket).state.finished, "the conversion")
    form = {"ticket": record.ticket, "token": record.token}
    answer = site.post("mod/release/converted", data=form)
    assert answer["result"] is True, answer
    assert answer["mods"] == [{"id": "mymod", "version": "1.0.0", "created": True}]
    document, archives = site.offered("mymod")
    installed_by_net(document, archives, tmp_path / "net" / "mymod")
    assert tree(tmp_path / "net" / "mymod") == {"mod.ini": b"ini", "x": b"1"}
    assert site.client.post("/api/1/mod/release/converted", data=form).status_code == 403
    token = {**form, "token": "wrong"}
    response = site.client.post("/api/1/mod/release/converted", data=token, headers={TOKEN_HEADER: site._token})
    assert response.status_code == 404
