"""Calculations from the post to what came of them: the real server, a real worker, the sandbox, over HTTP."""

from __future__ import annotations

import base64
import hashlib
import threading
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.processes import Process, wait_for, write_settings
from tests.support.redis_server import RedisServer
from tests.support.site import Site

pytestmark = pytest.mark.xdist_group("calculations")

KEY = "key of the laboratory"
HEADERS = {"X-API-Key": KEY}
#: A program like those that this protocol was made for: what it does stands in its input.
PROGRAM = """#!/bin/sh
cat input.xml
echo 'a complaint' >&2
echo run >> "$COUNT"
case $(cat input.xml) in
    *fail*) exit 3 ;;
    *wait*) echo '<half/>' > half.xml; echo waits; exec sleep 600 ;;
    *limit*) ulimit -t; exit 0 ;;
esac
mkdir sub
echo '<info><energy>-241.9</energy></info>' > info.xml
printf '<a>Gr\\303\\266\\303\\237e &amp; &#60;</a>\\r\\n' > sub/eigval.XML
printf '<bad>\\377</bad>' > latin.xml
head -c 300000 /dev/zero > STATE.OUT
echo '<kanji/>' > "sub/$(printf '\\346\\227\\245.XML')"
ln -s /etc/passwd link.xml
mkfifo pipe.xml
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("calculations")


@pytest.fixture(scope="module")
def site(folder: Path, redis_server: RedisServer) -> Iterator[Site]:
    """A server and a worker over a Redis database of their own."""
    program = folder / "calculate.sh"
    program.write_text(PROGRAM.replace('"$COUNT"', "runs.txt"))
    program.chmod(0o755)
    keys = ("another key", "Schl\u00fcssel", KEY)
    more = {"calculation_command": (str(program), "$RUNDIR"), "calculation_api_keys": keys}
    url = redis_server.url.replace("/0", "/6")
    with Site(folder, url, sockets=False, processes=2, task_retries=0, calculation_input_bytes=100_000, **more) as made:
        file = write_settings(folder / "worker.py", made.settings)
        workers = [Process(["worker.py"], folder / f"worker-{n}.log", {"KNOSSOS_SETTINGS": str(file)}) for n in (1, 2)]
        try:
            yield made
        finally:
            for worker in workers:
                worker.stop()


class Service:
    """A client like the old ones."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, method: str, path: str, **more: object) -> requests.Response:
        return requests.request(method, f"{self.url}/{path}", timeout=30, **{"headers": HEADERS, **more})  # type: ignore[arg-type]

    def get(self, path: str) -> requests.Response:
        answer = self.ask("GET", path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer

    def post(self, data: bytes) -> str:
        sha1 = sha1_of(data)
        answer = self.ask("POST", f"{sha1}/", data=data)
        assert (answer.status_code, answer.text) == (200, "POST OK")
        return sha1

    def state(self, sha1: str) -> str:
        root = ET.fromstring(self.get(f"{sha1}/status").content)
        assert (root.tag, root.get("sha1"), bool(root.get("job"))) == ("status", sha1, True)
        return str(root.get("state"))

    def ended(self, sha1: str) -> str:
        def look() -> str | None:
            state = self.state(sha1)
            return state if state not in ("queued", "running") else None

        return wait_for(look, f"the end of {sha1}")

    def files(self, path: str) -> dict[str, bytes]:
        root = ET.fromstring(self.get(path).content)
        assert root.tag == "files"
        found = {}
        for file in root:
            text = file.text or ""
            data = text.encode() if file.get("encoding") == "utf-8" else base64.b64decode(text)
            found[str(file.get("name"))] = data
        return found


@pytest.fixture
def service(site: Site) -> Service:
    return Service(site.url)


def sha1_of(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


def an_input(what: str = "fast") -> bytes:
    return f'<?xml version="1.0"?>\n<input what="{what}" id="{uuid.uuid4()}"/>'.encode()


def test_a_calculation_goes_from_its_input_to_its_results(service: Service) -> None:
    data = an_input()
    sha1 = service.post(data)
    assert service.ended(sha1) == "finished"
    info = service.get(f"{sha1}/")
    assert info.content == b"<info><energy>-241.9</energy></info>\n"
    assert info.headers["Content-Type"] == "application/xml"
    assert service.files(f"{sha1}/stdout") == {"stdout": data, "stderr": b"a complaint\n"}
    written = service.files(f"{sha1}/import")
    assert written == {
        "info.xml": info.content,
        "sub/eigval.XML": "<a>Größe &amp; &#60;</a>\r\n".encode(),
        "latin.xml": b"<bad>\xff</bad>",
        "sub/\u65e5.XML": b"<kanji/>\n",
    }
    kanji = service.get(f"{sha1}/files/sub/%E6%97%A5.XML")
    assert kanji.content == b"<kanji/>\n"
    assert kanji.headers["Content-Disposition"] == "attachment; filename*=UTF-8''%E6%97%A5.XML"
    assert service.get(f"{sha1.upper()}/files/sub/eigval.XML").content == written["sub/eigval.XML"]
    assert service.get(f"{sha1}/files/input.xml").content == data
    assert service.get(f"{sha1}/files/stderr").content == b"a complaint\n"
    part = service.ask("GET", f"{sha1}/files/STATE.OUT", headers={**HEADERS, "Range": "bytes=299990-"})
    assert (part.status_code, part.content) == (206, bytes(10))
    assert part.headers["X-Content-Type-Options"] == "nosniff"
    assert part.headers["Content-Disposition"] == "attachment; filename=STATE.OUT"
    assert "Access-Control-Allow-Origin" not in part.headers
    for name in ("link.xml", "pipe.xml", "..%2f..%2fetc/passwd", "nothing", "sub"):
        assert service.ask("GET", f"{sha1}/files/{name}").status_code == 404


def test_the_page_of_a_calculation_is_named_and_shows_its_output(service: Service, site: Site) -> None:
    sha1 = service.post(an_input())
    service.ended(sha1)
    link = service.get(f"{sha1}/status").headers["Link"]
    page = requests.get(site.url + link.partition(">")[0].lstrip("<"), timeout=30)
    assert page.status_code == 200
    assert "a complaint" in page.text
    assert f"Calculation {sha1[:12]}" in page.text


def test_the_same_input_is_started_once_by_however_many_at_the_same_moment(service: Service) -> None:
    data = an_input()
    sha1 = sha1_of(data)
    answers: list[str] = []
    together = threading.Barrier(8)

    def post() -> None:
        together.wait()
        answers.append(service.ask("POST", f"{sha1}/", data=data).text)

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["POST OK"] * 8
    assert service.ended(sha1) == "finished"
    job = ET.fromstring(service.get(f"{sha1}/status").content).get("job")
    service.post(data)
    again = ET.fromstring(service.get(f"{sha1}/status").content)
    assert (again.get("state"), again.get("job")) == ("finished", job)


def test_the_same_input_was_run_once(service: Service, site: Site) -> None:
    data = an_input()
    before = len(site.engine.list_jobs(kind="calculation", limit=1000))
    for _ in range(3):
        service.post(data)
    assert len(site.engine.list_jobs(kind="calculation", limit=1000)) == before + 1


def test_one_that_failed_says_why_and_may_be_posted_again(service: Service) -> None:
    data = an_input("fail")
    sha1 = service.post(data)
    assert service.ended(sha1) == "failed"
    status = ET.fromstring(service.get(f"{sha1}/status").content)
    assert status.text == "It ended with exit code 3."
    missing = service.ask("GET", f"{sha1}/")
    assert (missing.status_code, missing.text) == (
        404,
        "There is no info.xml: the calculation has written no such file.",
    )
    assert service.files(f"{sha1}/stdout")["stdout"] == data
    service.post(data)
    wait_for(lambda: service.state(sha1) == "failed", "its second end")
    again = ET.fromstring(service.get(f"{sha1}/status").content)
    assert again.get("job") != status.get("job")


def test_one_that_runs_shows_its_output_and_is_ended_by_deleting_it(service: Service, site: Site) -> None:
    data = an_input("wait")
    sha1 = service.post(data)
    wait_for(lambda: b"waits" in service.files(f"{sha1}/stdout")["stdout"], "its output")
    assert service.state(sha1) == "running"
    service.post(data)
    assert service.files(f"{sha1}/import") == {}
    assert "has not ended" in service.ask("GET", f"{sha1}/").text
    assert service.ask("HEAD", f"{sha1}/delete").status_code == 405
    ticket = int(ET.fromstring(service.get(f"{sha1}/status").content).get("job", ""))
    gone = service.get(f"{sha1}/delete")
    assert gone.text == "0\n"
    for path in ("", "status", "stdout", "import", "delete", "files/input.xml"):
        assert service.ask("GET", f"{sha1}/{path}").status_code == 404
    # Where it ended so soon that the server could forget it, it is no more.
    wait_for(lambda: all(task.state.finished for task in site.engine.records([ticket])), "the end of its task")
    wait_for(lambda: not list(site.settings.work_folder.glob(f"{ticket}-*")), "its folder to go")


def test_deleting_one_that_ended_leaves_nothing_of_it(service: Service, folder: Path) -> None:
    data = an_input()
    sha1 = service.post(data)
    service.ended(sha1)
    needle = data.split(b'id="')[1][:36]
    assert any(needle in path.read_bytes() for path in (folder / "data" / "storage").rglob("*") if path.is_file())
    assert service.ask("DELETE", f"{sha1}/").text == "0\n"
    assert not any(needle in path.read_bytes() for path in (folder / "data" / "storage").rglob("*") if path.is_file())
    assert service.ask("DELETE", f"{sha1}/").status_code == 404
    service.post(data)
    assert service.ended(sha1) == "finished"


@pytest.mark.parametrize(
    ("data", "sha1", "status", "says"),
    [
        (b"<a/>", "0" * 40, 400, sha1_of(b"<a/>")),
        (b"<a>", None, 400, "no XML"),
        (b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>", None, 400, "ENTITY"),
        (b"<!DOCTYPE a [<!ENTITY b 'bb'><!ENTITY c '&b;&b;'>]><a>&c;</a>", None, 400, "ENTITY"),
        (b"<!DOCTYPE a SYSTEM 'http://127.0.0.1/a.dtd'><a/>", None, 400, "SYSTEM"),
        (b"<a>" + b" " * 100_000 + b"</a>", None, 413, "CALCULATION_INPUT_BYTES"),
    ],
)
def test_what_is_no_input_is_refused_and_nothing_is_stored(
    service: Service, data: bytes, sha1: str | None, status: int, says: str
) -> None:
    sha1 = sha1 or sha1_of(data)
    answer = service.ask("POST", f"{sha1}/", data=data)
    assert answer.status_code == status
    assert says in answer.text
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert service.ask("GET", f"{sha1}/status").status_code == 404


def test_unknown_hashes_are_not_found_and_other_words_are_no_hashes(service: Service) -> None:
    for path in ("status", "stdout", "import", "delete", "", "files/info.xml"):
        answer = service.ask("GET", f"{'0' * 40}/{path}")
        assert answer.status_code == 404
        assert "no calculation with this SHA-1" in answer.text
    assert service.ask("GET", f"{'0' * 39}/status").status_code == 404
    assert service.ask("GET", f"{'g' * 40}/status").status_code == 404


def test_a_key_is_needed_in_any_of_the_usual_places(service: Service) -> None:
    data = an_input()
    sha1 = sha1_of(data)
    wrong: list[dict[str, str]] = [{}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer"}, {"X-API-Key": KEY[:-1]}]
    for headers in wrong:
        for method, path in (("POST", f"{sha1}/"), ("GET", f"{sha1}/status"), ("GET", f"{sha1}/delete")):
            answer = service.ask(method, path, data=data if method == "POST" else None, headers=headers)
            assert answer.status_code == 403, (method, path, headers)
            assert KEY not in answer.text
    assert service.ask("POST", f"{sha1}/", data=data, headers={"Authorization": f"Bearer {KEY}"}).text == "POST OK"
    assert service.ask("GET", f"{sha1}/status", headers={}, params={"key": "another key"}).status_code == 200
    # curl sends a header in UTF-8.
    for headers in ({"X-API-Key": "Schl\u00fcssel".encode()}, {"Authorization": "Bearer Schl\u00fcssel".encode()}):
        assert service.ask("GET", f"{sha1}/status", headers=headers).status_code == 200  # type: ignore[arg-type]
    gone = service.ask("DELETE", f"{sha1}/", headers=HEADERS)
    assert gone.status_code == 200, gone.text


def test_an_input_whose_length_is_not_said_is_refused_with_the_reason(service: Service) -> None:
    data = an_input()
    answer = service.ask("POST", f"{sha1_of(data)}/", data=iter([data]))  # type: ignore[arg-type]
    assert (answer.status_code, "Content-Length" in answer.text) == (411, True)
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_a_form_is_taken_as_the_bytes_that_it_is(service: Service) -> None:
    """curl --data-binary says that the body is a form."""
    data = an_input()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = service.ask("POST", f"{sha1_of(data)}", data=data, headers={**HEADERS, **kind})
    assert answer.text == "POST OK"
