"""Conversions as jobs: the real engine, a real worker process, everything that watchers are told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from knossos.jobs import Engine, JobRecord, JobSpec, JobState
from knossos.packaging.conversion.job import _mirror_url
from knossos.packaging.description import parse_request
from knossos.settings import Settings
from tests.support.archives import zip_of
from tests.support.conversions import file, mod, sums
from tests.support.file_server import FileServer, Silent
from tests.support.processes import Process, wait_for

MIRROR = "http://this.server.example:8080/mirror"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


def submit(engine: Engine, description: Any) -> int:
    payload = {"request": parse_request(json.dumps(description)).as_payload(), "mirror_url": MIRROR}
    spec = JobSpec(
        function="knossos.packaging.conversion.convert", kind="conversion", title="A", owner="key:a", payload=payload
    )
    return engine.submit(spec).ticket


def ended(engine: Engine, ticket: int) -> JobRecord:
    def look() -> JobRecord | None:
        record = engine.find(ticket)
        return record if record.state.finished else None

    return wait_for(look, f"the end of task {ticket}")


def test_a_worker_packages_a_mod_and_tells_what_it_does(
    engine: Engine, settings: Settings, server: FileServer, worker_process: Process
) -> None:
    data = zip_of({"a": b"one"})
    ticket = submit(engine, mod([file(server.file("/a.zip", data))], colour="red"))
    record = ended(engine, ticket)
    assert record.failure is None
    out = engine.result(ticket)
    (listed,) = out["mods"][0]["packages"][0]["files"]
    assert listed["urls"] == [server.url("/a.zip"), f"{MIRROR}/mymod/1.0.0/a.zip"]
    assert listed | sums(data) == listed
    assert (settings.mirror_folder / "mymod/1.0.0/a.zip").read_bytes() == data
    events = engine.events(ticket)
    texts = [event.data["text"] for event in events if event.type == "log"]
    assert texts[0].startswith("colour: this key is not known")
    assert any("downloaded" in text for text in texts)
    assert any(text.startswith("a.zip: zip, 1 file, ") for text in texts)
    assert [event.data for event in events if event.type == "progress"][-1] == {"fraction": 1.0, "text": "Done"}
    (last,) = [event.data["files"] for event in events if event.type == "files"][-1]
    assert (last["name"], last["phase"]) == ("a.zip", "done")
    wait_for(lambda: not list(settings.work_folder.iterdir()), "the work folder to go")


def test_a_failed_conversion_names_every_file_in_its_failure(
    engine: Engine, settings: Settings, server: FileServer, worker_process: Process
) -> None:
    files = [file(server.status(f"/{name}.zip", 404)) for name in ("a", "b")]
    record = ended(engine, submit(engine, mod(files)))
    assert record.state is JobState.FAILED
    assert record.attempt == 1
    assert record.failure is not None
    assert record.failure.code == "conversion_failed"
    assert [one["file"] for one in record.failure.details["files"]] == ["a.zip", "b.zip"]
    wait_for(lambda: not list(settings.work_folder.iterdir()), "the work folder to go")


def test_a_cancelled_conversion_leaves_nothing(
    engine: Engine, settings: Settings, server: FileServer, worker_process: Process
) -> None:
    files = [file(server.file(f"/{name}.zip", b"x" * 100, always=Silent(after=10))) for name in ("a", "b")]
    ticket = submit(engine, mod(files))
    wait_for(lambda: server.count("/a.zip") and server.count("/b.zip"), "both downloads to begin")
    engine.cancel(ticket)
    assert ended(engine, ticket).state is JobState.CANCELLED
    wait_for(lambda: not list(settings.work_folder.iterdir()), "the work folder to go")
    assert not settings.mirror_folder.exists() or not list(settings.mirror_folder.rglob("*.zip"))


def test_the_mirrors_address_comes_from_the_settings_then_from_the_request(settings: Settings) -> None:
    named = settings.model_copy(update={"mirror_url": "https://mods.example/m"})
    public = settings.model_copy(update={"public_url": "https://k.example"})
    assert _mirror_url(named, MIRROR) == "https://mods.example/m"
    assert _mirror_url(settings, MIRROR) == MIRROR
    assert _mirror_url(public, "") == "https://k.example/mirror"
    assert _mirror_url(settings, "") == "http://127.0.0.1:8080/mirror"
