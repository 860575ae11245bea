"""Sending bytes as they are, and reading what comes back: no client library would send what is sent here.

A request is a template: ``{{name}}`` in it stands for what a deployment knows under that name (a token, a ticket), and
``{{length}}`` for the length of its body, so that the same template works against each deployment.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from fuzz.crashes import Broken, CrashKind

#: Seconds in which an answer has to be there.
ANSWER_SECONDS = 40.0
#: Most bytes of an answer that are read.
ANSWER_BYTES = 16 * 1024 * 1024

Words = dict[str, bytes]

_STATUS = re.compile(rb"HTTP/1\.[01] (101|[2-9]\d\d)")
#: Answers before the answer, such as 100; after 101 no other one follows.
_INTERIM = re.compile(rb"(?:HTTP/1\.[01] 1(?!01)\d\d .*?\r\n\r\n)*", re.DOTALL)
#: The head of a request that a server must answer, whatever it asks for, as RFC 9112 has it; there may be more headers.
_REQUEST_LINE = re.compile(rb"[A-Z]{1,20} [!-~]+ HTTP/1\.[01]")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~]*)")
#: Most bytes of such a head: servers may close where it is longer.
_HEAD_BYTES = 16 * 1024
_WORD = re.compile(rb"\{\{([a-z_0-9]+)\}\}")


@dataclass(frozen=True)
class Answer:
    """What came back; ``status`` is None where there was no answer, as broken requests get none."""

    status: int | None
    whole: bytes

    @classmethod
    def of(cls, whole: bytes) -> Answer:
        """What those bytes say."""
        status = _STATUS.match(without_interim(whole))
        return cls(int(status[1]) if status else None, whole)


def without_interim(whole: bytes) -> bytes:
    """The answer itself, without those that came before it (``100 Continue``)."""
    before = _INTERIM.match(whole)
    return whole[before.end() :] if before else whole


def is_whole(request: bytes) -> bool:
    """Whether it is well formed, with a body of the length that it states: it has to be answered. A server may close
    on anything else without a word. Chunks are not looked into: what comes in chunks counts as anything else."""
    head, end, body = request.partition(b"\r\n\r\n")
    line, *rest = head.split(b"\r\n")
    headers = [_HEADER.fullmatch(one) for one in rest]
    if not end or len(head) > _HEAD_BYTES or not _REQUEST_LINE.fullmatch(line) or not all(headers):
        return False
    found = [(one[1].lower(), one[2].strip()) for one in headers if one]
    names = [name for name, _ in found]
    lengths = [value for name, value in found if name == b"content-length"] or [b"0"]
    return names.count(b"host") == 1 and b"transfer-encoding" not in names and lengths == [str(len(body)).encode()]


def filled(template: bytes, words: Mapping[str, bytes]) -> bytes:
    """The request that a template is."""

    def known(match: re.Match[bytes]) -> bytes:
        return words.get(match[1].decode(), match[0])

    head, end, body = template.partition(b"\r\n\r\n")
    body = _WORD.sub(known, body)
    return _WORD.sub(known, head.replace(b"{{length}}", str(len(body)).encode())) + end + body


def exchange(
    address: tuple[str, int], data: bytes, seconds: float = ANSWER_SECONDS, *, says_end: bool = True
) -> Answer:
    """Send all, say that nothing more comes (Tornado takes that for a closed connection), and read to the end.

    Raises:
        Broken: there is no end of the answer within so many seconds.
    """
    until = time.monotonic() + seconds
    with socket.create_connection(address, timeout=seconds) as connection:
        sender = threading.Thread(target=_send, args=(connection, data, says_end))
        sender.start()
        try:
            whole = _read(connection, until)
        finally:
            # Where the server did not want all of it, this wakes the sender.
            shut(connection, socket.SHUT_RDWR)
            sender.join()
    return Answer.of(whole)


def _send(connection: socket.socket, data: bytes, says_end: bool) -> None:
    try:
        connection.sendall(data)
    except OSError:
        return  # the server has heard enough
    if says_end:
        shut(connection, socket.SHUT_WR)


def _read(connection: socket.socket, until: float) -> bytes:
    whole = bytearray()
    while len(whole) < ANSWER_BYTES:
        connection.settimeout(max(0.01, until - time.monotonic()))
        try:
            piece = connection.recv(65536)
        except TimeoutError as error:
            raise Broken(CrashKind.HANG, "no end of the answer in time") from error
        except OSError:
            break
        if not piece:
            break
        whole += piece
    return bytes(whole)


def shut(connection: socket.socket, how: int) -> None:
    with contextlib.suppress(OSError):  # it is shut already
        connection.shutdown(how)
