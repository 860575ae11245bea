"""The mirror on a real folder: names, atomicity, rollback, links that lead elsewhere, two writers at once."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from knossos.packaging import mirror as module
from knossos.packaging.description import parse_request
from knossos.packaging.mirror import Additions, Mirror, MirrorFailed, MirrorLinkInvalid, folder_for
from knossos.packaging.mirror_index import MirrorIndex
from knossos.settings import Settings

URL = "https://mods.example/mirror"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_path=tmp_path / "data")


@pytest.fixture
def mirror(settings: Settings) -> Mirror:
    return Mirror(settings.mirror_folder, URL, MirrorIndex(settings))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def keep_on() -> None:
    """The job was not cancelled."""


def put(additions: Additions, work: Path, content: bytes, folder: str = "m/1.0", name: str = "a.7z") -> str:
    source = work / f"{threading.get_ident()}-{os.urandom(4).hex()}"
    source.write_bytes(content)
    return additions.add(
        source,
        folder,
        name,
        sha256=hashlib.sha256(content).hexdigest(),
        md5=hashlib.md5(content).hexdigest(),
    )


def store(mirror: Mirror, work: Path, content: bytes, folder: str = "m/1.0", name: str = "a.7z") -> str:
    with mirror.additions(keep_on) as additions:
        return put(additions, work, content, folder, name)


def store_and_fail(mirror: Mirror, work: Path, *files: tuple[bytes, str], then: Callable[[], object] = keep_on) -> None:
    """Add files, and fail before the end."""
    with mirror.additions(keep_on) as additions:
        for content, folder in files:
            put(additions, work, content, folder)
        then()
        raise RuntimeError


def everything(root: Path) -> dict[str, bytes]:
    return {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}


def test_a_file_gets_its_name_and_a_public_link(mirror: Mirror, work: Path) -> None:
    path = store(mirror, work, b"one", name="a b#1.7z")
    assert path == "m/1.0/a b#1.7z"
    assert mirror.link(path) == f"{URL}/m/1.0/a%20b%231.7z"
    assert mirror.locate(mirror.link(path)) == path
    assert (mirror.root / path).stat().st_mode & 0o777 == 0o644


def test_a_taken_name_gets_a_number_unless_it_is_the_same_file(mirror: Mirror, work: Path) -> None:
    assert store(mirror, work, b"one") == "m/1.0/a.7z"
    assert store(mirror, work, b"two") == "m/1.0/1_a.7z"
    assert store(mirror, work, b"three") == "m/1.0/2_a.7z"
    assert store(mirror, work, b"one") == "m/1.0/a.7z"
    assert store(mirror, work, b"two") == "m/1.0/1_a.7z"
    assert everything(mirror.root) == {"m/1.0/a.7z": b"one", "m/1.0/1_a.7z": b"two", "m/1.0/2_a.7z": b"three"}


def test_a_file_that_somebody_put_there_by_hand_is_compared_by_its_contents(mirror: Mirror, work: Path) -> None:
    (mirror.root / "m/1.0").mkdir(parents=True)
    (mirror.root / "m/1.0/a.7z").write_bytes(b"two")
    (mirror.root / "m/1.0/1_a.7z").mkdir()
    assert store(mirror, work, b"one") == "m/1.0/2_a.7z"
    assert store(mirror, work, b"two") == "m/1.0/a.7z"


def test_a_failure_removes_only_what_it_added(mirror: Mirror, work: Path) -> None:
    store(mirror, work, b"one")
    before = everything(mirror.root)
    with pytest.raises(RuntimeError):
        store_and_fail(mirror, work, (b"one", "m/1.0"), (b"two", "m/1.0"), (b"three", "new/2.0"))
    assert everything(mirror.root) == before
    assert not (mirror.root / "new").exists()


def test_the_first_failure_leaves_an_empty_mirror(mirror: Mirror, work: Path) -> None:
    with pytest.raises(RuntimeError):
        store_and_fail(mirror, work, (b"one", "m/1.0"))
    assert list(mirror.root.iterdir()) == []


def test_hashes_are_known_without_reading_until_the_file_changes(
    mirror: Mirror, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store(mirror, work, b"one")
    file = mirror.root / path
    read: list[Path] = []
    real = module.MirrorIndex.hashes.__globals__["_hash"]
    monkeypatch.setitem(
        module.MirrorIndex.hashes.__globals__, "_hash", lambda file, check: (read.append(file), real(file, check))[1]
    )
    sha256 = hashlib.sha256(b"one").hexdigest()
    assert mirror.index.hashes(path, file, check=keep_on).sha256 == sha256
    assert mirror.index.find(sha256) is not None
    assert read == []
    file.unlink()
    file.write_bytes(b"two")
    assert mirror.index.find(sha256) is None
    assert mirror.index.hashes(path, file, check=keep_on).sha256 == hashlib.sha256(b"two").hexdigest()
    assert read == [file]
    assert mirror.index.expire() == 1
    file.unlink()
    assert mirror.index.expire() == 2


@pytest.mark.parametrize(
    "tail",
    ["../secret", "m/../../secret", "%2e%2e/secret", "m/%2e%2e/%2e%2e/secret", "..%2fsecret", "/etc/passwd", "", "m",
     "m//1.0/a.7z", "out/secret", "out.txt", "m/1.0/missing", "a%00b", "..\\secret", ".", "m/1.0/a.7z/x"],
)  # fmt: skip
def test_a_mirror_link_never_leads_out_of_the_mirror(mirror: Mirror, work: Path, tail: str) -> None:
    store(mirror, work, b"one")
    secret = mirror.root.parent / "secret"
    secret.write_text("API_KEYS")
    (mirror.root / "out").symlink_to(mirror.root.parent)
    (mirror.root / "out.txt").symlink_to(secret)
    with pytest.raises(MirrorLinkInvalid):
        mirror.locate(f"{URL}/{tail}")


def test_only_links_below_the_address_are_the_mirrors(mirror: Mirror) -> None:
    assert mirror.owns(f"{URL}/m/1.0/a.7z")
    assert not mirror.owns(f"{URL}s/m/1.0/a.7z")
    assert not mirror.owns(URL)


def test_a_query_and_a_fragment_are_no_part_of_the_name(mirror: Mirror, work: Path) -> None:
    path = store(mirror, work, b"one")
    assert mirror.locate(f"{mirror.link(path)}?x=1#y") == path


def test_nothing_is_stored_through_a_symlink_or_a_file(mirror: Mirror, work: Path, tmp_path: Path) -> None:
    mirror.root.mkdir(parents=True)
    (mirror.root / "m").symlink_to(tmp_path)
    (mirror.root / "n").write_text("")
    for folder in ("m/1.0", "n/1.0"):
        with pytest.raises(MirrorFailed):
            store(mirror, work, b"one", folder=folder)
    assert not (tmp_path / "1.0" / "a.7z").exists()


@pytest.mark.parametrize("unnamed_files", [True, False])
def test_where_links_are_not_possible_a_copy_appears_at_once(
    mirror: Mirror, work: Path, monkeypatch: pytest.MonkeyPatch, unnamed_files: bool
) -> None:
    real_link, real_pour = os.link, module._pour
    seen: list[set[str]] = []

    def link(source: object, target: object, **more: object) -> None:
        if str(source).startswith(str(work)):
            raise OSError(18, "Invalid cross-device link")
        real_link(source, target, **more)  # type: ignore[arg-type]

    def pour(source: Path, out: int, check: object) -> None:
        real_pour(source, out, keep_on)
        seen.append({name for name in everything(mirror.root) if not name.rpartition("/")[2].startswith(".")})

    monkeypatch.setattr(module.os, "link", link)
    monkeypatch.setattr(module, "_pour", pour)
    if not unnamed_files:
        monkeypatch.setattr(module, "_copy", module._copy_by_name)
    assert store(mirror, work, b"one") == "m/1.0/a.7z"
    assert store(mirror, work, b"two") == "m/1.0/1_a.7z"
    assert store(mirror, work, b"one") == "m/1.0/a.7z"
    assert seen == [set(), {"m/1.0/a.7z"}]
    assert everything(mirror.root) == {"m/1.0/a.7z": b"one", "m/1.0/1_a.7z": b"two"}
    assert (mirror.root / "m/1.0/1_a.7z").stat().st_mode & 0o777 == 0o644


def test_waiting_for_the_mirror_ends_when_the_job_is_cancelled(mirror: Mirror) -> None:
    class Cancelled(Exception):
        pass

    def cancelled() -> None:
        raise Cancelled

    with mirror.additions(keep_on), pytest.raises(Cancelled), mirror.additions(cancelled):
        pass


def test_a_failing_conversion_never_takes_away_what_another_one_builds_on(mirror: Mirror, work: Path) -> None:
    added, go_on = threading.Event(), threading.Event()

    def meanwhile() -> None:
        added.set()
        go_on.wait(10)

    def fails() -> None:
        with pytest.raises(RuntimeError):
            store_and_fail(mirror, work, (b"shared", "m/1.0"), then=meanwhile)

    thread = threading.Thread(target=fails)
    thread.start()
    added.wait(10)
    threading.Timer(0.1, go_on.set).start()
    path = store(mirror, work, b"shared")
    thread.join()
    assert (mirror.root / path).read_bytes() == b"shared"


def _store_many(data: Path, work: Path, number: int) -> None:
    settings = Settings(data_path=data)
    mirror = Mirror(settings.mirror_folder, URL, MirrorIndex(settings))
    for round_ in range(20):
        content = f"{number % 2} {round_}".encode()
        path = store(mirror, work, content, name=f"{round_}.7z")
        assert (mirror.root / path).read_bytes() == content
    (work / f"ok{number}").touch()


def test_conversions_in_several_processes_do_not_mix(settings: Settings, work: Path) -> None:
    processes = [
        multiprocessing.get_context("spawn").Process(target=_store_many, args=(settings.data_path, work, number))
        for number in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [(work / f"ok{number}").exists() for number in range(3)] == [True] * 3
    contents = everything(settings.mirror_folder)
    assert len(contents) == 40
    assert len(set(contents.values())) == 40


def test_a_request_with_several_mods_keeps_its_archives_together() -> None:
    def mods(*ids: str) -> list[dict[str, str]]:
        return [{"id": mod_id, "title": "M", "version": "1.0"} for mod_id in ids]

    (alone,) = parse_request(json.dumps({"mods": mods("a")})).mods
    both = parse_request(json.dumps({"mods": mods("a", "b")})).mods
    assert folder_for([alone], alone) == "a/1.0"
    assert {folder_for(both, mod) for mod in both} == {"general"}
