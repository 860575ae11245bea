"""Conversions that fail: what is said, and what is left behind (nothing)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from knossos.packaging.conversion import ConversionFailed
from knossos.packaging.mirror import Mirror, MirrorFailed
from tests.support.archives import zip_of
from tests.support.conversions import MIRROR_URL, NotingReporter, Place, file, mod
from tests.support.file_server import FileServer, Silent


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def fails(place: Place, description: object) -> ConversionFailed:
    with pytest.raises(ConversionFailed) as caught:
        place.convert(description)
    return caught.value


def test_one_failing_file_does_not_hide_the_others(place: Place, server: FileServer) -> None:
    good = file(server.file("/good.zip", zip_of({"a": b"one"})))
    gone = file(server.status("/gone.zip", 404))
    page = file(server.page("/page.zip", "<html>Log in first</html>"))
    junk = file(server.file("/junk.7z", b"this is no archive" * 100))
    error = fails(place, mod([gone, good], [junk, page]))
    assert [(one["package"], one["file"]) for one in error.files] == [
        ("Package 0", "gone.zip"),
        ("Package 1", "junk.7z"),
        ("Package 1", "page.zip"),
    ]
    assert all(one["code"] and one["file"] in one["message"] for one in error.files)
    assert server.url("/gone.zip") in error.files[0]["message"]
    assert "3 of 4 files failed" in error.message
    for name in ("gone.zip", "junk.7z", "page.zip"):
        assert any(line.startswith("ERROR") and name in line for line in place.reporter.lines)
    phases = {state.name: state.phase for state in place.reporter.states[-1]}
    assert phases == {"good.zip": "done", "gone.zip": "failed", "junk.7z": "failed", "page.zip": "failed"}
    notes = {state.name: state.note for state in place.reporter.states[-1]}
    assert notes["gone.zip"] == "the server answers 404 (there is no such file)"
    assert notes["page.zip"] == "this link gives a web page, not a file"
    assert place.mirrored() == {}


def test_a_failed_conversion_leaves_what_an_earlier_one_stored(place: Place, server: FileServer) -> None:
    good = file(server.file("/a.zip", zip_of({"a": b"one"}), etag='"1"'))
    place.convert(mod([good]))
    before = place.mirrored()
    fails(place, mod([good, file(server.status("/b.zip", 404))]))
    assert place.mirrored() == before
    out = place.convert(mod([good]))
    assert out["mods"][0]["packages"][0]["files"][0]["urls"][-1] == f"{MIRROR_URL}/mymod/1.0.0/a.zip"


@pytest.mark.parametrize("tail", ["../data/secret", "%2e%2e/secret", "mymod/../../secret", "link"])
def test_a_mirror_link_never_publishes_a_file_of_the_server(place: Place, tail: str) -> None:
    mirror = place.settings.mirror_folder
    mirror.mkdir(parents=True)
    secret = mirror.parent / "secret"
    secret.write_text("API_KEYS = ...")
    (mirror / "link").symlink_to(secret)
    error = fails(place, mod([{"filename": "a.txt", "is_archive": False, "urls": [f"{MIRROR_URL}/{tail}"]}]))
    assert error.files[0]["code"] == "mirror_link_invalid"
    assert [path.name for path in mirror.iterdir()] == ["link"]


def test_the_same_path_in_two_archives_is_an_error_unless_an_action_resolves_it(
    place: Place, server: FileServer
) -> None:
    files = [file(server.file(f"/{name}.zip", zip_of({"readme": name.encode(), name: b""}))) for name in ("a", "b")]
    error = fails(place, mod(files))
    assert "readme in a.zip" in error.message
    assert "readme in b.zip" in error.message
    assert error.mods[0]["code"] == "files_clash"
    place.convert(mod(files, actions=[{"type": "delete", "paths": ["readme"]}]))


def test_an_action_that_cannot_be_done_is_named(place: Place, server: FileServer) -> None:
    url = server.file("/a.zip", zip_of({"a": b"1", "b": b"2"}))
    error = fails(place, mod([file(url)], actions=[{"type": "move", "paths": ["a"], "dest": "b"}]))
    assert error.mods == [
        {"mod": "mymod", "code": "action_impossible", "action": 0, "message": error.mods[0]["message"]}
    ]
    assert "b is an existing file" in error.message


def test_a_private_address_is_refused(place: Place, server: FileServer) -> None:
    place.changes = {"allowed_private_networks": ()}
    url = server.file("/a.zip", zip_of({"a": b"one"}))
    error = fails(place, mod([file(url)]))
    assert url in error.message
    assert server.count("/a.zip") == 0


class Cancelled(BaseException):
    """What the engine raises, as far as conversions know."""


def test_a_cancelled_conversion_ends_all_its_work_at_once(place: Place, server: FileServer) -> None:
    asked = threading.Event()
    reporter = NotingReporter()

    def check() -> None:
        if server.count("/a.zip") and server.count("/b.zip"):
            asked.set()
            raise Cancelled

    reporter.on_check = check
    urls = [server.file(f"/{name}.zip", zip_of({name: b""}), always=Silent(after=10)) for name in ("a", "b")]
    before = threading.active_count()
    with pytest.raises(Cancelled):
        place.convert(mod([file(url) for url in urls]), reporter)
    assert asked.is_set()
    waiting = [thread.name for thread in threading.enumerate() if thread.name.startswith(("download", "inspect"))]
    assert waiting == []
    assert threading.active_count() <= before + 2  # the server's own threads
    assert place.mirrored() == {}


def test_cancelling_while_the_mirror_is_filled_takes_everything_back(
    place: Place, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.file("/a.zip", zip_of({"a": b"one"}))
    monkeypatch.setattr(Mirror, "link", lambda mirror, path: (_ for _ in ()).throw(Cancelled()))
    with pytest.raises(Cancelled):
        place.convert(mod([file(url)]))
    assert place.mirrored() == {}
    assert not any((place.settings.data_path / "links").rglob("*.json"))


def test_a_mirror_that_cannot_be_written_is_named(place: Place, server: FileServer) -> None:
    mirror = place.settings.mirror_folder
    mirror.mkdir(parents=True)
    (mirror / "mymod").write_text("in the way")
    with pytest.raises(MirrorFailed, match="mymod"):
        place.convert(mod([file(server.file("/a.zip", zip_of({"a": b"one"})))]))


def test_conversions_of_one_mod_at_once_do_not_mix(place: Place, server: FileServer) -> None:
    results: dict[int, str] = {}

    def run(number: int) -> None:
        url = server.url(f"/{number}/a.zip")
        mine = Place(place.folder, _numbers=iter([100 + number]))
        out = mine.convert(mod([file(url)]))
        results[number] = out["mods"][0]["packages"][0]["files"][0]["urls"][-1]

    for number in range(6):
        server.file(f"/{number}/a.zip", zip_of({"n": b"%d" % number}))
    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(results.values())) == 6
    for number, link in results.items():
        assert place.mirrored()[link.removeprefix(f"{MIRROR_URL}/")] == zip_of({"n": b"%d" % number})


def test_a_bad_archive_is_told_with_the_link_that_gave_it(place: Place, server: FileServer) -> None:
    junk = server.file("/b/junk.7z", b"this is no archive" * 100)
    error = fails(place, mod([{"filename": "junk.7z", "urls": [server.status("/a/junk.7z", 404), junk]}]))
    assert error.files[0]["url"] == junk
