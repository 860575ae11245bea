"""WebSocket frames: what a watcher may say, and everything that no client library would send.

An input is the request that opens the socket, and the frames that follow it, as bytes.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from fuzz.crashes import Broken, CrashKind
from fuzz.deployment import Deployment
from fuzz.http import check
from fuzz.mutation import mutated, mutated_json, text
from fuzz.request_text import HEADERS
from fuzz.targets import Place
from fuzz.wire import ANSWER_SECONDS, Answer, exchange, filled, is_whole, shut, without_interim

PLACE = Place.DEPLOYMENT

#: Seconds without a word after which nothing comes any more, and in which the server has forgotten a watcher.
QUIET_SECONDS, HEALTH_SECONDS = 0.04, 20.0
#: Seconds in which something that is no request may be answered.
UNSURE_SECONDS = 0.3
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
#: What a client may say.
SAID: tuple[Any, ...] = (
    ["user_ready", []],
    ["captcha_response", ["abc"]],
    ["cancel", []],
    ["something", [1]],
    ["captcha_response", ["a" * 1001]],
    [],
    {},
    "x",
    None,
    17,
    [[]],
    ["captcha_response"],
    ["cancel", {"a": 1}],
    ["user_ready"],
)
TICKETS = (
    "{{ticket}}",
    "{{ticket}}",
    "{{ticket}}",
    "{{job}}",
    "0",
    "-1",
    "999999999999999",
    "9" * 40,
    "x",
    "",
    "%00",
    "..",
    "1e3",
    "\u0663",
)
AFTER = (
    "0-0",
    "1700000000000-0",
    "99999999999999999999-0",
    "-",
    "+",
    "$",
    "0-0-0",
    "\x00",
    "18446744073709551615-18446744073709551615",
)
#: The headers that open a socket, and wrong ones.
OPENING = (
    "Host: {{sockets}}",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)
WRONG = (
    "Upgrade: h2c",
    "Connection: close",
    "Sec-WebSocket-Key: x",
    "Sec-WebSocket-Key:",
    "Sec-WebSocket-Version: 99",
    "Sec-WebSocket-Version: x",
    "Sec-WebSocket-Protocol: a, b",
    "Content-Length: 5",
    "Transfer-Encoding: chunked",
)
_END = b"\r\n\r\n"
_HEALTH = b"GET /health HTTP/1.1\r\nHost: {{sockets}}\r\nConnection: close\r\n\r\n"


def inputs(random: Random) -> Iterator[bytes]:
    while True:
        sent = b"".join(_some_frames(random) for _ in range(random.randint(1, 5)))
        yield opening(random) + (mutated(random, sent) if random.random() < 0.2 else sent)


def opening(random: Random) -> bytes:
    """The request for a socket."""
    token = random.choice(
        ("{{job_token}}", "{{job_token}}", "", "x", text(random).replace("\r", "").replace("\n", "")[:200])
    )
    query = f"?token={_plain(token)}" if random.random() < 0.9 else ""
    if random.random() < 0.3:
        query += f"&after={_plain(random.choice(AFTER))}"
    room = random.choice(("inter", "inter", "watcher", "nothing"))
    ticket = random.choice(TICKETS) if random.random() < 0.4 else TICKETS[0]
    lines = [f"GET /ws/{room}/{_plain(ticket)}{query} HTTP/1.1", *_headers(random)]
    head = "\r\n".join(lines).encode("utf-8", "replace")
    return (mutated(random, head, most=2) if random.random() < 0.05 else head) + _END


def _headers(random: Random) -> Iterator[str]:
    """What opens a socket; sometimes with one that is wrong."""
    wrong = random.randrange(len(OPENING)) if random.random() < 0.15 else None
    for number, line in enumerate(OPENING):
        yield random.choice(WRONG) if number == wrong else line
    if random.random() < 0.3:
        yield "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
    if random.random() < 0.3:
        yield "Cookie: {{cookie}}=" + random.choice(("{{session}}", "{{admin}}", "x"))
    if random.random() < 0.15:
        name = random.choice(list(HEADERS))
        yield f"{name}: {random.choice(HEADERS[name])}"


def _plain(value: str) -> str:
    return value.replace(" ", "%20")


# --- frames ---------------------------------------------------------------------------------------------


def frame(
    code: int, data: bytes, *, end: bool = True, reserved: int = 0, masked: bool = True, length: int | None = None
) -> bytes:
    """One frame (RFC 6455, 5.2); ``length`` is what it states where that is not what it has."""
    stated = len(data) if length is None else length
    first = (0x80 if end else 0) | (reserved << 4) | code
    mask = 0x80 if masked else 0
    if stated < 126:
        head = bytes((first, mask | stated))
    elif stated < 65536:
        head = struct.pack("!BBH", first, mask | 126, stated)
    else:
        head = struct.pack("!BBQ", first, mask | 127, stated & (2**64 - 1))
    if not masked:
        return head + data
    key = b"\x11\x22\x33\x44"
    return head + key + bytes(byte ^ key[place & 3] for place, byte in enumerate(data))


def _some_frames(random: Random) -> bytes:
    said = _message(random)
    what = random.random()
    if what < 0.3:
        return frame(TEXT, said)
    if what < 0.4:
        return _fragments(random, said)
    if what < 0.5:
        return frame(
            random.choice((PING, PONG, CLOSE)),
            random.choice((b"", b"x", said, b"x" * 125, b"x" * 126, b"\x03\xe8bye", b"\x00\x01", b"\xff\xff\xff")),
        )
    if what < 0.6:
        return frame(TEXT, random.choice((b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b'["\xff"]')))
    if what < 0.7:
        return frame(TEXT, said, length=random.choice((0, 1, len(said) + 1, 65535, 2**31, 2**63, 2**64 - 1)))
    if what < 0.75:
        return frame(TEXT, random.choice((b"a", b"[", b"\0")) * random.choice((65535, 65536, 300_000)))
    if what < 0.8:
        return frame(TEXT, _deflated(random, said), reserved=4)
    if what < 0.9:
        return frame(
            random.randrange(16),
            said[:125],
            reserved=random.randrange(8),
            masked=random.random() < 0.7,
            end=random.random() < 0.7,
        )
    return frame(BINARY, random.choice((said, b"", random.randbytes(200))))


def _message(random: Random) -> bytes:
    said = random.choice(SAID)
    if random.random() < 0.3 and isinstance(said, list | dict) and said:
        said = mutated_json(random, said)
    if random.random() < 0.03:
        return b"[" * random.choice((100, 100_000))
    return json.dumps(said).encode()


def _fragments(random: Random, said: bytes) -> bytes:
    """A message in pieces, perhaps in a wrong order, with others between them, or without an end."""
    pieces = [said[place : place + 3] for place in range(0, min(len(said), 60), 3)] or [b""]
    frames = [frame(CONTINUATION, piece, end=False) for piece in pieces]
    frames[0] = frame(TEXT, pieces[0], end=False)
    frames.append(frame(CONTINUATION, b"", end=random.random() < 0.8))
    if random.random() < 0.3:
        random.shuffle(frames)
    if random.random() < 0.4:
        frames.insert(random.randrange(len(frames) + 1), frame(random.choice((PING, TEXT, CLOSE, BINARY)), b"between"))
    if random.random() < 0.1:
        frames[1:1] = [frame(CONTINUATION, b"", end=False)] * 3000
    return b"".join(frames)


def _deflated(random: Random, said: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = random.choice((said, b" " * 20_000_000, b'["user_ready", []]'))
    packed = (deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
    return mutated(random, packed) if random.random() < 0.3 else packed


# --- running --------------------------------------------------------------------------------------------


def make(place: Deployment) -> Callable[[bytes], None]:
    def take(data: bytes) -> None:
        here = f"{place.sockets[0]}:{place.sockets[1]}".encode()
        head, _, frames = data.partition(_END)
        words = {**place.words, "sockets": here}
        opening, health = filled(head + _END, words), filled(_HEALTH, words)
        check(talk(place.sockets, opening, frames), place.secrets, of=opening)
        until = time.monotonic() + HEALTH_SECONDS
        while True:  # until it has forgotten this watcher
            answer = exchange(place.sockets, health, says_end=False)
            check(answer, of=health)
            if b'"watchers": 0' in answer.whole:
                return
            if time.monotonic() > until:
                raise Broken(CrashKind.HANG, f"the watcher is not gone: {answer.whole[-100:]!r}")
            time.sleep(0.01)

    return take


def talk(address: tuple[str, int], request: bytes, frames: bytes) -> Answer:
    """Open the socket, send the frames, read until nothing comes any more, say that this is the end, and read until the
    server has closed, by when it has read all frames.

    Raises:
        Broken: it does not answer, or does not close.
    """
    whole = bytearray()
    with socket.create_connection(address, timeout=ANSWER_SECONDS) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(request)
        must = is_whole(request)
        answered = _read(connection, whole, ANSWER_SECONDS if must else UNSURE_SECONDS, _END)
        if must and not answered:
            raise Broken(CrashKind.HANG, "the opening of the socket is not answered in time")
        if Answer.of(bytes(whole)).status == 101:
            connection.settimeout(ANSWER_SECONDS)
            connection.sendall(frames + frame(CLOSE, b"\x03\xe8"))
        if not _read(connection, whole, QUIET_SECONDS):
            shut(connection, socket.SHUT_WR)
            if not _read(connection, whole, ANSWER_SECONDS):
                raise Broken(CrashKind.HANG, "the server does not close a socket that its client has closed")
    return Answer.of(bytes(whole))


def _read(connection: socket.socket, whole: bytearray, seconds: float, end: bytes = b"") -> bool:
    """Add what comes until nothing more does for so many seconds: False; True where it is closed, or ``end`` came."""
    connection.settimeout(seconds)
    try:
        while not (end and end in without_interim(bytes(whole))):
            piece = connection.recv(65536)
            if not piece:
                break
            whole += piece
    except TimeoutError:
        return False
    return True
