"""Forms with files, in pieces: boundaries, ends, headers and lengths that are not what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from fuzz.deployment import Deployment
from fuzz.http import asker
from fuzz.mutation import mutated, text
from fuzz.targets import Place

PLACE = Place.DEPLOYMENT

#: Where forms with files go: the path, the fields beside the file, and the file's field.
DOORS: tuple[tuple[str, tuple[tuple[str, str], ...], str], ...] = (
    ("/drop/{{drop_time}}/{{drop_token}}/0", (), "file"),
    ("/scripting", (("call", "echo.py"), ("-p0", "a")), "-p1"),
    ("/scripting", (("call", "echo.py"),), "-Ofile"),
    ("/api/1/upload/file", (("checksum", "{{image}}"),), "file"),
    ("/api/1/multiupload/part", (("id", "{{part}}"), ("part", "0")), "file"),
    ("/api/1/login", (("user", "dora"), ("password", "no")), "file"),
    ("/api/converter/retrieve", (("ticket", "{{ticket}}"), ("token", "{{job_token}}")), "file"),
    ("/home/", (("action", "upload"),), "file"),
    ("/home/folder", (), "files"),
    ("/scripts/echo.py", (("-p0", "a"),), "-p1"),
    ("/calculations", (("text", "<input/>"),), "file"),
    ("/api/1/log/upload", (("log", "text"),), "log"),
)
#: Boundaries as they stand in the header, and as they stand in the body.
BOUNDARIES: tuple[tuple[bytes, bytes], ...] = (
    (b"edge", b"edge"),
    (b'"edge"', b"edge"),
    (b"edge", b"edges"),
    (b"edge", b"edg"),
    (b"", b""),
    (b'""', b""),
    (b"e" * 70, b"e" * 70),
    (b"e" * 5000, b"e" * 5000),
    (b"-", b"-"),
    (b"--", b"--"),
    (b'"a b"', b"a b"),
    (b"edge; boundary=other", b"other"),
    (b"ed\xe4ge", b"ed\xe4ge"),
    (b"edge\t", b"edge"),
    (b'"edge', b"edge"),
    (b"=?utf-8?q?edge?=", b"edge"),
    (b"x*=utf-8''edge", b"edge"),
    (b"\x00", b"\x00"),
)
#: Lines that a part's header may have besides what it needs.
LINES = (
    b"Content-Type: text/plain; charset=utf-16",
    b"Content-Type: multipart/mixed; boundary=inner",
    b"X: " + b"a" * 9000,
    b"Content-Transfer-Encoding: base64",
    b"Content-Length: 99999999999",
    b"no colon",
    b": no name",
    b" folded",
    b"\x00: \x00",
    b'Content-Disposition: form-data; name="second"',
    b"Content-Disposition: attachment",
    b"\xff\xfe: \xff",
    b"a:b\rc:d",
)
DISPOSITIONS = (
    b'form-data; name="%s"; filename="%s"',
    b"form-data; name=%s; filename=%s",
    b'form-data; filename="%.0s%s"',
    b"form-data; name=\"%s\"; filename*=utf-8''%s",
    b'FORM-DATA;NAME="%s";FILENAME="%s"',
    b'form-data; name="%s',
    b"%.0s%.0s",
    b'form-data; name="%s"; name="%s"',
    b'form-data; name*0="%s"; name*1="%s"; filename=""',
    b'form-data;;;=;name="%s" %s',
)


def inputs(random: Random) -> Iterator[bytes]:
    while True:
        yield request(random)


def request(random: Random) -> bytes:
    """One request with a form."""
    path, fields, file = random.choice(DOORS)
    stated, used = random.choice(BOUNDARIES) if random.random() < 0.3 else (b"edge", b"edge")
    body = form(random, used, fields, file)
    if random.random() < 0.35:
        body = mutated(random, body)
    head = [
        b"POST %s HTTP/1.1" % path.encode(), b"Host: {{host}}", b"Origin: http://{{host}}",
        random.choice((b"Cookie: {{cookie}}={{session}}", b"X-KN-TOKEN: {{token}}", b"Cookie: {{cookie}}={{admin}}")),
        b"Content-Type: multipart/form-data; boundary=" + stated,
    ]  # fmt: skip
    if random.random() < 0.15:
        head.append(b"Transfer-Encoding: chunked")
        body = chunked(random, body)
    else:
        wrong = random.random() < 0.1
        head.append(
            b"Content-Length: " + (random.choice((b"1", b"{{length}}0", b"40", b"0")) if wrong else b"{{length}}")
        )
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def form(random: Random, boundary: bytes, fields: tuple[tuple[str, str], ...], file: str) -> bytes:
    """The body: the fields, the file, and sometimes more of them."""
    parts = [part(random, boundary, name, value.encode(), None) for name, value in fields]
    content = random.choice(
        (b"seventeen bytes !", b"", b"PK\x03\x04", b"\r\n--" + boundary, random.randbytes(20_000), b"\r\n" * 5000)
    )
    filename = random.choice(("a.zip", "a.png", "upload", "", text(random)[:1000]))
    parts.append(part(random, boundary, file, content, filename))
    if random.random() < 0.15:
        random.shuffle(parts)
    if random.random() < 0.1:
        parts *= random.choice((2, 30, 1500))
    end = random.choice((b"--", b"--\r\n", b"--\r\n", b"--\r\n", b"", b"\r\n", b"--epilogue" * 50))
    before = random.choice((b"", b"", b"", b"preamble\r\n", b"\r\n" * 3000))
    return before + b"".join(parts)[: 4 * 1024 * 1024] + b"--" + boundary + end


def part(random: Random, boundary: bytes, name: str, content: bytes, filename: str | None) -> bytes:
    """One part."""
    named = name if random.random() < 0.92 else text(random)[:3000]
    given = named.encode("utf-8", "surrogatepass").replace(b"{{", b"").replace(b"\r", b"")
    if filename is None:
        disposition = b'form-data; name="%s"' % given
    else:
        shape = random.choice(DISPOSITIONS) if random.random() < 0.25 else DISPOSITIONS[0]
        disposition = shape % ((given, filename.encode("utf-8", "surrogatepass"))[: shape.count(b"%")])
    lines = [b"Content-Disposition: " + disposition]
    for _ in range(random.choice((0, 0, 0, 1, 2))):
        lines.insert(random.randrange(len(lines) + 1), random.choice(LINES))
    if random.random() < 0.01:
        lines *= 3000
    end = b"\r\n" if random.random() < 0.95 else random.choice((b"\n", b"\r", b""))
    return b"--" + boundary + end + end.join(lines) + end + end + content + b"\r\n"


def chunked(random: Random, body: bytes) -> bytes:
    """The body in chunks, some of which lie."""
    out = b""
    while body:
        piece, body = body[: (size := random.choice((1, 7, 1000, 65536, 10**6)))], body[size:]
        stated = b"%x" % len(piece)
        if random.random() < 0.02:
            stated = random.choice((b"0", b"-1", b"fffffffffffffffff", b"g", b"", b"%x;ext=1" % len(piece), b"1 "))
        out += stated + b"\r\n" + piece + b"\r\n"
        if len(out) > 200_000 and random.random() < 0.2:
            return out
    return out + random.choice((b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\nTrailer: x\r\n\r\n", b"", b"0"))


def make(place: Deployment) -> Callable[[bytes], None]:
    return asker(place)
