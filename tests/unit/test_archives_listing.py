"""7-Zip's listing as a stream."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knossos.packaging.archives.contents import plan_of
from knossos.packaging.archives.errors import ArchiveDamaged, ArchiveEncrypted, ArchiveSpecialFile, ArchiveTooBig
from knossos.packaging.archives.formats import Kind
from knossos.packaging.archives.limits import Limits
from knossos.packaging.archives.listing import Listed, parse_listing

NAMES = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=1)


def block(path: str, size: int | str = 1, **more: str) -> bytes:
    fields = {"Path": path, "Size": str(size), "CRC": "", "Attributes": " -rw-r--r--", **more}
    return "".join(f"{key} = {value}\n" for key, value in fields.items()).encode() + b"\n"


def parse(text: bytes) -> list[Listed]:
    return list(parse_listing([text], "a.7z"))


@given(
    st.lists(st.tuples(NAMES, st.integers(0, 2**63), st.integers(0, 2**32 - 1)), max_size=8),
    st.integers(1, 64),
)
def test_a_listing_reads_the_same_whatever_pieces_it_comes_in(entries: list[tuple[str, int, int]], piece: int) -> None:
    text = b"".join(block(name, size, CRC=f"{crc:08X}") for name, size, crc in entries)
    pieces = [text[i : i + piece] for i in range(0, len(text), piece)]
    listed = list(parse_listing(pieces, "a.7z"))
    assert [(entry.path, entry.size, entry.crc) for entry in listed] == entries


@given(st.binary(max_size=300))
def test_rubbish_is_an_error_and_nothing_else(text: bytes) -> None:
    with contextlib.suppress(ArchiveDamaged):
        parse(text)


def test_lines_end_at_line_feeds_only() -> None:
    [entry] = parse(block("a\rb\x85c\u2028d\x0be = f"))
    assert entry.path == "a\rb\x85c\u2028d\x0be = f"


@pytest.mark.parametrize(
    ("attributes", "folder", "kind", "reparse"),
    [
        ("D drwxr-xr-x", True, "d", False),
        ("RD", True, "", False),
        ("DV 01800000 0rw-------", True, "", False),
        ("A -rw-r--r--", False, "-", False),
        (" -rw-r--r--", False, "-", False),
        (" lrwxrwxrwx", False, "l", False),
        ("A lrwxrwxrwx", False, "l", False),
        (" prw-r--r--", False, "p", False),
        ("AL", False, "", True),
        ("", False, "", False),
    ],
)
def test_attributes_tell_folders_links_and_special_files(
    attributes: str, folder: bool, kind: str, reparse: bool
) -> None:
    [entry] = parse(block("x", Attributes=attributes))
    assert (entry.is_folder, entry.unix_type, entry.is_reparse_point) == (folder, kind, reparse)


def test_a_folder_key_wins_over_the_attributes() -> None:
    [entry] = parse(block("x", 77, Folder="+"))
    assert entry.is_folder


def test_the_listing_is_left_at_the_first_entry_too_many() -> None:
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield block(f"f{read}", 0)

    with pytest.raises(ArchiveTooBig) as caught:
        plan(endless(), limits=Limits(max_entries=1000))
    assert caught.value.limit == "entries"
    assert read == 1001


def test_a_block_that_never_ends_is_not_collected() -> None:
    with pytest.raises(ArchiveDamaged):
        list(parse_listing((b"x" * 65536 for _ in iter(int, 1)), "a.7z"))


def plan(chunks: Iterator[bytes], limits: Limits | None = None, packed: int = 10**6, kind: Kind = Kind.ZIP) -> object:
    listing = parse_listing(chunks, "a.7z")
    return plan_of(listing, "a.7z", kind, packed, limits or Limits(), lambda name, size: False)


def test_stated_sizes_beyond_the_limits_are_refused_before_anything_is_read() -> None:
    with pytest.raises(ArchiveTooBig) as caught:
        plan(iter([block("a", 600), block("b", 600)]), Limits(max_bytes=1000))
    assert caught.value.limit == "bytes"
    with pytest.raises(ArchiveTooBig) as caught:
        plan(iter([block("a", 300 * 2**20)]), packed=306_000)
    assert caught.value.limit == "ratio"


def test_encrypted_entries_are_known_before_anything_is_read() -> None:
    with pytest.raises(ArchiveEncrypted) as caught:
        plan(iter([block("a"), block("secret.txt", Encrypted="+")]))
    assert caught.value.entry == "secret.txt"


def test_a_fifo_is_refused() -> None:
    with pytest.raises(ArchiveSpecialFile):
        plan(iter([block("pipe", 0, Attributes=" prw-r--r--")]))
