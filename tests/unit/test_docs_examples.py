"""The examples on the pages of the protocols: curl lines are requests that there are, code does what it is said to."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from knossos.publishing.webhook_events import signature
from knossos.settings import Settings
from knossos.web.drops import check_link
from knossos.web.openapi import document
from scripts.docs_links import DOCS

PROTOCOLS = DOCS / "protocols"
#: Options of curl that have a value, and the method that they make of a request.
OPTIONS = {
    **dict.fromkeys(("-d", "-F", "--data-binary", "--data-urlencode", "--json"), "POST"),
    **{"-T": "PUT", "-H": "", "-b": "", "-c": "", "-o": ""},
}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def requests_of(page: Path) -> list[tuple[str, str]]:
    """Method and path of each curl line of a page."""
    found = []
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["curl"]:
                found.append(_request(words[1:]))
    return found


def _request(words: list[str]) -> tuple[str, str]:
    method, path = "GET", ""
    while words:
        word = words.pop(0)
        if word in OPTIONS:
            words.pop(0)
            method = OPTIONS[word] or method
        else:
            assert "://" in word, word
            path = urlsplit(word).path
    return method, path


def _is_described(method: str, path: str, paths: dict[str, Any]) -> bool:
    def pattern(template: str) -> str:
        # The path of a file, and what a runner gets, may have slashes; an id has none.
        parts = re.split(r"(\{\w+\})", template)
        return "".join(
            (".+" if part == "{path}" else "[^/]+") if part[:1] == "{" else re.escape(part) for part in parts
        )

    return any(method.lower() in methods and re.fullmatch(pattern(one), path) for one, methods in paths.items())


@pytest.mark.parametrize(
    "page", [page for page in sorted(PROTOCOLS.glob("*.md")) if page.stem != "index"], ids=lambda page: page.stem
)
def test_every_page_shows_requests_that_there_are(page: Path) -> None:
    found = requests_of(page)
    assert found
    paths = document("https://mods.example.org")["paths"]
    assert [one for one in found if not _is_described(*one, paths)] == []


def test_the_check_of_a_webhooks_signature_takes_ours_and_no_other() -> None:
    (code,) = blocks(PROTOCOLS / "webhooks.md", "python")
    names: dict[str, Any] = {}
    exec(code, names)
    now, body = str(int(time.time())), b'{"event": "ping"}'
    headers = {"X-Knossos-Timestamp": now, "X-Knossos-Signature-256": signature("secret", now, body)}
    assert names["is_genuine"](headers, body, "secret")
    assert not names["is_genuine"](headers, body + b" ", "secret")
    assert not names["is_genuine"](headers, body, "another")
    old = {**headers, "X-Knossos-Timestamp": "1000"}
    assert not names["is_genuine"](old, body, "secret")


def test_the_link_of_a_drop_is_made_as_the_page_says() -> None:
    (block,) = [block for block in blocks(PROTOCOLS / "converter.md", "sh") if "/drop/" in block]
    script = f"KNOSSOS_API_KEY=key-of-the-tests\n{block.splitlines()[0]}\necho $t $sum\n"
    made, token = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.split()
    check_link(Settings(api_keys=("key-of-the-tests",)), made, token, "0", now=time.time() + 1)
