"""Reading a urlencoded form piece by piece."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knossos.scripting.arguments import BadArgument
from knossos.web.linkahead.reading import _field_name, _pairs

texts = st.text(st.characters(codec="utf-8"))


@given(st.lists(st.tuples(texts, texts)))
def test_what_was_encoded_is_read(fields: list[tuple[str, str]]) -> None:
    read = [(name, value.decode()) for name, value in _pairs(urlencode(fields).encode())]
    assert read == [field for field in fields if field != ("", "")]


@given(st.binary())
def test_any_bytes_are_read_as_the_library_reads_them(body: bytes) -> None:
    expected = parse_qsl(body.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
    try:
        read = [(name.encode().decode("latin-1"), value.decode("latin-1")) for name, value in _pairs(body)]
    except BadArgument:
        return  # a name that is no UTF-8
    assert read == [pair for pair in expected if pair != ("", "")]


def test_names_that_are_not_ascii_come_as_the_client_writes_them() -> None:
    assert _field_name("=?utf-8?b?LU/DvA==?=") == "-O\N{LATIN SMALL LETTER U WITH DIAERESIS}"
    assert _field_name("-Ox") == "-Ox"
    with pytest.raises(BadArgument):
        _field_name("=?no-such-charset?q?x?=")
