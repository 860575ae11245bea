"""Production as docs/operating.md describes it: the real nginx and uWSGI with the files of conf/, all on one port."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import io
import json
import os
import shutil
import socket
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from knossos.accounts.first_start import prepare
from knossos.accounts.tokens import Tokens
from knossos.database import Database
from knossos.homes import Homes
from knossos.scripting.run_job import callback_address
from knossos.scripting.sandbox.spec import DOOR_HOST, DOOR_PORT
from knossos.settings import ROOT, Settings
from knossos.storage import Storage, blob_key
from tests.support.archives import Member, zip_bytes
from tests.support.big_bodies import REFUSALS, check_refusal, drop_path
from tests.support.file_server import FileServer
from tests.support.people import PASSWORD, add_account
from tests.support.processes import Process, wait_for, write_settings
from tests.support.redis_server import RedisServer, empty, free_port
from tests.support.system import program

KEY = "key-of-the-production"

NGINX = """
daemon off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/proxied;
    uwsgi_temp_path {folder}/answers;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/knossos.conf;
}}
"""


class Production:
    def __init__(self, folder: Path, redis_url: str) -> None:
        self.folder = folder
        self.port, ws_port, self.callback_port = free_port(), free_port(), free_port()
        self.settings = Settings(
            data_path=folder / "data",
            redis=redis_url,
            api_keys=(KEY,),
            api_listen=("127.0.0.1", self.callback_port),
            ws_listen=("127.0.0.1", ws_port),
            trusted_proxies=1,
            allowed_private_networks=("127.0.0.0/8",),
        )
        self.settings.mirror_folder.mkdir(parents=True)
        site = (ROOT / "conf" / "nginx.conf").read_text()
        for placed, here in (
            ("/run/knossos/server.sock", str(folder / "server.sock")),
            ("127.0.0.1:8085", f"127.0.0.1:{ws_port}"),
            ("listen 80;", f"listen 127.0.0.1:{self.port};"),
            ("    listen [::]:80;\n", ""),
            ("listen 127.0.0.1:8080;", f"listen 127.0.0.1:{self.callback_port};"),
            ("/var/lib/knossos/mirror", str(self.settings.mirror_folder)),
            ("/var/lib/knossos/storage", self.settings.storage_url),
        ):
            assert placed in site
            site = site.replace(placed, here)
        (folder / "knossos.conf").write_text(site)
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, user=user))
        self.processes: list[Process] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, nginx: str) -> None:
        database = Database(self.settings)
        prepare(self.settings, database)
        database.close()
        environment = {"KNOSSOS_SETTINGS": str(write_settings(self.folder / "settings.py", self.settings))}
        for name, arguments in (
            ("server", ["server.py", "--http-socket", str(self.folder / "server.sock"), "--chmod-socket=660"]),
            ("websocket", ["websocket_server.py"]),
            ("worker", ["worker.py"]),
        ):
            self.processes.append(Process(arguments, self.folder / f"{name}.log", environment))
        with (self.folder / "nginx.log").open("wb") as log:
            self.nginx = subprocess.Popen([nginx, "-c", str(self.folder / "nginx.conf")], stdout=log, stderr=log)
        wait_for(self.answers, f"the server behind nginx: {self.logs()}")

    def answers(self) -> bool:
        with suppress(requests.ConnectionError, requests.Timeout):
            return requests.get(f"{self.url}/api/health", timeout=10).status_code == 200
        return False

    def logs(self) -> str:
        return "\n".join(log.read_text(errors="replace")[-2000:] for log in self.folder.glob("*.log"))

    def stop(self) -> list[int]:
        self.nginx.terminate()
        codes = [process.stop() for process in self.processes]
        return [*codes, self.nginx.wait(20)]


@pytest.fixture(scope="module")
def production(redis_server: RedisServer) -> Iterator[Production]:
    nginx = program("nginx")
    empty(redis_server.url)
    folder = Path(tempfile.mkdtemp(prefix="knossos-"))  # short enough for a Unix socket
    site = Production(folder, redis_server.url)
    try:
        site.start(nginx)
        yield site
    finally:
        codes = site.stop()
        logs = site.logs()
        shutil.rmtree(folder)
    # 22: uWSGI was told to stop while its second process was still loading.
    assert codes[0] in (0, 22), logs
    assert codes[1:] == [0, 0, 0], logs


pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("production")]


def size_of_incoming(production: Production) -> int:
    """Bytes of the biggest file that the server has open in its mirror. It has no name yet."""
    sizes = [0]
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if os.readlink(descriptor).startswith(str(production.settings.mirror_folder)):
                sizes.append(descriptor.stat().st_size)
    return max(sizes)


async def watch(url: str, headers: dict[str, str]) -> list[list[Any]]:
    """All messages until `done`."""
    connection = await websocket_connect(HTTPRequest(url, headers=headers))
    messages: list[list[Any]] = []
    try:
        while not messages or messages[-1][0] != "done":
            text = await asyncio.wait_for(asyncio.ensure_future(connection.read_message()), 60)
            assert text is not None, messages
            messages.append(json.loads(text))
    finally:
        connection.close()
        while await connection.read_message() is not None:
            pass
    return messages


def test_a_mod_is_packaged_watched_and_its_archive_fetched_through_one_port(production: Production) -> None:
    archive = zip_bytes([Member("data/tables/ships.tbl", b"#Ship Classes\n" * 1000), Member("mod.ini", b"[mod]\n")])
    package = {"name": "Core", "files": [{"filename": "core.zip", "urls": []}]}
    mod: dict[str, Any] = {"id": "example", "title": "Example", "version": "1.0.0", "packages": [package]}
    with FileServer() as elsewhere:
        package["files"][0]["urls"] = [elsewhere.file("/core.zip", archive)]  # type: ignore[index]
        form = {"passwd": KEY, "data": json.dumps({"mods": [mod]})}
        task = requests.post(f"{production.url}/api/converter/request", data=form, timeout=30).json()
        assert task["ticket"], task
        address = f"ws://127.0.0.1:{production.port}/ws/watcher/{task['ticket']}?token={task['token']}"
        messages = asyncio.run(watch(address, {"Origin": production.url}))
    assert messages[-1][:2] == ["done", [True]], messages
    assert any(message[0] == "log_message" for message in messages)
    answer = requests.post(f"{production.url}/api/converter/retrieve", data=task, timeout=30).json()
    (made,) = json.loads(answer["json"])["mods"][0]["packages"][0]["files"]
    assert made["checksum"] == ["sha256", hashlib.sha256(archive).hexdigest()]
    (mirrored,) = [link for link in made["urls"] if link.startswith(production.url)]
    part = requests.get(mirrored, headers={"Range": "bytes=10-19"}, timeout=30)
    assert (part.status_code, part.content) == (206, archive[10:20])
    assert part.headers["Server"].startswith("nginx")
    assert requests.get(mirrored, timeout=30).content == archive


def test_scripts_find_the_server_where_they_call_back_and_not_its_figures(production: Production) -> None:
    host, port = callback_address(production.settings)
    as_scripts_do = {"Host": f"{DOOR_HOST}:{DOOR_PORT}"}
    answer = requests.get(f"http://{host}:{port}/api/info", headers=as_scripts_do, timeout=30)
    assert (answer.status_code, answer.json()["username"]) == (200, None)
    assert answer.headers["Server"].startswith("nginx")
    assert requests.get(f"http://{host}:{port}/metrics", headers=as_scripts_do, timeout=30).status_code == 403


def test_a_page_of_another_site_may_not_open_the_socket(production: Production) -> None:
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Origin": "https://elsewhere.example",
    }
    assert requests.get(f"{production.url}/ws/watcher/1", headers=handshake, timeout=30).status_code == 403


def test_the_mirror_gives_downloads_and_nothing_hidden_linked_or_above(production: Production) -> None:
    mirror = production.settings.mirror_folder
    (mirror / "page.html").write_text("<script>alert(1)</script>")
    (mirror / ".partial").write_text("on its way")
    (mirror / "link").symlink_to(production.folder / "settings.py")
    page = requests.get(f"{production.url}/mirror/page.html", timeout=30)
    assert page.headers["Content-Type"] == "application/octet-stream"
    assert page.headers["Content-Disposition"] == "attachment"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in page.headers["Content-Security-Policy"]
    unchanged = requests.get(
        f"{production.url}/mirror/page.html", headers={"If-None-Match": page.headers["ETag"]}, timeout=30
    )
    assert unchanged.status_code == 304
    for path in (
        "/mirror/.partial",
        "/mirror/link",
        "/mirror/../settings.py",
        "/mirror/%2e%2e/settings.py",
        "/mirror/",
    ):
        connection = http.client.HTTPConnection("127.0.0.1", production.port)
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status in (400, 403, 404), path
        assert KEY.encode() not in answer.read()
        connection.close()


def test_published_files_come_from_disk_and_what_is_not_there_is_asked_of_the_server(production: Production) -> None:
    data = os.urandom(1000)
    sha256 = hashlib.sha256(data).hexdigest()
    Storage(production.settings).put_bytes(blob_key(sha256), data)
    address = f"{production.url}/storage/files/{sha256}/a%20mod.7z"
    part = requests.get(address, headers={"Range": "bytes=10-19"}, timeout=30)
    assert (part.status_code, part.content) == (206, data[10:20])
    assert part.headers["Content-Disposition"] == "attachment"
    assert part.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert "sandbox" in part.headers["Content-Security-Policy"]
    held = {"If-None-Match": part.headers["ETag"]}
    assert requests.get(address, headers=held, timeout=30).status_code == 304
    image = requests.get(f"{production.url}/storage/images/{sha256}.png", timeout=30)
    assert (image.content, image.headers["Content-Type"]) == (data, "image/png")
    for path in (f"files/{sha256}/a%2Fb", f"files/{'0' * 64}/a.7z", f"images/{'0' * 64}.png", f"images/{sha256}.svg"):
        missing = requests.get(f"{production.url}/storage/{path}", timeout=30)
        assert missing.status_code == 404
        assert "Permissions-Policy" in missing.headers, "the server itself has answered"


def test_pages_carry_their_security_headers_once(production: Production) -> None:
    page = requests.get(f"{production.url}/converter", timeout=30)
    assert page.status_code == 200
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert f"ws://127.0.0.1:{production.port}" in page.headers["Content-Security-Policy"]
    assert "/" not in page.headers["Server"]


def test_a_zip_that_breaks_off_is_seen_to_be_cut_behind_nginx(production: Production) -> None:
    database = Database(production.settings)
    account = add_account(database, "dora")
    database.close()
    dora = requests.Session()
    login = {"username": "dora", "password": PASSWORD}
    assert dora.post(f"{production.url}/api/login", json=login, timeout=30).status_code == 200
    data = os.urandom(8_000_000)
    assert dora.put(f"{production.url}/api/files/a", data=data, timeout=30).status_code == 200
    address = f"{production.url}/api/files/?zip"
    with zipfile.ZipFile(io.BytesIO(dora.get(address, timeout=30).content)) as packed:
        assert packed.read("a") == data
    pieces = dora.get(address, timeout=30, stream=True).iter_content(1000)
    next(pieces)
    os.truncate(Homes(production.settings).folder(account.user_id) / "a", 10)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        list(pieces)


def test_an_upload_is_not_kept_by_nginx_on_its_way(production: Production) -> None:
    """The server has the beginning of a body while its end is not sent yet."""
    data = os.urandom(4_000_000)
    head = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="mod.7z"\r\n\r\n'
    body = head + data + b"\r\n--edge--\r\n"
    connection = http.client.HTTPConnection("127.0.0.1", production.port, timeout=60)
    connection.putrequest("POST", drop_path(KEY))
    connection.putheader("Content-Type", "multipart/form-data; boundary=edge")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    connection.send(body[:3_000_000])

    wait_for(lambda: size_of_incoming(production) >= 1_000_000, "the first part of the upload on the server's disk")
    assert not [path for path in (production.folder / "bodies").rglob("*") if path.is_file()]
    connection.send(body[3_000_000:])
    answer = json.loads(connection.getresponse().read())
    connection.close()
    assert answer["error"] is False
    assert answer["url"] == f"{production.url}/mirror/uploads/{hashlib.sha256(data).hexdigest()}"
    assert requests.get(answer["url"], timeout=30).content == data


def test_mod_managers_on_slow_lines_hold_up_nobody(production: Production) -> None:
    """More of them than the server has threads are in the middle of a part."""
    database = Database(production.settings)
    token = Tokens(production.settings, database).issue_login(add_account(database, "slow").user_id)
    database.close()
    head = b"POST /api/1/multiupload/part HTTP/1.1\r\nHost: a\r\nContent-Length: 10485900\r\n"
    head += f"X-KN-TOKEN: {token}\r\n".encode()
    head += b"Content-Type: multipart/form-data; boundary=edge\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(24):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", production.port)))
            slow.sendall(head + b"--edge\r\n")
        for _ in range(8):
            assert requests.get(f"{production.url}/api/health", timeout=30).status_code == 200


def test_nginx_says_in_the_protocols_words_that_a_body_is_too_large(production: Production) -> None:
    answer = requests.post(f"{production.url}/api/1/mod/create", data=b" " * 70_000_000, timeout=60)
    assert (answer.status_code, answer.json()["result"]) == (413, False)


@pytest.mark.parametrize("case", list(REFUSALS))
def test_an_early_refusal_of_a_big_body_arrives_in_the_protocols_words(production: Production, case: str) -> None:
    """Never nginx's own 502: it must not find the connection broken while it still passes the body on."""
    for _ in range(6):
        check_refusal(case, production.url, KEY)


@pytest.mark.parametrize("name", ["repo.json", "repo_minimal.json"])
def test_nginx_itself_serves_the_repository_which_the_worker_has_written_at_its_start(
    production: Production, name: str
) -> None:
    written = Path(production.settings.storage_url) / "public" / name
    wait_for(written.exists, "the repository's files")
    answer = requests.get(f"{production.url}/storage/{name}", timeout=30)
    assert (answer.status_code, answer.json()) == (200, {"mods": []})
    assert answer.headers["Server"].startswith("nginx")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    about = written.stat()
    assert answer.headers["ETag"] == f'"{int(about.st_mtime):x}-{about.st_size:x}"'
    same = {"If-None-Match": answer.headers["ETag"]}
    assert requests.get(f"{production.url}/storage/{name}", headers=same, timeout=30).status_code == 304
    signature = requests.get(f"{production.url}/storage/{name}.minisig", timeout=30)
    assert signature.text.startswith("untrusted comment: ")
    assert signature.headers["Content-Type"] == "text/plain; charset=utf-8"
    hidden = requests.get(f"{production.url}/storage/repository.json", timeout=30)
    assert hidden.status_code == 404
