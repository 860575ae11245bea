"""The HTTP server is upgraded while requests go on: it loads itself anew and loses none, nor what it has counted."""

from __future__ import annotations

import re
import signal
import socket
import threading
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from knossos.settings import ROOT
from knossos.web.stopping import GRACE_SECONDS
from tests.support.processes import wait_for
from tests.support.site import Site

#: A body that says nothing, in two pieces, to an address that reads it.
FORM = b"call=nothing.sh"


def children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def loaded(master: int) -> set[int]:
    """Its processes, once all have loaded the application: only then they have their threads, and can be reloaded."""

    def all_have() -> set[int]:
        found = children(master)
        return found if all(len(list(Path(f"/proc/{pid}/task").iterdir())) > 16 for pid in found) else set()

    return wait_for(all_have, "processes that have loaded the application")


@pytest.mark.slow
def test_a_server_that_is_reloaded_while_requests_go_on_loses_none(tmp_path: Path, redis_url: str) -> None:
    with Site(tmp_path, redis_url, sockets=False, processes=2) as site:
        assert site.web_process is not None
        master = site.web_process.popen.pid
        before = loaded(master)
        ends, lock = threading.Event(), threading.Lock()
        answered: list[int] = []
        lost: list[str] = []

        def ask() -> None:
            while not ends.is_set():
                try:
                    status = requests.get(f"{site.url}/health", timeout=120).status_code
                except requests.RequestException as error:
                    lost.append(repr(error))
                else:
                    with lock:
                        answered.append(status)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            wait_for(lambda: len(answered) > 50, "answers before the reload")
            site.web_process.popen.send_signal(signal.SIGHUP)
            wait_for(lambda: children(master) and not children(master) & before, "new processes")
            seen = len(answered)
            wait_for(lambda: len(answered) > seen + 50, "answers after the reload")
        finally:
            ends.set()
            for thread in threads:
                thread.join()
        assert lost == []
        assert set(answered) == {200}
        assert site.web_process.popen.poll() is None

        # What both generations of processes have counted is in the figures, whichever process is asked.
        def counted() -> float:
            said = requests.get(f"{site.url}/metrics", timeout=60).text
            return sum(
                sample.value
                for family in text_string_to_metric_families(said)
                for sample in family.samples
                if sample.name == "knossos_http_requests_total" and sample.labels["endpoint"] == "runners.health"
            )

        wait_for(lambda: counted() == len(answered), f"{len(answered)} requests in the figures")
        wait_for(lambda: "chain reloading complete" in site.web_process.log, "the end of the reload")


def test_a_server_that_is_reloaded_goes_on_answering_while_a_slow_request_takes_its_time(
    tmp_path: Path, redis_url: str
) -> None:
    with (
        Site(tmp_path, redis_url, sockets=False, processes=2) as site,
        socket.create_connection(("127.0.0.1", site.settings.api_listen[1])) as slow,
    ):
        assert site.web_process is not None
        master = site.web_process.popen.pid
        slow.sendall(b"POST /scripting HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n")
        slow.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(FORM), FORM[:5]))
        before = loaded(master)
        site.web_process.popen.send_signal(signal.SIGHUP)
        # One process is asked to end. The slow request is at it, or at the other, which waits for its turn.
        wait_for(lambda: "Gracefully killing worker" in site.web_process.log, "the reload has begun")
        for _ in range(20):
            assert requests.get(f"{site.url}/health", timeout=60).status_code == 200
        assert children(master) & before, "whoever is at the slow request is there"
        slow.sendall(FORM[5:])
        slow.settimeout(60)
        assert slow.recv(65536).startswith(b"HTTP/1.1 401 ")
        # Told to stop before that, uWSGI would start the last process after all, and leave it running.
        wait_for(lambda: "chain reloading complete" in site.web_process.log, "the end of the reload")
        assert not children(master) & before


def test_uwsgi_waits_for_longer_than_a_process_that_lets_its_requests_finish() -> None:
    mercy = re.search(r"^worker-reload-mercy = (\d+)$", (ROOT / "conf" / "app.ini").read_text(), re.MULTILINE)
    assert mercy
    assert int(mercy[1]) > GRACE_SECONDS
