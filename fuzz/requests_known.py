"""Requests that the server knows, as its clients send them: the protocols' and the pages'. Targets change these.

A value in double braces is a word of the deployment (`fuzz.furniture`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from fuzz.targets.descriptions import WHOLE
from tests.support.archives import zip_of


@dataclass(frozen=True)
class Wish:
    """One request: a form, JSON, or a body as it is."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    form: dict[str, str] | None = None
    document: Any = None
    body: bytes = b""
    #: The field of a form that is a file.
    file: str = ""


def get(path: str, /, **query: str) -> Wish:
    return Wish("GET", path, query)


def form(path: str, /, file: str = "", **fields: str) -> Wish:
    return Wish("POST", path, form=fields, file=file)


def sent(path: str, document: Any, method: str = "POST") -> Wish:
    return Wish(method, path, document=document)


#: What a release holds; the deployment has stored it (`fuzz.furniture`).
ARCHIVE = zip_of({"mod.ini": b"[launcher]\n", "data/a.tbl": b"#a\n"})
_INSTALLED = [
    {
        "filename": name,
        "archive": "alpha.zip",
        "orig_name": name,
        "checksum": ["sha256", hashlib.sha256(data).hexdigest()],
    }
    for name, data in (("mod.ini", b"[launcher]\n"), ("data/a.tbl", b"#a\n"))
]
_ARCHIVE_FILE = {
    "filename": "alpha.zip",
    "dest": "",
    "checksum": ["sha256", hashlib.sha256(ARCHIVE).hexdigest()],
    "filesize": len(ARCHIVE),
}
#: A release that can be published.
RELEASE: dict[str, Any] = {
    **{
        name: value for name, value in WHOLE["mods"][0].items() if name not in ("owners", "logo", "actions", "mod_flag")
    },
    **{"id": "alpha", "title": "Alpha", "version": "1.2.0", "type": "tc", "parent": None, "tile": "{{image}}"},
    **{"mod_flag": [], "stability": None},
    "packages": [
        {
            **{name: value for name, value in WHOLE["mods"][0]["packages"][0].items() if name != "executables"},
            **{"executables": [], "dependencies": [], "files": [_ARCHIVE_FILE], "filelist": _INSTALLED},
        }
    ],
}
_EXAMPLE = json.dumps({"mods": WHOLE["mods"]})

CONVERTER = (
    form("/api/converter/request", passwd="{{key}}", data=_EXAMPLE, webhook="http://{{host}}/api/health"),
    get("/api/converter/get_status/{{ticket}}", token="{{job_token}}"),
    form("/api/converter/retrieve", ticket="{{ticket}}", token="{{job_token}}"),
    get("/api/list_tasks"),
    form("/drop/{{drop_time}}/{{drop_token}}/0", file="file"),
    Wish("OPTIONS", "/drop/{{drop_time}}/{{drop_token}}/0"),
    get("/api/tasks", after="0", state="DONE", kind="conversion", q="a", limit="10"),
    get("/api/tasks/{{ticket}}", token="{{job_token}}"),
    get("/api/tasks/{{ticket}}/events", token="{{job_token}}", after="0-0", limit="10", wait="0"),
    form("/api/tasks/{{ticket}}/cancel", token="{{job_token}}"),
    form("/api/tasks/{{ticket}}/answer", token="{{job_token}}", value="abc", question_id="q"),
    get("/api/tasks/{{ticket}}/captcha", token="{{job_token}}"),
    get("/api/tasks/{{ticket}}/description", token="{{job_token}}"),
    get("/api/tasks/{{ticket}}/result", token="{{job_token}}"),
    get("/api/tasks/{{ticket}}/tree", token="{{job_token}}", q="a", mod="0", path="data"),
)

NEBULA = (
    form("/api/1/login", user="dora", password="{{password}}"),
    form("/api/1/register", name="nora", password="{{password}}", email="nora@example.org"),
    form("/api/1/reset_password", user="dora"),
    get("/api/1/mod/editable"),
    form("/api/1/mod/is_editable", mid="alpha"),
    form("/api/1/mod/check_id", id="beta", title="Beta"),
    sent(
        "/api/1/mod/create",
        {"id": "gamma", "title": "Gamma", "type": "mod", "parent": "FS2", "logo": None, "tile": "{{image}}"},
    ),
    sent(
        "/api/1/mod/update", {"id": "alpha", "title": "Alpha", "logo": None, "tile": "{{image}}", "first_release": None}
    ),
    sent("/api/1/mod/release/preflight", RELEASE),
    sent("/api/1/mod/release/dry_run", RELEASE),
    sent("/api/1/mod/release", RELEASE),
    sent("/api/1/mod/release", {**RELEASE, "version": "2.0.0"}),
    sent("/api/1/mod/release/update", {**RELEASE, "packages": []}),
    form("/api/1/mod/release/delete", mid="alpha", version="1.2.0"),
    form("/api/1/mod/release/yank", mid="alpha", version="1.2.0", reason="broken"),
    form("/api/1/mod/release/unyank", mid="alpha", version="1.2.0"),
    form("/api/1/mod/release/report", mid="alpha", version="1.2.0", message="It is bad."),
    form("/api/1/mod/release/converted", ticket="{{ticket}}", token="{{job_token}}"),
    form("/api/1/mod/team/fetch", mid="alpha"),
    sent(
        "/api/1/mod/team/update",
        {"mid": "alpha", "members": [{"user": "dora", "role": 0}, {"user": "olga", "role": 20}]},
    ),
    get("/api/1/mod/list_private"),
    get("/api/1/mod/json/alpha/1.2.0"),
    get("/api/1/mod/webhooks", mid="alpha"),
    form("/api/1/mod/webhooks/add", mid="alpha", url="http://{{host}}/api/health", format="json", events="release"),
    form("/api/1/mod/webhooks/remove", mid="alpha", id="1"),
    form("/api/1/mod/webhooks/test", mid="alpha", id="1"),
    form("/api/1/upload/check", checksum="{{image}}"),
    form("/api/1/upload/file", file="file", checksum="{{image}}", content_checksum="None"),
    form("/api/1/multiupload/start", id="{{part}}", size="17", parts="1"),
    form("/api/1/multiupload/part", file="file", id="{{part}}", part="0"),
    form("/api/1/multiupload/verify_part", id="{{part}}", part="0", checksum="{{part}}"),
    form("/api/1/multiupload/finish", id="{{part}}", checksum="{{part}}", content_checksum="None", vp_checksum="None"),
    form("/api/1/log/upload", log="a log"),
    get("/log/{{log}}/raw"),
    form("/api/1/track", event="install_mod", mid="alpha", version="1.2.0", counter="1", link="x", time="1"),
    get("/storage/repo.json"),
    get("/storage/repo_minimal.json"),
)

LINKAHEAD = (
    form("/scripting", call="echo.py", **{"-p0": "a", "-p1": "b", "-Oname": "c"}),
    form("/scripting", file="-p0", call="tables/share.py"),
    form("/login", username="dora", password="{{password}}"),
    get("/Info"),
    get("/Shared/nothing/a.txt"),
)

SCRIPT_RUNNER = (
    Wish("POST", "/task/plate", {"season": "1"}, document={"address": {"city": "Bremen"}}),
    Wish("POST", "/script/json", document={}),
    Wish("POST", "/task", {"season": "1"}, document={"address": {"city": ["a", {"b": None}]}}),
    get("/task/{{run}}"),
    get("/task/{{run}}/files/1/a.txt"),
    get("/health"),
)

SCRIPT_SERVER = (
    get("/api/info"),
    sent("/api/login", {"username": "dora", "password": "{{password}}"}),
    Wish("POST", "/api/run", body=b"echo hello; exit 3\n"),
    get("/api/jobs"),
    get("/api/jobs/{{job}}"),
    sent("/api/jobs/{{job}}", {"command": "terminate"}),
    get("/api/files/", hidden="1"),
    get("/api/files/a.txt"),
    Wish("PUT", "/api/files/new.txt", body=b"content"),
    sent("/api/files/a.txt", {"command": "copy", "to": "/folder"}),
    sent("/api/files/folder/a.txt", {"command": "move", "to": "/b.txt"}),
    sent("/api/files/", {"command": "mkdir", "name": "more"}),
    Wish("DELETE", "/api/files/b.txt"),
    get("/api/home"),
    get("/api/users", q="o", after="a", limit="10"),
    sent("/api/users", {"username": "paul", "password": "{{password}}", "admin": False, "email": None, "roles": []}),
    get("/api/users/paul"),
    sent("/api/users/paul", {"command": "disable", "password": "{{password}}", "admin": True}),
    Wish("DELETE", "/api/users/paul"),
    sent(
        "/api/schedules",
        {"kind": "script", "script": "echo.py", "title": "t", "when": {"cron": "0 0 1 1 *", "zone": "Europe/Berlin"},
         "cron": "0 0 1 1 *", "at": "2030-01-01T00:00"},
    ),
    get("/api/schedules"),
    get("/api/schedules/times", cron="0 0 * * 1", zone="Europe/Berlin", count="3"),
    get("/api/schedules/1"),
    get("/api/runs/{{run}}"),
)  # fmt: skip

CALCULATION = (
    Wish("POST", "/{{sha1}}/", body=b"<input/>"),
    get("/{{sha1}}/"),
    get("/{{sha1}}/status"),
    get("/{{sha1}}/stdout"),
    get("/{{sha1}}/import"),
    get("/{{sha1}}/files/input.xml"),
    Wish("DELETE", "/0000000000000000000000000000000000000000/"),
)

PAGES = (
    *map(
        get,
        (
            "/",
            "/converter",
            "/tasks",
            "/watch/{{ticket}}?token={{job_token}}",
            "/scripts",
            "/scripts/echo.py",
            "/schedules/new",
            "/api/docs",
        ),
    ),
    *map(
        get,
        (
            "/api/openapi.json",
            "/mods/alpha",
            "/mods/alpha/1.2.0",
            "/log/{{log}}",
            "/publish/alpha",
            "/account",
            "/audit",
        ),
    ),
    *map(
        get,
        (
            "/runs/{{run}}",
            "/jobs/new",
            "/jobs/{{job}}",
            "/calculations",
            "/register",
            "/reset",
            "/verify/x",
            "/operator",
        ),
    ),
    get("/mods", q="a", type="mod", sort="title", page="1"),
    get("/runs", page="1", q="a", state="done", after="0"),
    get("/tasks", page="1", q="a"),
    get("/users", q="o", page="1"),
    get("/home/a.txt", download="1", page="1"),
    get("/home/", sort="name", q="a"),
    get("/metrics"),
    get("/ready"),
    get("/runs/{{run}}/files/1", inline="1"),
    get("/runs/{{run}}/output.html"),
    get("/runs/{{run}}/values.csv"),
    form("/register", name="otto", email="otto@example.org", password="{{password}}", again="{{password}}"),
    form("/reset", user="dora"),
    form("/reset/secret", password="{{password}}", again="{{password}}"),
    form("/scripts/echo.py", **{"-p0": "a"}),
    form(
        "/schedules/new", kind="script", script="echo.py", title="t", cron="0 0 1 1 *", zone="UTC", at="", notify="mail"
    ),
    form("/jobs/new", script="echo hello", title="t"),
    form("/calculations", file="file", text="<input/>"),
    form("/home/", action="mkdir", name="paper"),
    form("/home/", file="file", action="upload"),
    form("/home/a.txt", action="move", to="/c.txt"),
    form("/mods/alpha/1.2.0/report", message="bad"),
    form("/account/tokens", name="t", days="3"),
    form("/runs/{{run}}/notice", mail="1", webhook="http://{{host}}/"),
    form("/runs/{{run}}/cancel"),
)

ALL = (*CONVERTER, *NEBULA, *LINKAHEAD, *SCRIPT_RUNNER, *SCRIPT_SERVER, *CALCULATION, *PAGES)
