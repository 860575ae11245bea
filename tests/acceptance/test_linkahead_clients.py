"""The LinkAhead clients as they come: `linkahead` calls scripts, and scripts use it and `caosadvancedtools`."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import linkahead
import pytest
import requests
from linkahead.connection.connection import get_connection
from linkahead.exceptions import HTTPForbiddenError, HTTPResourceNotFoundError, LoginFailedError
from linkahead.utils.server_side_scripting import ScriptingResponse, run_server_side_script

from knossos.accounts import Accounts
from knossos.database import Database
from knossos.jobs import Engine, JobState
from tests.support.processes import Process, wait_for, write_settings
from tests.support.redis_server import RedisServer
from tests.support.site import PASSWORD, Site

pytestmark = [
    pytest.mark.xdist_group("linkahead"),
    # The client does not close the files that it sends.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]

ECHO = """
    import json, os, sys
    arguments = [one for one in sys.argv[1:] if not one.startswith("--auth-token=")]
    files = {name: open(os.path.join(".upload_files", name)).read() for name in sorted(os.listdir(".upload_files"))} \\
        if os.path.isdir(".upload_files") else {}
    print(json.dumps({"arguments": arguments, "files": files, "first": sys.argv[1].split("=")[0],
                      "home": os.environ["HOME"] == os.getcwd()}))
    sys.stderr.write("careful\\x07\\n")
    sys.exit(len(arguments))
"""

#: What caosadvancedtools is there for: arguments, form.json, a file for everyone concerned, a log as HTML.
FORM = """
    import logging
    from caosadvancedtools.serverside import helper
    from caosadvancedtools.serverside.logging import configure_server_side_logging
    arguments = helper.parse_arguments()
    configure_server_side_logging()
    data = helper.get_data(arguments.filename, default={"unit": "m"})
    shown, path = helper.get_shared_filename("result.txt")
    with open(path, "w") as file:
        file.write(data["name"] + " in " + data["unit"])
    logging.getLogger("caosadvancedtools").info("All <b>is</b> well")
    helper.print_success('<a href="/Shared/' + shown + '">the result</a>')
"""

#: Calls back as whoever its token stands for.
WHO = """
    import argparse
    import linkahead
    parser = argparse.ArgumentParser()
    parser.add_argument("--auth-token")
    linkahead.configure_connection(auth_token=parser.parse_args().auth_token)
    info = linkahead.Info()
    print(info.user_info.name, ",".join(info.user_info.roles))
"""

#: Has another script run, with what its token lets it do.
CALLS = """
    import argparse
    import linkahead
    from linkahead.utils.server_side_scripting import run_server_side_script
    parser = argparse.ArgumentParser()
    parser.add_argument("--auth-token")
    parser.add_argument("script")
    arguments = parser.parse_args()
    linkahead.configure_connection(auth_token=arguments.auth_token)
    print(run_server_side_script(arguments.script).stdout)
"""

#: Says that it has begun, and goes on for a while.
SLOW = """
    import sys, time
    print("begun", flush=True)
    time.sleep(float(sys.argv[-1]))
"""

#: Gives its token away, if not as it is.
LEAK = """
    import sys
    print(sys.argv[1].partition("=")[2][::-1])
"""

SCRIPTS = {
    "echo.py": ECHO,
    "tables/form.py": FORM,
    "who.py": WHO,
    "who_as_curator.py": WHO,
    "calls.py": CALLS,
    "calls_as_curator.py": CALLS,
    "curators/only.py": WHO,
    "slow.py": SLOW,
    "leak.py": LEAK,
}

AUTHTOKENS = """
- purpose: SCRIPTING:EXECUTE:who_as_curator.py
  roles: [curators]
- purpose: SCRIPTING:EXECUTE:calls_as_curator.py
  roles: [curators]
  max_replays: 1
"""


@dataclass
class Running:
    """The HTTP server and two workers, and the folder that has their logs."""

    site: Site
    folder: Path

    @property
    def log(self) -> str:
        return "".join(file.read_text() for file in self.folder.glob("*.log"))

    def connect(self, password: str = PASSWORD) -> None:
        linkahead.configure_connection(
            url=self.site.url, username="dora", password=password, password_method="plain", timeout=60
        )

    def session(self) -> requests.Session:
        """Another client that is logged in as dora."""
        made = requests.Session()
        login = {"username": "dora", "password": PASSWORD}
        assert made.post(f"{self.site.url}/login", data=login, timeout=30).status_code == 200
        return made


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("site")
    for name, text in SCRIPTS.items():
        file = folder / "bin" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!{sys.executable}\n{textwrap.dedent(text)}")
        file.chmod(0o755)
    (folder / "tokens.yml").write_text(AUTHTOKENS)
    more = {
        "server_side_scripting_bin_dirs": (str(folder / "bin"),),
        # The tests' own Python, with all that is installed there.
        "script_read_paths": (sys.prefix, sys.base_prefix),
        "script_queue": "linkahead",
        "script_owner_concurrency": 4,
        "script_token_grace_seconds": 0.001,
        "authtoken_config": str(folder / "tokens.yml"),
        "role_permissions": {
            "readers": tuple(
                f"SCRIPTING:EXECUTE:{name}"
                for name in ("echo.py", "who*.py", "calls*", "slow.py", "leak.py", "tables/*")
            ),
            "curators": ("SCRIPTING:EXECUTE:curators/*",),
        },
        "log_level": "DEBUG",
    }
    with Site(folder, redis_server.url, sockets=False, **more) as site:
        database = Database(site.settings)
        Accounts(database).set_roles("dora", ["readers"], more_roles=["readers"])
        database.close()
        file = write_settings(folder / "worker.py", site.settings)
        command = ["-m", "tests.support.run_script_worker", "linkahead"]
        with ExitStack() as workers:
            # Two of them: a script that has another one run waits for it.
            for number in range(2):
                worker = Process(command, folder / f"worker-{number}.log", {"KNOSSOS_SETTINGS": str(file)})
                workers.callback(worker.stop)
            yield Running(site, folder)


@pytest.fixture
def connected(running: Running) -> Running:
    """The client is logged in as dora."""
    running.connect()
    return running


def test_the_client_logs_in_and_learns_who_it_is(connected: Running) -> None:
    info = linkahead.Info()
    assert (info.user_info.name, info.user_info.realm, info.user_info.roles) == ("dora", "Knossos", ["readers"])
    get_connection()._logout()
    assert linkahead.Info().user_info.name == "dora", "it logs in again by itself"


def test_a_wrong_password_is_a_failed_login(running: Running) -> None:
    running.connect(password="wrong")
    with pytest.raises(LoginFailedError):
        linkahead.Info()


def test_arguments_and_files_reach_the_script(connected: Running, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "b.txt").write_text("second\r\n--x\r\n" * 1000)
    files = {"-Ofile": str(tmp_path / "a.txt"), "-p1": str(tmp_path / "b.txt")}
    answer: ScriptingResponse = run_server_side_script("echo.py", "pos 0", files=files, option1="val1")
    assert answer.call == "echo.py --option1=val1 --file=.upload_files/a.txt pos 0 .upload_files/b.txt"
    assert json.loads(answer.stdout) == {
        "arguments": ["--option1=val1", "--file=.upload_files/a.txt", "pos 0", ".upload_files/b.txt"],
        "files": {"a.txt": "first", "b.txt": "second\n--x\n" * 1000},
        "first": "--auth-token",
        "home": True,
    }
    assert (answer.code, answer.stderr) == (4, "careful\N{REPLACEMENT CHARACTER}\n")


def test_a_call_without_files_does_as_well(connected: Running) -> None:
    value = "m\N{LATIN SMALL LETTER U WITH DIAERESIS} & <b> \N{SNOWMAN}"
    answer = run_server_side_script("echo.py", "--help", "-rf", text=value)
    assert json.loads(answer.stdout)["arguments"] == [f"--text={value}", "--help", "-rf"]
    assert answer.call == f"echo.py --text={value} --help -rf"


def test_the_client_is_told_what_it_may_not_and_what_is_not_there(connected: Running) -> None:
    with pytest.raises(HTTPForbiddenError):
        run_server_side_script("curators/only.py")
    with pytest.raises(HTTPResourceNotFoundError):
        run_server_side_script("tables/nothing.py")


def test_a_script_reads_its_form_shares_a_file_and_logs(connected: Running, tmp_path: Path) -> None:
    (tmp_path / "form.json").write_text('{"name": "depth"}')
    answer = run_server_side_script("tables/form.py", files={"-p0": str(tmp_path / "form.json")})
    assert answer.code == 0, answer.stderr
    assert "All <b>is</b> well" in answer.stdout
    link = re.search(r'href="(/Shared/\w+/result\.txt)"', answer.stdout)
    assert link
    assert get_connection()._http_request(method="GET", path=link[1].lstrip("/")).read() == b"depth in m"
    log = re.sub(r"result\.txt", "log.txt", link[1])
    assert b"well" in get_connection()._http_request(method="GET", path=log.lstrip("/")).read()
    assert requests.get(connected.site.url + link[1], timeout=30).status_code == 401


def test_a_script_that_calls_back_is_its_caller(connected: Running) -> None:
    answer = run_server_side_script("who.py")
    assert (answer.stdout, answer.code) == ("dora readers\n", 0), answer.stderr


def test_a_script_with_an_entry_has_its_roles_and_they_do_what_its_caller_may_not(connected: Running) -> None:
    assert run_server_side_script("who_as_curator.py").stdout == "dora curators\n"
    answer = run_server_side_script("calls_as_curator.py", "curators/only.py")
    assert answer.stdout == "dora curators\n\n", answer.stderr
    mine = run_server_side_script("calls.py", "curators/only.py")
    assert mine.code == 1
    assert "HTTPForbiddenError" in mine.stderr


def test_the_token_of_a_script_is_void_when_its_run_is_over(connected: Running) -> None:
    token = run_server_side_script("leak.py").stdout.strip()[::-1]
    assert token.startswith("knossos-run-")
    linkahead.configure_connection(url=connected.site.url, auth_token=token)
    with pytest.raises(LoginFailedError, match="expired"):
        linkahead.Info()


def test_tokens_of_scripts_are_in_no_log_and_no_answer(connected: Running) -> None:
    engine: Engine = connected.site.engine
    answer = run_server_side_script("echo.py")
    assert "knossos-run-" not in answer.call + answer.stdout + answer.stderr
    assert "knossos-run-" not in connected.log
    for record in engine.list_jobs():
        told = json.dumps([vars(event) for event in engine.events(record.ticket)])
        assert "knossos-run-" not in told + str(record) + json.dumps(engine.payload(record.ticket))


def test_who_does_not_wait_looks_at_the_task_instead(connected: Running) -> None:
    prefer = {"Prefer": "respond-async"}
    with connected.session() as session:
        answer = session.post(f"{connected.site.url}/scripting", data={"call": "echo.py"}, headers=prefer, timeout=30)
    assert answer.status_code == 202
    status = re.search(r'status="([^"]+)"', answer.text)
    assert status
    address = connected.site.url + status[1].replace("&amp;", "&")
    wait_for(lambda: requests.get(address, timeout=30).json()["state"] == "succeeded", "the end of the run")


def test_a_client_that_leaves_does_not_end_its_run(connected: Running) -> None:
    with pytest.raises(requests.ReadTimeout), connected.session() as session:
        session.post(f"{connected.site.url}/scripting", data={"call": "slow.py", "-p0": "1"}, timeout=(30, 0.5))
    engine = connected.site.engine
    ticket = wait_for(lambda: [one for one in engine.list_jobs() if one.title == "slow.py"], "its task")[0].ticket
    wait_for(lambda: engine.find(ticket).state is JobState.SUCCEEDED, "the end of its run")


def test_a_large_file_is_not_held_in_memory(connected: Running, tmp_path: Path) -> None:
    """It comes before the field that says who shall have it, so that all of it has to be taken."""
    size = 96 * 1024 * 1024
    head = b'--cut\r\nContent-Disposition: form-data; name="-p0"; filename="big"\r\n\r\n'
    tail = b'\r\n--cut\r\nContent-Disposition: form-data; name="call"\r\n\r\nnothing.py\r\n--cut--\r\n'
    with open(tmp_path / "body", "wb") as file:
        file.write(head)
        file.truncate(len(head) + size)
        file.seek(0, 2)
        file.write(tail)
    headers = {"Content-Type": "multipart/form-data; boundary=cut"}
    with connected.session() as session, open(tmp_path / "body", "rb") as file:
        before = _peak(connected)
        answer = session.post(f"{connected.site.url}/scripting", data=file, headers=headers, timeout=60)
    assert answer.status_code == 404, answer.text
    assert _peak(connected) - before < size // 4
    assert not list((connected.site.settings.data_path / "storage" / "incoming").iterdir())


def _peak(running: Running) -> int:
    """Most bytes of memory that the processes of the HTTP server have had."""
    assert running.site.web_process is not None
    master = running.site.web_process.popen.pid
    pids = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    status = [Path(f"/proc/{pid}/status").read_text() for pid in pids]
    return sum(1024 * int(found[1]) for text in status if (found := re.search(r"VmHWM:\s+(\d+)", text)))


def test_nothing_of_what_came_in_stays(connected: Running, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    run_server_side_script("echo.py", files={"-p0": str(tmp_path / "a.txt")})
    storage = connected.site.settings.data_path / "storage"
    assert not list(storage.glob("runs/*/in/*"))
    assert not list((storage / "incoming").iterdir())
    work = connected.site.settings.work_folder
    wait_for(lambda: not [path for path in work.iterdir() if path.is_dir()], "empty work folders")
