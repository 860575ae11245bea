"""People's scripts from the request to what came of them: the real server, real workers, the sandbox, over HTTP."""

from __future__ import annotations

import http.client
import io
import os
import shutil
import socket
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from knossos.accounts import Accounts
from knossos.database import Database
from knossos.homes import Homes
from knossos.settings import ROOT
from tests.support.processes import Process, wait_for, write_settings
from tests.support.redis_server import RedisServer
from tests.support.site import PASSWORD, Site

pytestmark = pytest.mark.xdist_group("the Script Server all the way")

#: What one home may hold: less than a run of its own may write.
QUOTA = 50_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("homes")


class Workers:
    """Workers that can be lost and started again."""

    def __init__(self, site: Site, folder: Path) -> None:
        self._file = write_settings(folder / "worker.py", site.settings)
        self._folder = folder
        self.all: list[Process] = []

    def start(self) -> Process:
        log = self._folder / f"worker-{len(self.all)}.log"
        program = ["-m", "tests.support.run_script_worker"]
        self.all.append(Process(program, log, {"KNOSSOS_SETTINGS": str(self._file)}))
        return self.all[-1]


@pytest.fixture(scope="module")
def site(folder: Path, redis_server: RedisServer) -> Iterator[Site]:
    more: dict[str, Any] = {"command": "sh", "args": ("-s",), "home_quota_bytes": QUOTA, "max_running": 2}
    more |= {"script_output_bytes": 2000, "worker_lost_seconds": 5.0}
    with Site(folder, redis_server.url.replace("/0", "/7"), sockets=False, **more) as made:
        yield made


@pytest.fixture(scope="module")
def workers(site: Site, folder: Path) -> Iterator[Workers]:
    made = Workers(site, folder)
    made.start()
    made.start()
    try:
        yield made
    finally:
        for process in made.all:
            if process.popen.poll() is None:
                process.kill()


class Person(requests.Session):
    """Somebody who is logged in."""

    def __init__(self, site: Site, name: str) -> None:
        super().__init__()
        self.base = site.url
        assert self.ask("POST", "/api/login", json={"username": name, "password": PASSWORD}).status_code == 200

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        return self.request(method, self.base + path, timeout=60, **more)

    def submit(self, script: str) -> int:
        answer = self.ask("POST", "/api/run", data=script.encode())
        assert answer.status_code == 200, answer.text
        return int(answer.json()["job_id"])

    def job(self, number: int) -> dict[str, Any]:
        answer = self.ask("GET", f"/api/jobs/{number}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def ended(self, number: int) -> dict[str, Any]:
        return wait_for(
            lambda: job if (job := self.job(number))["status"] in ("done", "failed") else None, f"job {number}"
        )

    def said(self, number: int, text: str) -> dict[str, Any]:
        return wait_for(lambda: job if text in (job := self.job(number))["out"] else None, f"{text} of job {number}")

    def outcome(self, script: str) -> dict[str, Any]:
        return self.ended(self.submit(script))

    def command(self, number: int, command: str) -> requests.Response:
        return self.ask("POST", f"/api/jobs/{number}", json={"command": command})

    def listed(self, path: str = "") -> dict[str, Any]:
        answer = self.ask("GET", f"/api/files/{path}")
        assert answer.status_code == 200, answer.text
        return {one["name"]: one.get("size") for one in answer.json()}


@pytest.fixture(scope="module")
def logged_in(site: Site) -> Iterator[Person]:
    with Person(site, "dora") as made:
        yield made


@pytest.fixture
def dora(logged_in: Person, workers: Workers) -> Iterator[Person]:
    yield logged_in
    for name in logged_in.listed():
        assert logged_in.ask("DELETE", f"/api/files/{name}").status_code == 200


def test_a_script_runs_in_the_home_and_its_output_and_files_are_there(dora: Person) -> None:
    assert dora.ask("PUT", "/api/files/in.txt", data=b"from outside\n").status_code == 200
    job = dora.outcome('cat in.txt; pwd; echo "$HOME"; echo wrong >&2; mkdir d; echo made > d/out.txt; rm in.txt')
    assert (job["status"], job["exit_code"], job["error"]) == ("done", 0, "")
    assert job["out"] == "from outside\n/script/run\n/script/run\n"
    assert job["err"] == "wrong\n"
    assert job["start"] <= job["end"]
    assert dora.listed() == {"d": None}
    assert dora.ask("GET", "/api/files/d/out.txt").content == b"made\n"
    # What a script has made can be changed, and what was changed can be read by the next one.
    assert dora.ask("PUT", "/api/files/d/out.txt", data=b"new").status_code == 200
    assert dora.ask("POST", "/api/files/d", json={"command": "copy", "to": "e"}).status_code == 200
    assert dora.ask("POST", "/api/files/", json={"command": "mkdir", "name": "f"}).status_code == 200
    job = dora.outcome("set -e; cat d/out.txt e/out.txt; echo x >> e/out.txt; echo y > f/y; rm -r d; mv e g")
    assert (job["status"], job["out"]) == ("done", "newnew"), job
    assert dora.listed() == {"f": None, "g": None}


def test_a_script_sees_its_home_and_nothing_else(dora: Person, site: Site, folder: Path) -> None:
    with Person(site, "olga") as olga:
        assert olga.ask("PUT", "/api/files/secret", data=b"of olga").status_code == 200
        paths = [site.settings.homes_folder, site.settings.data_path / "secret_key", ROOT / "knossos" / "web"]
        job = dora.outcome("ls " + " ".join(f"'{path}'" for path in paths) + f"; ls '{site.settings.data_path}'; id -u")
        assert job["err"].count("No such file") == len(paths)
        # The module that scripts may import is below the data folder, and is all that is seen of it.
        assert job["out"] == "script-helper\n1000\n"
        assert olga.ask("DELETE", "/api/files/secret").status_code == 200


def test_what_a_failed_script_says_is_kept(dora: Person) -> None:
    job = dora.outcome("echo one; exit 3")
    assert (job["status"], job["exit_code"], job["out"]) == ("failed", 3, "one\n")
    assert "exit code 3" in job["error"]


def test_output_is_seen_as_it_is_written_and_its_limit_is_told(dora: Person) -> None:
    number = dora.submit("echo early; while [ ! -e go ]; do sleep 0.05; done; head -c 5000 /dev/zero | tr '\\0' x")
    job = dora.said(number, "early")
    assert (job["status"], job["end"]) == ("running", None)
    assert dora.ask("GET", "/api/info").json()["jobs_running"] == 1
    dora.ask("PUT", "/api/files/go", data=b"")
    job = dora.ended(number)
    assert (len(job["out"]), job["dropped_bytes"]) == (2000, 3006)


def test_terminate_asks_and_kill_ends(dora: Person) -> None:
    waits = "while :; do sleep 0.1; done"
    polite = dora.submit(f"trap 'echo bye; exit 0' TERM; echo ready; {waits}")
    rude = dora.submit(f"trap 'echo no' TERM; echo ready; {waits}")
    dora.said(polite, "ready")
    assert dora.command(polite, "terminate").status_code == 200
    job = dora.ended(polite)
    assert (job["status"], job["out"]) == ("done", "ready\nbye\n")
    dora.said(rude, "ready")
    for times in (1, 2):
        assert dora.command(rude, "terminate").status_code == 200
        wait_for(lambda times=times: dora.job(rude)["out"].count("no") == times, "its answer")
    assert dora.command(rude, "kill").status_code == 200
    job = dora.ended(rude)
    assert (job["status"], job["signal"], job["exit_code"]) == ("failed", 9, None)
    assert job["out"] == "ready\nno\nno\n"
    assert "SIGKILL" in job["error"]
    plain = dora.submit(f"echo ready; {waits}")
    dora.said(plain, "ready")
    dora.command(plain, "terminate")
    job = dora.ended(plain)
    assert (job["status"], job["signal"], job["out"]) == ("failed", 15, "ready\n")
    assert dora.command(plain, "kill").status_code == 409


def test_no_more_run_at_once_than_may(dora: Person, site: Site, workers: Workers) -> None:
    third = workers.start()
    numbers = [dora.submit("echo on; while [ ! -e go ]; do sleep 0.05; done") for _ in range(4)]
    for number in numbers[:2]:
        dora.said(number, "on")
    assert [dora.job(number)["status"] for number in numbers] == ["running", "running", "waiting", "waiting"]
    assert [dora.job(number)["waiting_before"] for number in numbers] == [None, None, 0, 1]
    told = dora.ask("GET", "/api/info").json()
    assert (told["jobs_running"], told["jobs_waiting"]) == (2, 2)
    dora.ask("PUT", "/api/files/go", data=b"")
    assert {dora.ended(number)["status"] for number in numbers} == {"done"}
    third.stop()


ESCAPES = """
ln -s / root; ln -s ../../../.. up; ln -s /etc/passwd passwd; ln -s . here; ln -s loop loop; mkdir d; ln -s /etc d/etc
mkfifo pipe; mkdir shut; echo x > shut/x; chmod 0 shut; echo done
"""


def test_links_that_a_script_plants_in_its_home_lead_nowhere(dora: Person, folder: Path) -> None:
    assert dora.outcome(ESCAPES)["out"] == "done\n"
    (folder / "bait").write_text("untouched")
    bait = str(folder / "bait").lstrip("/")
    for path in (f"root/{bait}", f"up/{bait}", "passwd", "d/etc/passwd", "here/d", "loop", "pipe"):
        assert dora.ask("GET", f"/api/files/{path}").status_code in (403, 404), path
        assert dora.ask("PUT", f"/api/files/{path}/x", data=b"x").status_code in (403, 404), path
        if path != "pipe":
            assert dora.ask("PUT", f"/api/files/{path}", data=b"x").status_code in (403, 404), path
    assert dora.ask("DELETE", f"/api/files/root/{bait}").status_code == 403
    for command in ("move", "copy"):
        sent = {"command": command, "to": f"/root/{folder}/stolen"}
        assert dora.ask("POST", "/api/files/shut", json=sent).status_code == 403
        answer = dora.ask("POST", f"/api/files/root/{bait}", json={"command": command, "to": "stolen"})
        assert answer.status_code == 403
    assert (folder / "bait").read_text() == "untouched"
    assert not (folder / "stolen").exists()
    assert dora.ask("GET", "/api/files/shut/x").content == b"x\n"


def raw(site: Site, cookie: str, method: str, path: str) -> int:
    """Ask for a path as it stands: clients tidy up."""
    connection = http.client.HTTPConnection(*site.settings.api_listen, timeout=30)
    try:
        connection.request(method, path, body=b"x", headers={"Cookie": f"SessionToken={cookie}"})
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["../2/f", "%2e%2e/2/f", "..%2f2%2ff", "a/../../2", "//etc/passwd", "%00", "..;/x"])
def test_addresses_that_lead_out_of_the_home_touch_nothing(dora: Person, site: Site, path: str) -> None:
    dora.ask("PUT", "/api/files/made", data=b"x")  # the folders that a home needs are there from now on
    dora.ask("DELETE", "/api/files/made")
    before = sorted(str(one) for one in site.settings.homes_folder.rglob("*"))
    cookie = dora.cookies["SessionToken"]
    for method in ("GET", "DELETE", "PUT"):
        assert raw(site, cookie, method, f"/api/files/{path}") in (400, 403, 404, 405), (method, path)
    assert sorted(str(one) for one in site.settings.homes_folder.rglob("*")) == before


def test_an_upload_that_breaks_off_leaves_the_file_as_it_was(dora: Person, site: Site) -> None:
    dora.ask("PUT", "/api/files/f", data=b"before")
    number = next(one for one in site.settings.homes_folder.iterdir() if (one / "f").exists()).name
    incoming = site.settings.homes_folder / ".incoming" / number
    for cut in (socket.SHUT_WR, socket.SHUT_RDWR):
        with socket.create_connection(site.settings.api_listen, timeout=30) as connection:
            head = (
                f"PUT /api/files/f HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: SessionToken={dora.cookies['SessionToken']}"
            )
            connection.sendall(f"{head}\r\nContent-Length: 10000000\r\n\r\n".encode() + b"x" * 1_000_000)
            wait_for(lambda: list(incoming.iterdir()), "the upload")
            assert dora.ask("GET", "/api/files/f").content == b"before"
            connection.shutdown(cut)
            wait_for(lambda: not list(incoming.iterdir()), "the end of the upload")
    assert dora.ask("GET", "/api/files/f").content == b"before"
    assert dora.listed() == {"f": 6}


@pytest.mark.parametrize("size", [0, 1, 30_000, 32_767, 32_768, 32_769, 65_536, 3_000_000])
@pytest.mark.parametrize("together", [True, False], ids=["with its headers", "after its headers"])
def test_a_file_is_the_same_whatever_uwsgi_has_read_of_it_ahead(
    dora: Person, site: Site, size: int, together: bool
) -> None:
    """It reads what comes with the headers; what comes later the kernel moves to the file by itself."""
    data = os.urandom(size)
    head = (
        f"PUT /api/files/ahead HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: SessionToken={dora.cookies['SessionToken']}\r\n"
        f"Content-Length: {size}\r\n\r\n"
    ).encode()
    with socket.create_connection(site.settings.api_listen, 60) as connection:
        if together:
            connection.sendall(head + data)
        else:
            connection.sendall(head)
            time.sleep(0.05)  # it may have looked by then
            for start in range(0, size, 700_000):
                connection.sendall(data[start : start + 700_000])
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert b" 200 " in answer.split(b"\r\n")[0], answer
    assert dora.ask("GET", "/api/files/ahead").content == data


def test_a_large_file_comes_and_goes_as_it_is(dora: Person) -> None:
    data = os.urandom(1 << 20) * 20
    assert dora.ask("PUT", "/api/files/large", data=data).json() == {"size": len(data)}
    assert dora.ask("GET", "/api/files/large").content == data
    part = dora.ask("GET", "/api/files/large", headers={"Range": "bytes=5000000-5999999"})
    assert (part.status_code, part.content) == (206, data[5_000_000:6_000_000])


def test_a_zip_that_breaks_off_is_seen_to_be_cut_by_who_takes_it(dora: Person, folder: Path) -> None:
    data = os.urandom(8_000_000)
    dora.ask("POST", "/api/files/", json={"command": "mkdir", "name": "torn"})
    assert dora.ask("PUT", "/api/files/torn/a", data=data).status_code == 200
    with zipfile.ZipFile(io.BytesIO(dora.ask("GET", "/api/files/torn?zip").content)) as packed:
        assert packed.read("a") == data
    (file,) = (folder / "data" / "homes").glob("*/torn/a")
    answer = dora.ask("GET", "/api/files/torn?zip", stream=True)
    pieces = answer.iter_content(1000)
    next(pieces)
    os.truncate(file, 10)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        list(pieces)
    assert dora.ask("HEAD", "/api/files/torn?zip").content == b""
    dora.ask("DELETE", "/api/files/torn")


def test_a_script_in_chunks_is_told_to_say_its_length_and_not_that_it_is_empty(dora: Person) -> None:
    answer = dora.ask("POST", "/api/run", data=iter([b"echo ", b"1"]))
    assert (answer.status_code, answer.json()["code"]) == (411, "length_required")


def test_a_home_holds_no_more_than_its_quota_whoever_writes(dora: Person, site: Site) -> None:
    answer = dora.ask("PUT", "/api/files/f", data=b"x" * 30_000_000)
    assert answer.status_code == 200
    assert dora.ask("PUT", "/api/files/g", data=b"x" * 30_000_000).status_code == 413
    assert dora.ask("POST", "/api/files/f", json={"command": "copy", "to": "g"}).status_code == 413
    job = dora.outcome("head -c 30000000 /dev/zero > g; sleep 30; echo late")
    assert (job["status"], job["out"]) == ("failed", "")
    assert "its folder may hold" in job["error"]
    assert dora.listed() == {"f": 30_000_000, "g": 30_000_000}
    assert dora.ask("PUT", "/api/files/h", data=b"").status_code == 413


def test_a_home_that_is_gone_is_said_to_be_gone(dora: Person, site: Site, workers: Workers) -> None:
    blockers = [dora.submit("echo on; while [ ! -e go ]; do sleep 0.05; done") for _ in range(2)]
    for number in blockers:
        dora.said(number, "on")
    with Person(site, "olga") as olga:
        waiting = olga.submit("echo never")
        database = Database(site.settings)
        account = Accounts(database).find("olga")
        database.close()
        assert account is not None
        shutil.rmtree(Homes(site.settings).folder(account.user_id))
        dora.ask("PUT", "/api/files/go", data=b"")
        job = olga.ended(waiting)
        assert (job["status"], job["error"]) == ("failed", "The folder of this run is gone.")
        assert olga.listed() == {}
    for number in blockers:
        dora.ended(number)


def test_jobs_survive_a_restart_of_every_process(dora: Person, site: Site, workers: Workers) -> None:
    done = dora.submit("echo kept")
    assert dora.ended(done)["out"] == "kept\n"
    hold = [dora.submit("echo on; while [ ! -e go ]; do sleep 0.05; done") for _ in range(2)]
    for number in hold:
        dora.said(number, "on")
    waiting = dora.submit("echo later")
    for process in workers.all:
        if process.popen.poll() is None:
            process.kill()
    site.kill_web()
    site.start_web()
    dora.ask("PUT", "/api/files/go", data=b"")
    workers.start()
    assert (dora.job(done)["status"], dora.job(done)["out"], dora.job(done)["script"]) == (
        "done",
        "kept\n",
        "echo kept",
    )
    job = dora.ended(waiting)
    assert (job["status"], job["out"]) == ("done", "later\n")
    # A script is not run twice: what its worker left undone has failed, with what is known of it.
    for number in hold:
        assert dora.ended(number)["status"] == "failed"
    statuses = {one["job_id"]: one["status"] for one in dora.ask("GET", "/api/jobs").json()}
    assert [statuses[number] for number in (done, *hold, waiting)] == ["done", "failed", "failed", "done"]
