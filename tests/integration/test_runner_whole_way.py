"""Runners from the request to the results: the real server, a real worker, the sandbox, and a client like the old ones.

The client does what the code of PyPI's script-runner-api answers: POST /script/<path>?season=... with a JSON body, then
GET /script/<id> until it is ready, with the configuration of script-runner.md.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from knossos.settings import ROOT
from tests.support.processes import wait_for, worker_process, write_settings
from tests.support.redis_server import RedisServer
from tests.support.site import Site

pytestmark = pytest.mark.xdist_group("runners all the way")

#: The file of script-runner.md, but for the paths.
CONFIG: dict[str, Any] = {
    "command": ["/scripts/run.sh", "fixed", "$BASESPACE_ID", "$SEASON", "$CITY", "$RUNDIR"],
    "inputs": {
        "path_args": [{"env_var_name": "BASESPACE_ID", "path_regex": "([^/]+)", "path_regex_match_group": 1}],
        "query_args": [{"env_var_name": "SEASON", "query_var_name": "season"}],
        "body_args": [{"env_var_name": "CITY", "body_jsonpath": "$.address.city"}],
    },
    "outputs": {
        "results": {
            "kind": "file",
            "format": "csv",
            "input_path": "LIMS_results.csv",
            "remapped_columns": [
                {"output_name": "plateIndex", "input_name": "Plate_384_Number", "skip_list": ["NA"]},
                {"output_name": "given", "input_name": "Given"},
            ],
        },
        "attachments": ["*.pdf", "LIMS_results.csv"],
    },
}
SCRIPT = """#!/bin/sh
set -e
test "$(pwd)" = "$5"
test -d out
printf 'Plate_384_Number,Given,Other\\n1,"%s|%s|%s|%s",x\\nNA,,\\n' "$1" "$2" "$3" "$4" > LIMS_results.csv
cat template.txt > report.pdf
"""
CITY = "Oslo $HOME `id` $(id); rm -rf /"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runners")


@pytest.fixture(scope="module")
def site(folder: Path, redis_server: RedisServer) -> Iterator[Site]:
    """A server and a worker over a Redis database of their own."""
    (folder / "runners").mkdir()
    more = {"auth_provider": "none", "runners_dir": folder / "runners", "script_inline_bytes": 10_000}
    with Site(folder, redis_server.url.replace("/0", "/5"), sockets=False, script_owner_concurrency=50, **more) as made:
        file = write_settings(folder / "worker.py", made.settings)
        worker = worker_process(folder / "worker.log", file)
        try:
            yield made
        finally:
            worker.stop()


@pytest.fixture(scope="module", autouse=True)
def configured(site: Site, folder: Path) -> None:
    """The runner of the page as the default one."""
    script, base = folder / "run.sh", folder / "base"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    base.mkdir()
    (base / "template.txt").write_text("a report")
    (folder / "rundirs").mkdir()
    command = [str(script), *CONFIG["command"][1:]]
    rundirs = {"command_rundir": str(folder / "rundirs"), "command_rundir_base": str(base)}
    write(folder, "config", **{**CONFIG, "command": command, **rundirs})


def write(folder: Path, name: str, **fields: Any) -> None:
    (folder / "runners" / f"{name}.json").write_text(json.dumps(fields))


def shell(folder: Path, name: str, text: str, **fields: Any) -> None:
    """A runner whose program is a line of shell."""
    write(folder, name, command=["/bin/sh", "-c", text, name, "$RUNDIR"], **fields)


def ended(site: Site, run_id: str) -> dict[str, Any]:
    """Poll as a client does."""

    def look() -> dict[str, Any] | None:
        answer = requests.get(f"{site.url}/script/{run_id}", timeout=30)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        assert found["id"] == run_id
        return None if found["status"] == "not-ready" else found

    return wait_for(look, f"run {run_id}")


def called(site: Site, path: str, body: Any = None) -> dict[str, Any]:
    answer = requests.post(f"{site.url}{path}", json=body, timeout=30)
    assert (answer.status_code, answer.json().get("status")) == (200, "not-ready"), answer.text
    return ended(site, answer.json()["id"])


def results(kind: str, format: str, path: str = "") -> dict[str, Any]:
    return {"results": {"kind": kind, "format": format, **({"input_path": path} if path else {})}}


def test_the_configuration_of_the_protocols_page_works_for_clients_of_the_old_server(site: Site, folder: Path) -> None:
    answer = called(site, "/script/P7/x?season=summer", {"address": {"city": CITY}})
    assert set(answer) == {"id", "status", "attachments", "results"}, answer
    assert answer["status"] == "ready"
    assert answer["results"] == [{"plateIndex": "1", "given": f"fixed|P7|summer|{CITY}"}]
    assert set(answer["attachments"]) == {"report.pdf", "LIMS_results.csv"}
    assert base64.b64decode(answer["attachments"]["report.pdf"]) == b"a report"
    assert list((folder / "rundirs").iterdir()) == []


def test_the_example_of_conf_works(site: Site, folder: Path) -> None:
    shutil.copy(ROOT / "conf" / "runners" / "config.json", folder / "runners" / "example.json")
    answer = called(site, "/task/example/P7?season=summer", {"address": {"city": "Oslo"}})
    assert answer["status"] == "ready", answer
    assert answer["results"] == [{"plateIndex": "P7", "city": "Oslo", "season": "summer"}]
    assert base64.b64decode(answer["attachments"]["note.txt"]).startswith(b"made in /")


def test_results_come_from_streams_too_and_are_told_apart(site: Site, folder: Path) -> None:
    shell(folder, "stdout", "echo '[1, 2.5]'; echo noise >&2", outputs=results("stdout", "json"))
    shell(folder, "stderr", "echo noise; printf 'a\\n1\\n' >&2", outputs=results("stderr", "csv"))
    shell(folder, "nothing", "true")
    assert called(site, "/task/stdout")["results"] == [1, 2.5]
    assert called(site, "/task/stderr")["results"] == [{"a": "1"}]
    nothing = called(site, "/task/nothing")
    assert (nothing["attachments"], nothing["results"]) == ({}, [])


def test_a_failed_run_tells_exit_code_and_standard_error_and_no_stack(site: Site, folder: Path) -> None:
    shell(folder, "fails", "echo before; echo 'no such plate' >&2; exit 7")
    answer = called(site, "/task/fails")
    assert (answer["status"], set(answer)) == ("failed", {"id", "status", "error"})
    assert "exit code 7" in answer["error"]
    assert answer["error"].endswith("no such plate")
    assert "Traceback" not in answer["error"]


def test_results_that_are_missing_or_a_trap_are_an_error_with_words(site: Site, folder: Path) -> None:
    secret = folder / "secret.json"
    secret.write_text('"secret"')
    link = results("file", "json", "a.json")
    cases = {
        "missing": ("true", link, "has not made this file"),
        "symlink": (f"ln -s {secret} a.json", link, "no link"),
        "linkedfolder": (f"ln -s {folder} sub", results("file", "json", "sub/secret.json"), "no link"),
        "directory": ("mkdir a.json", link, "no link"),
        "fifo": ("mkfifo a.json", link, "no link"),
        "nan": ("echo '[NaN]' > a.json", link, "expected JSON"),
        "latin": ("printf '\\351' > a.json", link, "expected UTF-8"),
        "column": (
            "printf 'a\\n1\\n' > a.csv",
            {"results": {"kind": "file", "format": "csv", "input_path": "a.csv",
                         "remapped_columns": [{"output_name": "x", "input_name": "b"}]}},
            "there is no column 'b'",
        ),
        "cut": ("yes 1,2 | head -c 100000", results("stdout", "csv"), "more output than"),
    }  # fmt: skip
    ids = {}
    for name, (text, outputs, _) in cases.items():
        shell(folder, name, text, outputs=outputs, limits={"output_bytes": 4096})
        ids[name] = requests.post(f"{site.url}/task/{name}", timeout=30).json()["id"]
    for name, (_, _, says) in cases.items():
        answer = ended(site, ids[name])
        assert answer["status"] == "failed", (name, answer)
        assert says in answer["error"], (name, answer)
        assert "secret" not in answer["error"].replace("secret.json", "")


def test_links_are_no_attachments(site: Site, folder: Path) -> None:
    (folder / "outside.pdf").write_text("secret")
    text = f"ln -s {folder}/outside.pdf a.pdf; echo b > b.pdf; mkdir c.pdf"
    shell(folder, "links", text, outputs={"attachments": ["*.pdf"]})
    assert called(site, "/task/links")["attachments"] == {"b.pdf": base64.b64encode(b"b\n").decode()}


def test_what_is_large_comes_as_a_link(site: Site, folder: Path) -> None:
    text = "head -c 100000 /dev/zero > big.bin; echo small > small.bin"
    shell(folder, "large", text, outputs={"attachments": ["*.bin"]})
    answer = called(site, "/task/large")
    assert set(answer["attachments"]) == {"small.bin"}
    got = requests.get(answer["links"]["big.bin"], headers={"Range": "bytes=99990-"}, timeout=30)
    assert (got.status_code, got.content) == (206, bytes(10))


def test_a_program_never_sees_more_arguments_than_its_runner_gives_it(site: Site, folder: Path) -> None:
    inputs = {"query_args": [{"env_var_name": "V", "query_var_name": "v", "repeat_query": True}]}
    command = ["/bin/sh", "-c", "printf '[%d]' $#", "x", "a", "$V", "$RUNDIR"]
    write(folder, "count", command=command, inputs=inputs, outputs=results("stdout", "json"))
    assert called(site, "/task/count?v=a%20b&v=&v=*%0A")["results"] == [5]
