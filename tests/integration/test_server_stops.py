"""The HTTP server stops although requests wait for jobs that nobody runs: these are answered, work is finished."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from lxml import etree

from knossos.settings import ROOT
from tests.support.processes import wait_for
from tests.support.site import PASSWORD, Site

MOD = {"id": "alpha", "title": "Alpha", "type": "tc"}
ARCHIVE = {"filename": "core.7z", "dest": "", "checksum": ["sha256", "0" * 64], "filesize": 10}
RELEASE = {
    **MOD,
    "version": "1.0.0",
    "packages": [{"name": "Core", "status": "required", "files": [ARCHIVE]}],
}


@pytest.fixture
def site(tmp_path: Path, redis_url: str) -> Site:
    scripts = tmp_path / "bin"
    scripts.mkdir()
    (scripts / "hello.sh").write_text("#!/bin/sh\n")
    (scripts / "hello.sh").chmod(0o755)
    allowed = {"anonymous": ("SCRIPTING:EXECUTE:hello.sh",)}
    more = {"server_side_scripting_bin_dirs": (str(scripts),), "role_permissions": allowed}
    return Site(tmp_path, redis_url, sockets=False, **more)


def test_a_server_that_is_stopped_answers_who_waits_and_lets_work_finish(site: Site) -> None:
    with (
        site,
        ThreadPoolExecutor() as pool,
        socket.create_connection(("127.0.0.1", site.settings.api_listen[1])) as slow,
    ):
        logged_in = requests.post(f"{site.url}/api/1/login", data={"user": "dora", "password": PASSWORD}, timeout=60)
        headers = {"X-KN-TOKEN": logged_in.json()["token"]}
        made = requests.post(f"{site.url}/api/1/mod/create", json=MOD, headers=headers, timeout=60)
        assert made.json() == {"result": True}

        def post(path: str, **body: object) -> Future[requests.Response]:
            return pool.submit(requests.post, f"{site.url}{path}", timeout=120, **body)  # type: ignore[arg-type]

        script = post("/scripting", data={"call": "hello.sh"})
        release = post("/api/1/mod/release/preflight", json=RELEASE, headers=headers)
        form = b"call=nothing.sh"
        slow.sendall(b"POST /scripting HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n")
        slow.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(form), form[:5]))
        wait_for(lambda: len(site.engine.list_jobs()) == 2, "the jobs that nobody runs")
        assert site.web_process is not None
        workers = children(site.web_process.popen.pid)
        site.web_process.popen.send_signal(signal.SIGTERM)

        accepted = script.result()
        assert accepted.status_code == 202
        (run,) = etree.fromstring(accepted.content).findall("run")
        assert accepted.headers["Location"] == run.get("page")
        assert "Preference-Applied" not in accepted.headers
        told = release.result().json()
        assert (told["result"], told["reason"]) == (False, "still checking")
        jobs = {job.ticket: job for job in site.engine.list_jobs()}
        assert {int(run.get("ticket")), told["ticket"]} == jobs.keys()
        assert not any(job.state.finished for job in jobs.values())

        assert site.web_process.popen.poll() is None
        slow.sendall(form[5:])
        slow.settimeout(60)
        assert slow.recv(65536).startswith(b"HTTP/1.1 401 ")
        assert site.web_process.stop() == 0
        assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


#: A process as uWSGI makes one, but for requests that never end, and with less patience.
NEVER_ENDS = """
import signal, sys, time, types
sys.modules["uwsgi"] = types.ModuleType("uwsgi")
signal.signal(signal.SIGHUP, signal.SIG_IGN)
from knossos.web import stopping
stopping.GRACE_SECONDS = 0.1
found = stopping.Stopping.told_by_uwsgi()
print("watches", flush=True)
while not found.is_set():
    time.sleep(0.01)
print("is told", flush=True)
time.sleep(1000)
"""


def test_a_request_that_does_not_end_is_broken_off() -> None:
    with subprocess.Popen([sys.executable, "-c", NEVER_ENDS], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"watches\n"
        os.kill(process.pid, signal.SIGHUP)
        assert process.stdout.readline() == b"is told\n"
        assert process.wait(60) == 1
