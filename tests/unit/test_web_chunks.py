"""Answers without a length go out in chunks, where the server's clients talk HTTP; all others as they are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from werkzeug.test import Client
from werkzeug.wrappers import Request, Response

from knossos.web.chunks import Chunks


class Pieces:
    """An answer in pieces, which knows whether it was closed."""

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield from (b"one", b"", b"two " * 5)
        if self.fails:
            raise OSError("no more")

    def close(self) -> None:
        self.closed = True


def asked(response: Response, *, method: str = "GET", protocol: str = "HTTP/1.1", http: bool = True) -> Response:
    application = Chunks(Request.application(lambda _: response), lambda: http)
    overrides = {"SERVER_PROTOCOL": protocol}
    return Client(application).open("/", method=method, environ_overrides=overrides, buffered=True)


def test_an_answer_without_a_length_comes_in_chunks_of_which_none_but_the_last_is_empty() -> None:
    pieces = Pieces()
    answer = asked(Response(pieces))
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.data == b"3\r\none\r\n14\r\n" + b"two " * 5 + b"\r\n0\r\n\r\n"
    assert pieces.closed


def test_an_answer_that_fails_midway_has_no_last_chunk() -> None:
    received = []
    application = Chunks(Request.application(lambda _: Response(Pieces(fails=True))), lambda: True)
    found = Client(application).open("/", environ_overrides={"SERVER_PROTOCOL": "HTTP/1.1"})
    with pytest.raises(OSError, match="no more"):
        received.extend(found.response)
    assert received[-1].endswith(b"two \r\n")


@pytest.mark.parametrize(
    ("response", "more"),
    [
        (Response(b"text"), {}),
        (Response(status=204), {}),
        (Response(status=304), {}),
        (Response(Pieces()), {"method": "HEAD"}),
        (Response(Pieces()), {"protocol": "HTTP/1.0"}),
        (Response(Pieces()), {"http": False}),
    ],
    ids=["length", "204", "304", "HEAD", "HTTP/1.0", "another protocol"],
)
def test_all_others_go_out_as_they_are(response: Response, more: dict[str, object]) -> None:
    answer = asked(response, **more)  # type: ignore[arg-type]
    assert "Transfer-Encoding" not in answer.headers
    assert not answer.data.endswith(b"0\r\n\r\n")
