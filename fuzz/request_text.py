"""From a wish to the bytes of a request, with what can go wrong with a request on its way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from random import Random
from urllib.parse import quote

from fuzz.hostile import NUMBERS
from fuzz.mutation import json_bytes, mutated, mutated_json, text
from fuzz.requests_known import Wish

#: Headers that a request may have besides what it needs, with values that are good, odd or bad.
HEADERS: Mapping[str, tuple[str, ...]] = {
    "Range": (
        "bytes=0-",
        "bytes=5-2",
        "bytes=-1",
        "bytes=-0",
        "bytes=0-0,2-2",
        "bytes=9999999999999999999-",
        "lines=1",
        "bytes=a",
    ),
    "If-None-Match": ("*", '"x"', 'W/"x"', "x", '"', "," * 500),
    "If-Modified-Since": ("Mon, 01 Jan 2024 00:00:00 GMT", "yesterday", "Mon, 99 Jan 99999 00:00:00 GMT", "0"),
    "If-Range": ('"x"', "Mon, 01 Jan 2024 00:00:00 GMT", "\x01"),
    "Accept": (
        "application/json",
        "text/html",
        "text/event-stream",
        "*/*;q=2",
        ";;;",
        "text/html;level=1;q=x",
        "," * 2000,
    ),
    "Accept-Language": ("de", "x-klingon", "*;q=a"),
    "Accept-Encoding": ("gzip", "br;q=0", "identity;q=0, *;q=0"),
    "Prefer": ("respond-async", "wait=0", "wait=99999999999999999999", "wait=-1", "wait=x", "respond-async, wait=1"),
    "Origin": ("http://{{host}}", "null", "http://evil.example", "file://", "http://[", ""),
    "Referer": ("http://{{host}}/", "http://[::", "x"),
    "X-Request-Id": ("a" * 32, "\x00", "../x", "ä"),
    "X-Forwarded-For": ("1.2.3.4", "x, y", "::1", ","),
    "X-Forwarded-Proto": ("https", "javascript"),
    "Authorization": (
        "Bearer {{token}}",
        "Bearer",
        "Bearer a.b.c",
        "Basic Og==",
        "Basic x",
        "Bearer " + "a" * 5000,
        "\xff",
    ),
    "Cookie": ("SessionToken=", "SessionToken=a.b.c; SessionToken=d", "=;=;", "a" * 9000, "SessionToken={{session}}x"),
    "Expect": ("100-continue", "x"),
    "Transfer-Encoding": ("chunked", "gzip, chunked", "identity", "chunked, chunked"),
    "Content-Encoding": ("gzip", "br", "x"),
    "Upgrade": ("websocket", "h2c"),
    "Connection": ("close", "Upgrade", "keep-alive, x"),
    "X-HTTP-Method-Override": ("DELETE",),
    "Host": ("", "evil.example", "[::1", "a:b:c", "x" * 300, "{{host}}, {{host}}", "ä.example"),
    "TE": ("trailers",),
}
METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "get", "X" * 100, "")
TYPES = (
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "text/plain",
    "application/json; charset=utf-16",
    "application/json; charset=nothing",
    "text/xml",
    "",
    "/",
    "a/b;c",
    'multipart/form-data; boundary="',
    "application/octet-stream",
    "multipart/mixed; boundary=x",
)
#: Who asks: a session, a token, an operator, nobody.
CALLERS = (
    "Cookie: {{cookie}}={{session}}",
    "Cookie: {{cookie}}={{session}}",
    "X-KN-TOKEN: {{token}}",
    "X-KN-TOKEN: {{token}}",
    "Cookie: {{cookie}}={{admin}}",
    "Authorization: Bearer {{token}}",
    "X-KN-TOKEN: wrong",
    "",
)


def changed(random: Random, wish: Wish) -> bytes:
    """The request of a wish, with some of it changed; nearly always still a request."""
    body, kind = _body(random, wish)
    method = random.choice(METHODS) if random.random() < 0.04 else wish.method
    lines = [f"{method} {target(random, wish)} HTTP/1.1", "Host: {{host}}", random.choice(CALLERS)]
    if "{{host}}" in lines[-1] or random.random() < 0.6:
        lines.append("Origin: http://{{host}}")
    if body or wish.method in ("POST", "PUT"):
        lines.append(f"Content-Type: {random.choice(TYPES) if random.random() < 0.06 else kind}")
        lines.append(f"Content-Length: {_length(random)}")
    for _ in range(random.choice((0, 0, 0, 1, 2))):
        name = random.choice(list(HEADERS))
        lines.append(f"{name}: {random.choice(HEADERS[name]) if random.random() < 0.8 else text(random)}")
    head = "\r\n".join(line for line in lines if line).encode("utf-8", "replace")
    if random.random() < 0.03:
        head = mutated(random, head, most=2)
    return head + b"\r\n\r\n" + body


def target(random: Random, wish: Wish) -> str:
    """Path and query, with parts changed."""
    parts = wish.path.split("/")
    if random.random() < 0.2 and len(parts) > 1:
        parts[random.randrange(1, len(parts))] = escaped(random, text(random))
    query = {name: value for name, value in wish.query.items() if random.random() < 0.9}
    for name in query:
        if random.random() < 0.4:
            query[name] = text(random)
    pairs = [f"{_safe(name)}={_safe(value)}" for name, value in query.items()]
    if pairs and random.random() < 0.1:
        pairs.append(random.choice(pairs).partition("=")[0] + "=" + _safe(text(random)))
    return "/".join(parts) + ("?" + "&".join(pairs) if pairs else "")


def escaped(random: Random, part: str) -> str:
    """A text as a part of a path: escaped as it should be, too much, or too little."""
    data = part.encode("utf-8", "surrogatepass")[:3000]
    what = random.random()
    if what < 0.6:
        return quote(data, safe="/" if random.random() < 0.5 else "")
    if what < 0.7:
        return "".join(f"%{byte:02x}" for byte in data)
    if what < 0.8:
        return quote(quote(data, safe=""), safe="%")
    if what < 0.9:
        return random.choice(("%ff%fe", "%c0%ae%c0%ae", "%", "%zz", "%u0041", "%ed%a0%80"))
    return data.decode("utf-8", "replace").translate(dict.fromkeys(range(33))).replace("?", "")


def _body(random: Random, wish: Wish) -> tuple[bytes, str]:
    if wish.document is not None:
        document = wish.document
        if isinstance(document, dict | list) and document and random.random() < 0.85:
            document = mutated_json(random, document)
        return json_bytes(random, document), "application/json"
    if wish.form is not None:
        fields = list(_fields(random, wish.form))
        if wish.file or random.random() < 0.4:
            return _multipart(random, fields, wish.file), "multipart/form-data; boundary=edge"
        body = "&".join(f"{_safe(name)}={_safe(value)}" for name, value in fields).encode()
        return (mutated(random, body) if random.random() < 0.1 else body), "application/x-www-form-urlencoded"
    if wish.body and random.random() < 0.7:
        return mutated(random, wish.body), "application/octet-stream"
    return wish.body, "text/plain"


def _fields(random: Random, form: Mapping[str, str]) -> list[tuple[str, str]]:
    fields = [pair for pair in form.items() if random.random() < 0.94]
    for number, (name, value) in enumerate(fields):
        what = random.random()
        if what < 0.12 and value.startswith("{") and not value.startswith("{{"):
            fields[number] = (
                name,
                json_bytes(random, mutated_json(random, json.loads(value))).decode("utf-8", "replace"),
            )
        elif what < 0.3:
            fields[number] = name, str(random.choice(NUMBERS)) if value.isdigit() and what < 0.2 else text(random)
        elif what < 0.33:
            fields[number] = text(random), value
    if fields and random.random() < 0.08:
        fields.append((random.choice(fields)[0], text(random)))
    return fields


def _multipart(random: Random, fields: list[tuple[str, str]], file: str) -> bytes:
    out = b""
    for name, value in fields:
        quoted = name.replace('"', "%22").replace("\r", "").replace("\n", "").encode("utf-8", "surrogatepass")
        out += b'--edge\r\nContent-Disposition: form-data; name="%s"\r\n\r\n' % quoted
        out += value.encode("utf-8", "surrogatepass") + b"\r\n"
    if file:
        name = random.choice(("a.zip", "a.png", "upload", text(random).replace("\r", "").replace("\n", "")[:2000]))
        content = random.choice(
            (b"seventeen bytes !", b"", b"PK\x03\x04x", b"\x89PNG\r\n\x1a\n", random.randbytes(3000))
        )
        out += b'--edge\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n' % (
            file.encode(), name.replace('"', "").encode("utf-8", "surrogatepass"),
        )  # fmt: skip
        out += b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n"
    return out + b"--edge--\r\n"


def _length(random: Random) -> str:
    if random.random() < 0.97:
        return "{{length}}"
    return random.choice(("0", "1", "-1", "{{length}}0", "99999999999999999999", "x", "+3", "", "0x10", "8388609"))


def _safe(value: str) -> str:
    return quote(value.encode("utf-8", "surrogatepass"), safe="{}")
