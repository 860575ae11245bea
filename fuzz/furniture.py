"""What is in a deployment before the first input comes: accounts, a mod with an image, scripts, runners, tasks, files.

The templates of requests name these as ``{{session}}``, ``{{ticket}}`` and so on.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import time
from typing import Any

import requests
from PIL import Image

from fuzz.requests_known import ARCHIVE, RELEASE
from fuzz.wire import Words
from knossos.accounts import COOKIE_NAME
from knossos.settings import ROOT
from tests.support.processes import wait_for
from tests.support.site import API_KEY, PASSWORD, Site

#: Executables below the folder of scripts.
SCRIPTS = {
    "echo.py": "import sys; print(sys.argv[1:]); print(sys.stdin.read()[:100])",
    "tables/share.py": "import os; shared = os.environ['SHARED_DIR']; print(os.path.basename(shared)); "
    "open(os.path.join(shared, 'a.txt'), 'w').write('shared')",
}
#: What the second one prints: the name below which the server serves what it has shared.
SHARED = re.compile(r"<stdout>([0-9a-f]+)")
#: Runners: one that takes path, query and body, and one that answers with JSON.
RUNNERS: dict[str, Any] = {
    "config": {
        "command": ["/usr/bin/touch", "--", "$RUNDIR/a.txt", "$RUNDIR/$PLATE", "$RUNDIR/$SEASON $CITY"],
        "inputs": {
            "path_args": [{"env_var_name": "PLATE", "path_regex": "([^/]+)", "path_regex_match_group": 1}],
            "query_args": [{"env_var_name": "SEASON", "query_var_name": "season"}],
            "body_args": [{"env_var_name": "CITY", "body_jsonpath": "$.address.city"}],
        },
        "outputs": {"attachments": ["*"]},
    },
    "json": {"command": ["/bin/echo", "[1, 2]"], "outputs": {"results": {"kind": "stdout", "format": "json"}}},
}
#: An upload of one part.
PART = b"seventeen bytes !"
#: What lies in the mirror.
MIRRORED = {"drops/x": b"dropped", "general/core.7z": b"mirrored"}
#: What calculates.
INPUT = b"<input/>"


def furnish(site: Site) -> Words:
    """Fill a deployment, and answer the words that name what is in it."""
    for name, content in MIRRORED.items():
        path = site.settings.mirror_folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    known = logins(site)
    furnisher = Furnisher(site, known)
    furnisher.home()
    return {**known, **furnisher.words()}


def logins(site: Site) -> Words:
    """Sessions of a person and of an operator, and the person's token."""
    known = {}
    for word, name in (("session", "dora"), ("admin", "olga")):
        asker, body = requests.Session(), {"username": name, "password": PASSWORD}
        asker.post(f"{site.url}/api/login", json=body, timeout=60).raise_for_status()
        known[word] = asker.cookies[COOKIE_NAME].encode()
    answer = requests.post(f"{site.url}/api/1/login", data={"user": "dora", "password": PASSWORD}, timeout=60)
    return {**known, "token": answer.json()["token"].encode()}


def who_is_logged_in(site: Site, words: Words) -> bool:
    """Whether all of `logins` still count."""
    for word, name in (("session", "dora"), ("admin", "olga")):
        cookies = {COOKIE_NAME: words[word].decode()}
        if requests.get(f"{site.url}/api/info", cookies=cookies, timeout=60).json()["username"] != name:
            return False
    headers = {"X-KN-TOKEN": words["token"].decode()}
    return requests.get(f"{site.url}/api/1/mod/editable", headers=headers, timeout=60).status_code == 200


class Furnisher:
    """Asks the server for all that is to be there."""

    def __init__(self, site: Site, known: Words) -> None:
        self._url = site.url
        self._session = requests.Session()
        self._session.cookies[COOKIE_NAME] = known["session"].decode()
        self._token = {"X-KN-TOKEN": known["token"].decode()}

    def home(self) -> None:
        """Put the files of the person's home there, whatever is there in their places."""
        for name in ("a.txt", "table.csv", "folder"):
            self._session.delete(f"{self._url}/api/files/{name}", timeout=60)
        self._ask("POST", "/api/files/", json={"command": "mkdir", "name": "folder"})
        for name in ("a.txt", "table.csv", "folder/a.txt"):
            self._ask("PUT", f"/api/files/{name}", data="a,b\n1,2\n")

    def words(self) -> Words:
        """Everything that templates may name."""
        image = self._image()
        mod = {"id": "alpha", "title": "Alpha", "type": "tc", "parent": None, "logo": None, "tile": image}
        self._ask("POST", "/api/1/mod/create", json=mod, headers=self._token)
        self._release(image)
        example = (ROOT / "static" / "example_mod.json").read_text("utf-8")
        task = self._ask("POST", "/api/converter/request", data={"passwd": API_KEY, "data": example}).json()
        job = self._ask("POST", "/api/run", data="echo hello\n").json()["job_id"]
        sha1 = hashlib.sha1(INPUT).hexdigest()
        self._ask("POST", f"/{sha1}/", data=INPUT)
        run = self._ask("POST", "/task/plate?season=1", json={"address": {"city": "X"}}, headers=self._token).json()
        log = self._ask("POST", "/api/1/log/upload", data={"log": "a log"}).json()["id"]
        shared = SHARED.search(self._ask("POST", "/scripting", data={"call": "tables/share.py"}).text)
        assert shared, "no name of what was shared"
        wait_for(lambda: self._has(f"/task/{run['id']}/files/1/a.txt") and self._has(f"/{sha1}/files/info.xml"), "runs")
        made = str(int(time.time()))
        known = {
            "key": API_KEY, "password": PASSWORD, "image": image,
            "ticket": task["ticket"], "job_token": task["token"], "job": job, "sha1": sha1, "run": run["id"],
            "log": log, "shared": shared[1],
            "part": hashlib.sha256(PART).hexdigest(), "drop_time": made,
            "drop_token": hashlib.sha256(f"{API_KEY}{made}".encode()).hexdigest(),
            "host": self._url.removeprefix("http://"), "example": example, "cookie": COOKIE_NAME,
        }  # fmt: skip
        return {name: str(value).encode() for name, value in known.items()}

    def _image(self) -> str:
        picture = io.BytesIO()
        Image.new("RGB", (2, 2)).save(picture, "PNG")
        digest = hashlib.sha256(picture.getvalue()).hexdigest()
        files = {"file": ("a.png", picture.getvalue())}
        self._ask("POST", "/api/1/upload/file", data={"checksum": digest}, files=files, headers=self._token)
        return digest

    def _release(self, image: str) -> None:
        """Publish one: its archive comes in one part."""
        sha256 = hashlib.sha256(ARCHIVE).hexdigest()
        steps: tuple[tuple[str, dict[str, Any]], ...] = (
            ("start", {"data": {"id": sha256, "size": len(ARCHIVE), "parts": 1}}),
            ("part", {"data": {"id": sha256, "part": 0}, "files": {"file": ("upload", ARCHIVE)}}),
            ("finish", {"data": {"id": sha256, "checksum": sha256}}),
        )
        for step, what in steps:
            self._ask("POST", f"/api/1/multiupload/{step}", headers=self._token, **what)
        document = {**RELEASE, "tile": image, "version": "1.2.0"}
        self._ask("POST", "/api/1/mod/release", json=document, headers=self._token)

    def _has(self, path: str) -> bool:
        return self._session.get(f"{self._url}{path}", headers=self._token, timeout=60).status_code == 200

    def _ask(self, method: str, path: str, **what: Any) -> requests.Response:
        answer = self._session.request(method, f"{self._url}{path}", timeout=60, **what)
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        found = answer.json() if answer.headers.get("content-type", "").startswith("application/json") else None
        assert not isinstance(found, dict) or found.get("result", True), f"{method} {path}: {json.dumps(found)}"
        return answer
