"""What is remembered of archives."""

from __future__ import annotations

import gzip
import json
import os
import time
from pathlib import Path

import pytest

from knossos.packaging.archives import Entry, Inspection, Inspections, Link, LinkKind
from knossos.packaging.archives import known as known_module
from knossos.settings import Settings

KEY = "ab" * 32
FOUND = Inspection(
    format="7z",
    entries=[Entry("data/ä.txt", 3, "0" * 32, "1" * 64, 7), Entry("b", 0, "2" * 32, "3" * 64, None)],
    total_bytes=3,
    links=[Link("s", "b"), Link("h", "b", LinkKind.HARD)],
    warnings=["odd"],
    captured={"mod.ini": b"\x00\xff"},
    has_backslashes=True,
)


@pytest.fixture
def store(tmp_path: Path) -> Inspections:
    return Inspections(Settings(data_path=tmp_path))


def file_of(tmp_path: Path) -> Path:
    return tmp_path / "inspections" / "ab" / f"{KEY}.json.gz"


def test_what_was_saved_is_loaded_and_nothing_else_lies_there(store: Inspections, tmp_path: Path) -> None:
    assert store.load(KEY) is None
    store.save(KEY, FOUND)
    assert store.load(KEY) == FOUND
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file_of(tmp_path)]


# The name of a case is its content before compression: what gzip writes begins with the time.
@pytest.mark.parametrize("text", ["{}", "[]", "{"])
def test_a_file_that_says_something_else_counts_as_unknown(store: Inspections, tmp_path: Path, text: str) -> None:
    store.save(KEY, FOUND)
    file_of(tmp_path).write_bytes(gzip.compress(text.encode()))
    assert store.load(KEY) is None


@pytest.mark.parametrize("content", [b"", b"rubbish"])
def test_a_broken_file_counts_as_unknown(store: Inspections, tmp_path: Path, content: bytes) -> None:
    store.save(KEY, FOUND)
    file_of(tmp_path).write_bytes(content)
    assert store.load(KEY) is None


def test_a_truncated_file_counts_as_unknown(store: Inspections, tmp_path: Path) -> None:
    store.save(KEY, FOUND)
    whole = file_of(tmp_path).read_bytes()
    for length in range(0, len(whole), 7):
        file_of(tmp_path).write_bytes(whole[:length])
        assert store.load(KEY) is None


def test_another_version_s_file_counts_as_unknown(store: Inspections, tmp_path: Path) -> None:
    store.save(KEY, FOUND)
    data = json.loads(gzip.decompress(file_of(tmp_path).read_bytes()))
    data["schema"] = known_module.SCHEMA + 1
    file_of(tmp_path).write_bytes(gzip.compress(json.dumps(data).encode()))
    assert store.load(KEY) is None
    store.save(KEY, FOUND)
    assert store.load(KEY) == FOUND


@pytest.mark.parametrize("key", ["", "../../etc", "AB" * 32, "ab" * 31, "ab" * 32 + "\n"])
def test_only_a_sha256_is_a_key(store: Inspections, key: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        store.load(key)


def test_what_is_used_stays_and_what_is_not_goes(store: Inspections, tmp_path: Path) -> None:
    other = "cd" * 32
    store.save(KEY, FOUND)
    store.save(other, FOUND)
    left_over = tmp_path / "inspections" / "ab" / "x.new"
    left_over.write_bytes(b"half")
    old = time.time() - 10 * 86400
    for path in (tmp_path / "inspections").rglob("*"):
        os.utime(path, (old, old))
    assert store.load(KEY) == FOUND
    assert store.expire(86400) == 1
    assert store.load(KEY) == FOUND
    assert store.load(other) is None
    assert not left_over.exists()
    assert store.expire(86400) == 0


def test_a_nameless_file_is_called_after_the_archive_it_is_found_in_this_time(store: Inspections) -> None:
    entry = Entry("old.vp", 1, "0" * 32, "1" * 64)
    single = Inspection(
        format="gz", entries=[entry], total_bytes=1, captured={"old.vp": b"x"}, named_after_archive="old.vp"
    )
    store.save(KEY, single)
    found = store.load(KEY, "new.vp.gz")
    assert found is not None
    assert [entry.name for entry in found.entries] == ["new.vp"]
    assert found.captured == {"new.vp": b"x"}
    store.save(KEY, FOUND)
    assert store.load(KEY, "renamed.7z") == FOUND
