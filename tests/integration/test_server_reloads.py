"""The HTTP server is upgraded while requests go on: it loads itself anew and loses none, nor what it has counted."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.support.processes import wait_for
from tests.support.site import Site


def children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


@pytest.mark.slow
def test_a_server_that_is_reloaded_while_requests_go_on_loses_none(tmp_path: Path, redis_url: str) -> None:
    with Site(tmp_path, redis_url, sockets=False, processes=2) as site:
        assert site.web_process is not None
        master = site.web_process.popen.pid
        before = children(master)
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
