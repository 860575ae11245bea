"""``python -m knossos.packaging`` as scripts and people use it: a real process, files, exit codes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from knossos.settings import ROOT
from tests.support.archives import zip_of
from tests.support.conversions import file, mod, sums
from tests.support.file_server import FileServer, Silent
from tests.support.processes import wait_for


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a settings file of its own and a place for temporary files."""
    (tmp_path / "settings.py").write_text('ALLOWED_PRIVATE_NETWORKS = ("127.0.0.0/8",)\nDOWNLOAD_TRIES = 1\n')
    (tmp_path / "temporary").mkdir()
    return tmp_path


def environment(home: Path) -> dict[str, str]:
    return {
        **os.environ,
        "KNOSSOS_SETTINGS": str(home / "settings.py"),
        "KNOSSOS_DATA": str(home / "untouched"),
        "TMPDIR": str(home / "temporary"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "knossos.packaging", *map(str, arguments)]


def run(home: Path, *arguments: object, **more: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command(*arguments),
        cwd=home,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **more,
    )
    assert list((home / "temporary").iterdir()) == []
    assert not (home / "untouched").exists()
    assert "Traceback" not in done.stderr
    return done


def describe(home: Path, description: Any, name: str = "mod.json") -> Path:
    (home / name).write_text(json.dumps(description))
    return home / name


def test_a_description_becomes_a_repository(home: Path, server: FileServer) -> None:
    data = zip_of({"a": b"one"})
    describe(home, mod([file(server.file("/a.zip", data))]))
    done = run(home, "mod.json", "out.json")
    assert (done.returncode, done.stdout) == (0, "")
    assert "out.json is written" in done.stderr
    (package,) = json.loads((home / "out.json").read_text())["mods"][0]["packages"]
    assert package["files"][0] | sums(data) == package["files"][0]
    assert package["files"][0]["urls"] == [server.url("/a.zip")]
    assert package["filelist"][0]["filename"] == "a"


def test_standard_input_and_output_can_be_used(home: Path, server: FileServer) -> None:
    description = json.dumps(mod([file(server.file("/a.zip", zip_of({"a": b"one"})))]))
    done = run(home, "-", "-", "--quiet", input=description)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["mods"][0]["id"] == "mymod"


def test_includes_are_read_below_the_folder_of_the_description(home: Path, server: FileServer) -> None:
    (home / "mods").mkdir()
    describe(home, {**mod(), "id": "two"}, "mods/two.json")
    describe(home, {"mods": [mod()], "includes": ["two.json"]}, "mods/all.json")
    assert run(home, "mods/all.json", "out.json").returncode == 0
    assert [one["id"] for one in json.loads((home / "out.json").read_text())["mods"]] == ["mymod", "two"]
    describe(home, {**mod(), "id": "outside"}, "outside.json")
    describe(home, {"mods": [mod()], "includes": ["../outside.json"]}, "mods/all.json")
    done = run(home, "mods/all.json", "out.json")
    assert done.returncode == 2
    assert "includes.0" in done.stderr


def test_a_wrong_description_is_two_and_names_every_problem(home: Path) -> None:
    describe(home, mod(id="..", version="x"))
    done = run(home, "mod.json", "out.json")
    assert done.returncode == 2
    assert [line.split(": ")[:3] for line in done.stderr.splitlines()] == [
        ["error", "mod.json", "id"],
        ["error", "mod.json", "version"],
    ]
    assert not (home / "out.json").exists()
    describe(home, mod())
    assert run(home, "mod.json", "--check").returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [["missing.json", "out.json"], ["mod.json", "no/such/folder/out.json"], ["mod.json", "."], ["--bogus"],
     ["mod.json", "out.json", "--mirror", "m"], ["mod.json", "out.json", "--allow-network", "everything"]],
)  # fmt: skip
def test_wrong_arguments_are_two(home: Path, arguments: list[str]) -> None:
    describe(home, mod())
    done = run(home, *arguments)
    assert done.returncode == 2
    assert done.stderr


def test_wrong_settings_are_two_and_a_missing_7zip_is_three(home: Path, server: FileServer) -> None:
    describe(home, mod([file(server.file("/a.zip", zip_of({"a": b"one"})))]))
    (home / "settings.py").write_text('SEVENZIP = "/nowhere/7zz"\n')
    done = run(home, "mod.json", "out.json")
    assert done.returncode == 3
    assert "/nowhere/7zz" in done.stderr
    (home / "settings.py").write_text("COLOUR = 1\n")
    done = run(home, "mod.json", "out.json")
    assert done.returncode == 2
    assert "COLOUR" in done.stderr


def test_a_failed_download_is_one_and_keeps_the_old_output(home: Path, server: FileServer) -> None:
    (home / "out.json").write_text("old")
    describe(home, mod([file(server.status("/a.zip", 404))]))
    done = run(home, "mod.json", "out.json")
    assert done.returncode == 1
    assert server.url("/a.zip") in done.stderr
    assert (home / "out.json").read_text() == "old"


def test_a_private_address_has_to_be_allowed(home: Path, server: FileServer) -> None:
    (home / "settings.py").write_text("DOWNLOAD_TRIES = 1\n")
    describe(home, mod([file(server.file("/a.zip", zip_of({"a": b"one"})))]))
    assert run(home, "mod.json", "out.json").returncode == 1
    assert run(home, "mod.json", "out.json", "--allow-network", "127.0.0.0/8").returncode == 0


def test_archives_are_mirrored_where_a_folder_is_given(home: Path, server: FileServer) -> None:
    data = zip_of({"a": b"one"})
    describe(home, mod([file(server.file("/a.zip", data, etag='"1"'))]))
    options = ["--mirror", "public", "--mirror-url", "https://mods.example/m", "--data", "remembered"]
    for _ in range(2):
        assert run(home, "mod.json", "out.json", *options).returncode == 0
        out = json.loads((home / "out.json").read_text())
        assert out["mods"][0]["packages"][0]["files"][0]["urls"][-1] == "https://mods.example/m/mymod/1.0.0/a.zip"
    assert (home / "public/mymod/1.0.0/a.zip").read_bytes() == data
    assert [request.headers.get("If-None-Match") for request in server.asked("/a.zip")] == [None, '"1"']


def test_programs_read_one_json_object_a_line(home: Path, server: FileServer) -> None:
    describe(home, mod([file(server.file("/a.zip", zip_of({"a": b"one"})))], colour=1))
    done = run(home, "mod.json", "out.json", "--json-log")
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert {event["type"] for event in events} == {"log", "progress", "files", "done"}
    assert events[0]["level"] == "WARNING"
    assert events[-1] == {"type": "done", "time": events[-1]["time"], "success": True, "exit_code": 0}
    done = run(home, "missing.json", "out.json", "--json-log")
    assert json.loads(done.stderr.splitlines()[-1])["exit_code"] == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_leaves_nothing_behind(home: Path, server: FileServer, number: int) -> None:
    urls = [server.file(f"/{name}.zip", b"x" * 100, always=Silent(after=10)) for name in ("a", "b")]
    describe(home, mod([file(url) for url in urls]))
    process = subprocess.Popen(
        command("mod.json", "out.json"), cwd=home, env=environment(home), stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: server.count("/a.zip") and server.count("/b.zip"), "both downloads")
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in said
    assert "Traceback" not in said
    assert list((home / "temporary").iterdir()) == []
    assert not (home / "out.json").exists()


@pytest.mark.parametrize(("module", "slow"), [("knossos.packaging", "rich"), ("knossos.client", "tornado")])
def test_ctrl_c_while_it_starts_is_one_line(home: Path, module: str, slow: str) -> None:
    (home / slow).mkdir()
    (home / slow / "__init__.py").write_text("import time\nopen('importing', 'w')\ntime.sleep(60)\n")
    process = subprocess.Popen(
        [sys.executable, "-m", module], cwd=home, env=environment(home), stderr=subprocess.PIPE, text=True
    )
    wait_for((home / "importing").exists, "the import")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.startswith("interrupted")
    assert len(said.splitlines()) == 1


def test_the_hang_up_that_nohup_ignores_ends_nothing(home: Path, server: FileServer) -> None:
    describe(home, mod([file(server.file("/a.zip", zip_of({"a": b"one"})))]))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        done = run(home, "mod.json", "out.json", preexec_fn=lambda: os.kill(os.getpid(), signal.SIGHUP))
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    assert done.returncode == 0


def test_each_error_is_told_once(home: Path, server: FileServer) -> None:
    describe(home, mod([file(server.status(f"/{name}.zip", 404)) for name in "ab"]))
    said = run(home, "mod.json", "out.json").stderr
    assert said.count("error: a.zip ") == said.count("error: b.zip ") == 1
    assert said.count("error: ") == 3
    assert "2 of 2 files failed" in said
    describe(home, mod([file(server.url("/a.zip"))]))
    assert run(home, "mod.json", "out.json", "--quiet").stderr.count("error: ") == 1


@pytest.mark.slow
def test_at_the_limits_of_entries_and_names_it_takes_less_than_300_megabytes(home: Path, server: FileServer) -> None:
    def header(number: int) -> bytes:
        info = tarfile.TarInfo(f"data/{number % 200:03}/{number:06}".ljust(95, "x"))
        info.size = 6
        return info.tobuf(tarfile.USTAR_FORMAT)

    packed = zlib.compressobj(1, wbits=31)
    data = b"".join(packed.compress(header(number) + b"%06d" % number + bytes(506)) for number in range(99_000))
    data += packed.compress(bytes(1024)) + packed.flush()
    description = mod(
        [file(server.file("/a.tar.gz", data))], actions=[{"type": "copy", "paths": ["data"], "dest": "again"}]
    )
    describe(home, description)
    code = "import sys; from knossos.packaging.package_command import main; main(sys.argv[1:]); "
    code += "print(*[line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')])"
    done = subprocess.run(
        [sys.executable, "-c", code, "mod.json", "out.json", "-q"], cwd=home, env=environment(home),
        capture_output=True, text=True, timeout=600, check=True,
    )  # fmt: skip
    assert len(json.loads((home / "out.json").read_text())["mods"][0]["packages"][0]["filelist"]) == 198_000
    assert int(done.stdout) < 300 * 1024


def test_archives_that_hold_too_much_together_are_refused_new_and_known(home: Path, server: FileServer) -> None:
    (home / "settings.py").write_text('ALLOWED_PRIVATE_NETWORKS = ("127.0.0.0/8",)\nARCHIVE_MAX_ENTRIES = 25\n')
    archives = [zip_of({f"{name}{number}": b"" for number in range(10)}) for name in "abc"]
    urls = [server.file(f"/{number}.zip", data) for number, data in enumerate(archives)]
    for number, url in enumerate(urls):
        describe(home, mod([file(url)]))
        assert run(home, "mod.json", "out.json", "--data", "known").returncode == 0, number
    describe(home, mod([file(url) for url in urls]))
    for options in ([], ["--data", "known"]):
        done = run(home, "mod.json", "out.json", *options)
        assert done.returncode == 1
        assert "the other archives have more than 25 entries together" in done.stderr


def test_the_words_of_the_command_line_are_its_own(home: Path) -> None:
    describe(home, mod())
    assert "1 mod, and" in run(home, "mod.json", "--check").stderr
    said = run(home, "mod.json", "out.json", "--allow-network", "foo").stderr
    assert said == "error: --allow-network foo: expected a network such as 10.0.0.0/8 or fd00::/8\n"


def test_standard_output_that_is_full_is_one_line(home: Path) -> None:
    describe(home, mod())
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command("mod.json", "-", "-q"), cwd=home, env=environment(home), stdout=full, stderr=subprocess.PIPE,
            text=True, timeout=60, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "error: standard output cannot be written: No space left on device\n")


def test_a_terminal_gets_bars_and_no_control_characters_from_outside(home: Path, server: FileServer) -> None:
    describe(home, mod([file(server.file("/a.zip", zip_of({"a": b"one"})))], **{"evil\x1b[2Jkey": 1}))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command("mod.json", "out.json"), cwd=home, env=environment(home), stderr=theirs)
    os.close(theirs)
    said = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        said += piece
    os.close(ours)
    assert process.wait(30) == 0
    assert b"out.json is written" in said
    assert b"a.zip" in said
    assert b"evil?[2Jkey" in said
