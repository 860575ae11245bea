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

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
_WORD = re.compile(rb"\{\{([a-z_0-9]+)\}\}")


@dataclass(frozen=True)
class Answer:
    """What came back; ``status`` is None where there was no answer, as broken requests get none."""

    status: int | None
    whole: bytes


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
            _shut(connection, socket.SHUT_RDWR)
            sender.join()
    status = _STATUS.match(whole)
    return Answer(int(status[1]) if status else None, whole)


def _send(connection: socket.socket, data: bytes, says_end: bool) -> None:
    try:
        connection.sendall(data)
    except OSError:
        return  # the server has heard enough
    if says_end:
        _shut(connection, socket.SHUT_WR)


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


def _shut(connection: socket.socket, how: int) -> None:
    with contextlib.suppress(OSError):  # it is shut already
        connection.shutdown(how)
