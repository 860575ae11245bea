"""Publishing a conversion: real archives packaged by the converter, taken over from its mirror, checked and stored."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from knossos.accounts.tokens import Identity, Scope
from knossos.database import Database
from knossos.errors import NotFound
from knossos.jobs import Engine, JobSpec
from knossos.outgoing import OutgoingHttp
from knossos.packaging.conversion import Surroundings, package
from knossos.packaging.description import parse_request
from knossos.packaging.mirror import Mirror
from knossos.packaging.mirror_index import MirrorIndex
from knossos.publishing.converted import full_spec, full_version
from knossos.publishing.errors import Refused
from knossos.publishing.ingest import Ingest, IngestTask
from knossos.settings import Settings
from tests.support.archives import Member, rar5_bytes, zip_of
from tests.support.conversions import MIRROR_URL, NotingReporter, file, mod
from tests.support.file_server import FileServer
from tests.support.real_releases import Shelf


class Context(NotingReporter):
    def __init__(self, settings: Settings, workspace: Path, attempt: int) -> None:
        super().__init__()
        self.settings, self.workspace, self.attempt, self.ticket = settings, workspace, attempt, 9


class Yard(Shelf):
    """A place to convert and to publish in."""

    def convert(self, description: Any) -> list[dict[str, Any]]:
        settings = self.publisher.settings
        mirror = Mirror(settings.mirror_folder, MIRROR_URL, MirrorIndex(settings))
        around = Surroundings(settings, NotingReporter(), self._work(), mirror)
        result = package(parse_request(json.dumps(description)), around)
        read: list[dict[str, Any]] = json.loads(json.dumps(result))["mods"]
        return read

    def publish(self, mods: list[dict[str, Any]], attempt: int = 1, **more: Any) -> dict[str, Any]:
        settings = self.publisher.settings
        task = IngestTask(**{"mods": mods, "mirror_url": MIRROR_URL, "identity": self.identity, **more})
        context: Any = Context(settings, self._work(), attempt)
        http = OutgoingHttp(settings)
        try:
            return Ingest(IngestTask.model_validate_json(task.model_dump_json()), self.publisher, context, http).run()
        finally:
            http.close()

    def _work(self) -> Path:
        folder = self._folder / f"work-{next(self._numbers)}"
        folder.mkdir()
        return folder


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


@pytest.fixture
def yard(tmp_path: Path, redis_url: str, sqlite_template: Path) -> Iterator[Yard]:
    settings = Settings(data_path=tmp_path / "data", redis=redis_url, allowed_private_networks=("127.0.0.0/8",))
    settings.data_path.mkdir()
    (settings.data_path / "knossos.sqlite3").write_bytes(sqlite_template.read_bytes())
    database, engine = Database(settings), Engine(settings)
    yield Yard(settings, database, engine, tmp_path)
    database.close()
    engine.redis.close()


def picture(kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 10), "red").save(buffer, kind)
    return buffer.getvalue()


def test_a_conversion_with_actions_logo_and_rar_is_published_in_one_step(yard: Yard, server: FileServer) -> None:
    data = zip_of({"MyMod/mod.ini": b"ini", "MyMod/logo.jpg": picture(), "MyMod/junk": b"junk"})
    rar = rar5_bytes([Member("extra.vp", b"vp")])
    described = mod(
        [file(server.file("/core.zip", data))],
        [file(server.file("/extra.rar", rar))],
        version="1.2", mod_flag=["mymod"], tile=server.file("/tile.png", picture("PNG")),
        actions=[{"type": "delete", "paths": ["MyMod/junk"]}],
    )  # fmt: skip
    converted = yard.convert(described)
    assert [action["type"] for action in converted[0]["actions"]] == ["delete", "move"]
    tried = yard.publish(converted, dry_run=True)
    assert (tried["result"], tried["mods"]) == (True, [])
    assert yard.publisher.mods.find("mymod") is None
    answer = yard.publish(converted)
    assert answer["result"] is True, answer
    assert answer["mods"] == [{"id": "mymod", "version": "1.2.0", "created": True}]
    release = yard.publisher.releases.load("mymod", "1.2.0")
    assert release is not None
    files = [one for package in release.document.packages for one in package.files]
    assert [(one.filename, one.dest, one.urls) for one in files] == [("core.7z", "", []), ("extra.7z", "", [])]
    installed = {entry.filename for package in release.document.packages for entry in package.filelist}
    assert installed == {"mod.ini", "logo.jpg", "extra.vp"}
    assert release.document.parent == "FS2"
    assert release.document.logo is not None
    assert release.document.logo.endswith(".jpg")
    assert release.document.tile is not None
    assert release.document.tile.endswith(".png")
    assert [yard.publisher.blobs.find(one.checksum[1]) is not None for one in files] == [True, True]
    # The mirror has lost nothing.
    mirrored = yard.publisher.settings.mirror_folder
    assert (mirrored / "mymod/1.2/core.zip").read_bytes() == data
    again = yard.publish(converted)
    assert (again["result"], again["reason"]) == (False, "duplicated version")
    assert yard.publish(converted, attempt=2)["result"] is True


def test_mods_that_need_each_other_go_out_together_or_not_at_all(yard: Yard, server: FileServer) -> None:
    def described(version: str, wanted: str) -> dict[str, Any]:
        archives = [file(server.file(f"/{name}.zip", zip_of({name: b"1"}))) for name in ("a", "b")]
        lib = {**mod([archives[0]], version=version), "id": "Lib", "type": "tc"}
        core = {"name": "Core", "files": [archives[1]], "dependencies": [{"id": "Lib", "version": wanted}]}
        return {"mods": [{**mod(core, version=version), "id": "User", "type": "tc"}, lib]}

    answer = yard.publish(yard.convert(described("1.0.0", ">=2.0")))
    assert (answer["result"], answer["mods"]) == (False, [])
    assert [one["path"] for one in answer["errors"]] == ["mods.0.packages.0.dependencies.0.version"]
    assert answer["reason"] == "invalid dependency version"
    assert yard.publisher.mods.find("Lib") is None
    answer = yard.publish(yard.convert(described("2.0.0", ">=2.0")))
    assert [one["id"] for one in answer["mods"]] == ["User", "Lib"], answer
    assert answer["errors"] == []


def test_what_is_wrong_is_named_and_nothing_is_made(yard: Yard, server: FileServer) -> None:
    archive = file(server.file("/a.zip", zip_of({"a": b"1"})))
    screenshots = [server.status("/none.png", 404), server.file("/page.png", b"<html></html>")]
    converted = yard.convert(mod([archive], type="tc", screenshots=screenshots))
    for path in yard.publisher.settings.mirror_folder.rglob("*.zip"):
        path.unlink()
    answer = yard.publish(converted)
    assert [one["path"] for one in answer["errors"]] == [
        "mods.0.screenshots.0", "mods.0.screenshots.1", "mods.0.packages.0.files.0",
    ]  # fmt: skip
    assert "404" in answer["errors"][0]["message"]
    assert "converted again" in answer["errors"][2]["message"]
    assert yard.publisher.mods.find("mymod") is None


def test_others_mods_and_narrow_tokens_and_full_accounts_are_refused(yard: Yard, server: FileServer) -> None:
    archive = file(server.file("/a.zip", zip_of({"a": b"1"})))
    converted = yard.convert(mod([archive], type="tc"))
    narrow = Identity(yard.user_id, "dora", frozenset(), frozenset({Scope.RELEASE}))
    assert yard.publish(converted, identity=narrow)["reason"] == "unauthorized"
    other_case = [{**converted[0], "id": "ALPHA"}]
    assert yard.publish(other_case)["reason"] == "duplicated id"
    stranger = Identity(yard.user_id + 1, "eve", frozenset(), frozenset(Scope))
    assert yard.publish([{**converted[0], "id": "alpha"}], identity=stranger)["reason"] == "unauthorized"
    yard.publisher.settings = yard.publisher.settings.model_copy(update={"upload_quota_bytes": 1})
    fresh = yard.convert(mod([file(server.file("/b.zip", zip_of({"b": b"1"})))], type="tc"))
    assert "may keep 1 bytes" in yard.publish(fresh)["errors"][0]["message"]


def test_only_who_has_the_token_of_a_conversion_that_went_well_may_publish_it(yard: Yard) -> None:
    conversions, engine = yard.publisher.conversions, yard.publisher.engine

    record = engine.submit(JobSpec(function="x.y", kind="conversion", title="My Mod 1.0", owner="key:a"))

    def publish(token: str = record.token, ticket: int = record.ticket) -> dict[str, Any]:
        return conversions.publish(yard.identity, ticket, token, mirror_url=MIRROR_URL, wait_seconds=0)

    for wrong in ({"token": "x"}, {"ticket": 999}):
        with pytest.raises(NotFound, match="no conversion"):
            publish(**wrong)  # type: ignore[arg-type]
    with pytest.raises(Refused) as refusal:
        publish()
    assert refusal.value.reason == "not finished"
    with engine.redis.pipeline() as pipeline:
        engine.ledger.start(record.ticket, "fence", "worker", pipeline)
        engine.ledger.succeed(record.ticket, "fence", {"mods": [{"id": "a", "version": "1"}]}, pipeline)
        pipeline.execute()
    first, again = publish(), publish()
    assert first["reason"] == again["reason"] == "still checking"
    assert first["ticket"] == again["ticket"]
    assert engine.find(first["ticket"]).title == "Release of My Mod 1.0"
    assert engine.payload(first["ticket"])["identity"]["name"] == "dora"


def test_partial_versions_are_filled_up_where_that_means_the_same() -> None:
    assert [full_version(text) for text in ("3", "3.7", "3.7.0", "1.0-rc")] == ["3.0.0", "3.7.0", "3.7.0", "1.0-rc"]
    given = [None, ">=3.7", "<2", "~1.2", "~1", ">1.2", "==1.2.0", ">=1,<2", "1.2.3", "==1.2", "1.2", "1"]
    meant = [None, ">=3.7.0", "<2.0.0", "~1.2.0", "~1", ">1.2", "1.2.0", ">=1,<2", "1.2.3", "~1.2.0", "~1.2.0", "1"]
    assert [full_spec(text) for text in given] == meant
