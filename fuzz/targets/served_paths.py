"""Paths in addresses and fields: everything by which a file is asked for, stored, moved or run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from random import Random
from urllib.parse import quote

from fuzz.deployment import Deployment
from fuzz.http import asker
from fuzz.mutation import text
from fuzz.request_text import escaped
from fuzz.targets import Place

PLACE = Place.DEPLOYMENT

#: Addresses below which files are, with what leads to one that is there.
ROOTS: dict[str, tuple[str, ...]] = {
    "/api/files/": ("a.txt", "folder", "folder/a.txt", "table.csv"),
    "/home/": ("a.txt", "folder", "table.csv"),
    "/mirror/": ("drops/x", "general/core.7z"),
    "/storage/files/": ("{{image}}/a.png",),
    "/storage/images/": ("{{image}}.png",),
    "/storage/": ("repo.json", "minisign.pub"),
    "/static/x/": ("css/knossos.css", "js/watch.js"),
    "/third_party/x/": ("bootstrap/bootstrap.min.css",),
    "/Shared/": ("{{shared}}/a.txt",),
    "/task/{{run}}/files/": ("1/a.txt",),
    "/{{sha1}}/files/": ("input.xml", "info.xml"),
    "/runs/{{run}}/files/": ("1",),
    "/scripts/": ("echo.py", "tables/share.py"),
    "/log/": ("{{log}}",),
}
#: Those that are folders of the disk come more often.
ON_DISK = ("/mirror/", "/mirror/", "/api/files/", "/home/")
#: Ways out, and what else may stand between two names.
STEPS = (
    "..",
    "../..",
    "../../../../../..",
    ".",
    "",
    "%2e%2e",
    "..%2f",
    "%2e%2e%2f",
    "..;",
    "..\\",
    "%5c..",
    "%00",
    "..%00",
    "....//",
    "%c0%ae%c0%ae",
    "~",
    "bin-beside",
    "canary.txt",
)
#: A step up as it may get past the server, which takes out those that it sees; the likeliest ones come more often.
UPS = ("..%2f", "..%2f", "%2e%2e/", "%2e%2e/", "%2e%2e%2f", "%2e%2e%2f", "../", ".%2e/", "..%252f", "..%5c", "..;/")
#: What lies outside, with the steps up to it from a folder of the data, such as the mirror.
OUTSIDE: tuple[tuple[int, str], ...] = (
    (1, "canary.txt"),
    (1, "secret_key"),
    (1, "repository_key"),
    (1, "homes/1/secret.txt"),
    (1, "1/secret.txt"),
    (1, "bin-beside/secret.py"),
    (2, "canary.txt"),
    (2, "settings.py"),
    (2, "data/secret_key"),
    (2, "bin-beside/secret.py"),
    (9, "etc/passwd"),
    (9, "proc/self/environ"),
)


def inputs(random: Random) -> Iterator[bytes]:
    while True:
        yield random.choice((_get, _get, _get, _put, _move, _post, _form, _call, _delete))(random)


def path(random: Random, names: tuple[str, ...]) -> str:
    """A path, escaped for an address."""
    if random.random() < 0.4:
        return _way_out(random, names)
    parts = random.choice((*names, *(name for _, name in OUTSIDE))).split("/")
    for _ in range(random.choice((0, 1, 1, 2, 6))):
        step = random.choice(STEPS) if random.random() < 0.6 else escaped(random, text(random))
        parts.insert(random.randrange(len(parts) + 1), step)
    found = "/".join(parts)
    return found[:20_000].translate({number: f"%{number:02x}" for number in (*range(33), 127)})


def _way_out(random: Random, names: tuple[str, ...]) -> str:
    """A path to what lies outside; some go through a folder that is there."""
    steps, name = random.choice(OUTSIDE)
    folder = random.choice(names).rpartition("/")[0]
    if folder and random.random() < 0.5:
        return f"{folder}/{random.choice(UPS) * (steps + 1 + folder.count('/'))}{name}"
    return random.choice(UPS) * steps + name


def _request(random: Random, method: str, address: str, body: bytes = b"", kind: str = "") -> bytes:
    who = random.choice(
        ("Cookie: {{cookie}}={{session}}",) * 4 + ("Cookie: {{cookie}}={{admin}}", "X-KN-TOKEN: {{token}}")
    )
    lines = [f"{method} {address} HTTP/1.1", "Host: {{host}}", "Origin: http://{{host}}", who]
    if method in ("POST", "PUT"):
        lines += [f"Content-Type: {kind or 'application/octet-stream'}", "Content-Length: {{length}}"]
    if random.random() < 0.15:
        lines.append(random.choice(("Range: bytes=0-3", "Range: bytes=-5", "Range: bytes=9-", 'If-None-Match: "x"')))
    return "\r\n".join(lines).encode("utf-8", "replace") + b"\r\n\r\n" + body


def _get(random: Random) -> bytes:
    root = random.choice((*ROOTS, *ON_DISK))
    return _request(random, random.choice(("GET", "GET", "HEAD")), root + path(random, ROOTS[root]))


def _put(random: Random) -> bytes:
    return _request(
        random, "PUT", "/api/files/" + path(random, ROOTS["/api/files/"]), random.randbytes(random.randrange(50))
    )


def _delete(random: Random) -> bytes:
    return _request(random, "DELETE", "/api/files/" + path(random, ("x", "x/y", "folder/x")))


def _move(random: Random) -> bytes:
    to = _plain(random)
    what = random.choice(
        (
            {"command": "move", "to": to},
            {"command": "copy", "to": to},
            {"command": "mkdir", "name": to},
            {"command": "link", "to": to},
        )
    )
    document = json.dumps(what).encode()
    return _request(random, "POST", "/api/files/" + path(random, ROOTS["/api/files/"]), document, "application/json")


def _form(random: Random) -> bytes:
    fields = {
        "action": random.choice(("mkdir", "move", "copy", "remove", "rename", "zip")),
        "to": _plain(random),
        "name": _plain(random),
    }
    body = "&".join(
        f"{name}={quote(value.encode('utf-8', 'surrogatepass'), safe='')}" for name, value in fields.items()
    )
    where = "/home/" + path(random, ROOTS["/home/"])
    return _request(random, "POST", where, body.encode(), "application/x-www-form-urlencoded")


def _post(random: Random) -> bytes:
    """A file whose name is a path."""
    name = _plain(random).replace("\r", "").replace("\n", "").replace('"', "").encode("utf-8", "surrogatepass")
    where = random.choice(("/home/", "/home/folder", "/scripting", "/drop/{{drop_time}}/{{drop_token}}/0"))
    body = b'--edge\r\nContent-Disposition: form-data; name="call"\r\n\r\necho.py\r\n' if where == "/scripting" else b""
    body += b'--edge\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n\r\ncontent\r\n--edge--\r\n' % (
        b"-p0" if where == "/scripting" else b"file", name,
    )  # fmt: skip
    return _request(random, "POST", where, body, "multipart/form-data; boundary=edge")


def _call(random: Random) -> bytes:
    """A script by a path."""
    body = b"call=" + quote(_plain(random).encode("utf-8", "surrogatepass"), safe="").encode()
    return _request(random, "POST", "/scripting", body, "application/x-www-form-urlencoded")


def _plain(random: Random) -> str:
    """A path that is not escaped."""
    if random.random() < 0.3:
        return text(random)
    parts = [
        random.choice(("..", "/", "", ".", "a", "folder", "canary.txt", "echo.py", "..\0", text(random)[:100]))
        for _ in range(random.randint(1, 5))
    ]
    return ("/" if random.random() < 0.3 else "") + "/".join(parts)


def make(place: Deployment) -> Callable[[bytes], None]:
    return asker(place)
