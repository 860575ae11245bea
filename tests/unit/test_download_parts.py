"""The parts of a download that need no server: hashing, telling pages from files, what is remembered of links."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knossos.packaging.downloads import KnownFile, KnownLinks
from knossos.packaging.downloads.hashing import BLOCK_BYTES, INLINE_BYTES, FileHashes
from knossos.packaging.downloads.pages import is_web_page
from knossos.settings import Settings
from tests.support.downloads import hashes


@pytest.mark.parametrize("size", [0, 1, INLINE_BYTES, INLINE_BYTES + 1, INLINE_BYTES + 5 * BLOCK_BYTES + 7])
@pytest.mark.parametrize("piece", [65_537, 700_000])
def test_hashes_are_right_whether_inline_or_in_threads(size: int, piece: int) -> None:
    data = os.urandom(size)
    hasher = FileHashes()
    try:
        hasher.update(b"another file")
        hasher.restart()
        for start in range(0, size, piece):
            hasher.update(data[start : start + piece])
            if start == 3 * piece:  # a look on the way, as after a break, changes nothing
                assert hasher.result() == hashes(data[: start + piece])
        assert hasher.result() == hashes(data)
    finally:
        hasher.close()


@pytest.mark.parametrize(
    ("content_type", "head", "page"),
    [
        ("text/html", b"<p>hello", True),
        ("text/html; charset=utf-8", b"", True),
        ("application/xhtml+xml", b"<?xml version='1.0'?>", True),
        ("application/zip", b"<!DOCTYPE html>", True),
        ("", b"\xef\xbb\xbf\n <HTML>", True),
        ("text/html", b"7z\xbc\xaf\x27\x1c", False),
        ("text/plain", b"<p>", False),
        ("application/xml", b"<?xml version='1.0'?><mod/>", False),
        ("application/octet-stream", b"", False),
    ],
)
def test_pages_are_told_from_files_by_their_contents(content_type: str, head: bytes, page: bool) -> None:
    assert is_web_page(content_type, head) is page


@pytest.fixture
def store(tmp_path: Path) -> KnownLinks:
    return KnownLinks(Settings(data_path=tmp_path))


def example(url: str = "https://example.org/a.7z", **changes: str | None) -> KnownFile:
    md5, sha256 = hashes(b"data")
    fields: dict[str, str | None] = {"etag": '"1"', "last_modified": None, **changes}
    return KnownFile(
        url=url, size=4, md5=md5, sha256=sha256, etag=fields["etag"], last_modified=fields["last_modified"]
    )


def test_what_is_remembered_of_a_link_is_found_again(store: KnownLinks) -> None:
    assert store.lookup("https://example.org/a.7z") is None
    store.remember(example())
    store.remember(example("https://example.org/" + "ü/../" * 1000))
    assert store.lookup("https://example.org/a.7z") == example()
    store.remember(example(etag='"2"'))
    assert store.lookup("https://example.org/a.7z") == example(etag='"2"')


def test_a_link_that_cannot_be_asked_about_is_not_remembered(store: KnownLinks) -> None:
    store.remember(example())
    store.remember(example(etag=None))
    assert store.lookup("https://example.org/a.7z") is None


@given(text=st.binary(max_size=50))
def test_a_broken_entry_counts_as_none(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    folder = tmp_path_factory.mktemp("links")
    store = KnownLinks(Settings(data_path=folder))
    store.remember(example())
    (path,) = folder.rglob("*.json")
    path.write_bytes(text)
    assert store.lookup("https://example.org/a.7z") is None


def test_an_entry_of_another_version_or_another_url_counts_as_none(store: KnownLinks, tmp_path: Path) -> None:
    store.remember(example())
    (path,) = tmp_path.rglob("*.json")
    text = path.read_text()
    for changed in (text.replace('"version":1', '"version":2'), text.replace("a.7z", "b.7z")):
        assert changed != text
        path.write_text(changed)
        assert store.lookup("https://example.org/a.7z") is None


def test_old_entries_expire_and_so_do_the_leavings_of_a_crash(store: KnownLinks, tmp_path: Path) -> None:
    assert store.expire(0) == 0
    store.remember(example())
    (path,) = tmp_path.rglob("*.json")
    path.with_suffix(".new").write_text("half")
    for old in (path, path.with_suffix(".new")):
        os.utime(old, (time.time() - 100, time.time() - 100))
    store.remember(example("https://example.org/new.7z"))
    assert store.expire(50) == 2
    assert store.lookup("https://example.org/a.7z") is None
    assert store.lookup("https://example.org/new.7z") is not None
