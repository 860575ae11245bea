"""Multipart bodies are cut where they should be, wherever the connection cuts them."""

from __future__ import annotations

import io
import random

import pytest

from knossos.web.form_scanner import MAX_HEADER_BYTES, MAX_PARTS, MalformedForm, parts_of
from knossos.web.multipart import receive

BODY = (
    b"preamble\r\n--edge\r\nContent-Disposition: form-data; name=id\r\n\r\nabc\r\n"
    b'--edge  \r\nContent-Type: text/plain\r\ncontent-disposition: form-data; name="part"\r\n\r\n\r\n'
    b"--edge\r\nContent-Disposition: form-data; name=file; filename=upload; filename*=utf-8''upload\r\n\r\n"
    b"\r\n--edg\r\n--\r\r\n--edgE\r\r\n--edge--\r\n"
)
FILE = b"\r\n--edg\r\n--\r\r\n--edgE\r"


def read_all(body: bytes, size: int) -> list[tuple[str, str | None, bytes]]:
    stream = io.BytesIO(body)
    parts = parts_of(lambda most: stream.read(min(size, most)), b"edge")
    return [(part.name, part.filename, b"".join(part.pieces)) for part in parts]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 8, 9, 30, 1000])
def test_a_body_is_read_the_same_in_pieces_of_every_size(size: int) -> None:
    assert read_all(BODY, size) == [("id", None, b"abc"), ("part", None, b""), ("file", "upload", FILE)]


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_the_delimiter_after_an_empty_part_may_begin_with_the_end_of_its_headers(size: int) -> None:
    part = b"--edge\r\nContent-Disposition: form-data; name="
    body = part + b"a\r\n\r\n" + part + b"b\r\n\r\n1\r\n" + part + b"c\r\n\r\n--edge--"
    assert read_all(body, size) == [("a", None, b""), ("b", None, b"1"), ("c", None, b"")]


def test_a_body_that_is_cut_anywhere_is_malformed() -> None:
    for end in range(len(BODY) - 4):
        with pytest.raises(MalformedForm):
            read_all(BODY[:end], 1000)


def test_what_is_like_the_delimiter_stays_part_of_the_data() -> None:
    chance = random.Random(7)
    for _ in range(200):
        data = bytes(chance.choice(b"\r\n-ed") for _ in range(60))
        if b"\r\n--edge" in b"\r\n" + data:
            continue
        body = b"--edge\r\nContent-Disposition: form-data; name=x\r\n\r\n" + data + b"\r\n--edge--"
        assert read_all(body, chance.randrange(1, 20)) == [("x", None, data)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--edge--"[:5],
        b"--edge\r\nX: " + b"a" * (MAX_HEADER_BYTES + 1),
        b"--edge\r\n\r\nno headers\r\n--edge--",
        b"--edge\r\nContent-Disposition: form-data\r\n\r\nno name\r\n--edge--",
        b"--edge\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n" * (MAX_PARTS + 1) + b"--edge--",
    ],
)
def test_a_body_that_breaks_the_format_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedForm):
        read_all(body, 1000)


def test_parts_that_are_not_read_are_passed_over() -> None:
    stream = io.BytesIO(BODY)
    assert [part.name for part in parts_of(stream.read, b"edge")] == ["id", "part", "file"]


@pytest.mark.parametrize("size", [1, 3, 7, 8, 9, 30, 1000])
def test_bytes_that_are_expected_are_not_searched_for_the_end(size: int) -> None:
    stream = io.BytesIO(BODY)
    parts = parts_of(lambda most: stream.read(min(size, most)), b"edge")
    next(parts)
    next(parts)
    part = next(parts)
    part.expect(len(FILE))
    assert b"".join(part.pieces) == FILE
    assert list(parts) == []


def test_a_part_that_is_shorter_than_expected_makes_the_form_malformed() -> None:
    parts = parts_of(io.BytesIO(BODY).read, b"edge")
    part = next(parts)
    part.expect(len(BODY))
    with pytest.raises(MalformedForm):
        list(part.pieces)


def test_a_form_knows_the_fields_before_a_file_when_it_asks_where_the_file_goes() -> None:
    sink, asked = io.BytesIO(), []

    def accept(name: str, filename: str, fields: dict[str, str]) -> io.BytesIO:
        asked.append((name, filename, dict(fields)))
        return sink

    form = receive(io.BytesIO(BODY), b"edge", accept)
    assert asked == [("file", "upload", {"id": "abc", "part": ""})]
    assert (sink.getvalue(), form.files) == (FILE, {"file"})


def test_fields_have_a_bound() -> None:
    body = b"--edge\r\nContent-Disposition: form-data; name=x\r\n\r\n" + b"x" * 70_000 + b"\r\n--edge--"
    with pytest.raises(MalformedForm):
        receive(io.BytesIO(body), b"edge", lambda *_: None)
    assert receive(io.BytesIO(body), b"edge", lambda *_: None, keep_fields=False).fields == {}
