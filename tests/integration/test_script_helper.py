"""The helper for scripts, run for real under every Python that can be had here, and the channel from bash."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from knossos.scripting.channel import Attachment, Level, LogLine, Mail, Malformed, Progress, Shared
from knossos.scripting.helper_folder import provide
from tests.support.scripts import Ran, ScriptFolder, pythons

PYTHONS = pythons()
BASH = shutil.which("bash") or "bash"

#: The lines of docs/scripts.md.
SAY = """say() { (printf '%s\\n' "${*//$'\\n'/ }" >&"${KNOSSOS_FD:-2}") || true; }"""


@pytest.fixture
def folder(tmp_path: Path) -> ScriptFolder:
    return ScriptFolder(tmp_path)


class Script:
    """Runs code under one Python."""

    def __init__(self, python: str, folder: ScriptFolder) -> None:
        self.python = python
        self.folder = folder

    def __call__(
        self, code: str, *arguments: str, channel: bool = True, readers: bool = True, **environment: str
    ) -> Ran:  # fmt: skip
        path = self.folder.work / "script.py"
        path.write_text(f"# -*- coding: utf-8 -*-\nimport os, sys\nimport knossos_script as page\n{code}\n", "utf-8")
        return self.folder.run([self.python, str(path), *arguments], channel=channel, readers=readers, **environment)

    def shares(self, code: str, **environment: str) -> list[str]:
        """Run code, which must end well; the names of the files that it has shared, in order, as the channel says."""
        ran = self(code, **environment)
        assert ran.code == 0, ran.stderr
        assert all(isinstance(message, Shared) for message in ran.messages), ran.messages
        return [message.name for message in ran.messages if isinstance(message, Shared)]


@pytest.fixture(params=PYTHONS, ids=lambda path: Path(path).name)
def script(request: pytest.FixtureRequest, folder: ScriptFolder) -> Script:
    return Script(request.param, folder)


@pytest.fixture
def own_script(folder: ScriptFolder) -> Script:
    """Under the Python that runs the tests: for what does not differ."""
    return Script(sys.executable, folder)


def test_what_a_script_says_arrives_as_it_was_said(script: Script) -> None:
    ran = script(
        """
page.progress(0.25, "reading")
page.progress(7, u"gr\\xf6\\xdfer")
page.debug("a detail"); page.info(u"\\u6587"); page.warning("zwei\\nZeilen"); page.error(ValueError("bad"))
page.info("gr\u00f6\u00dfer")
"""
    )
    assert (ran.code, ran.stdout, ran.stderr) == (0, "", "")
    assert ran.messages == [
        Progress(0.25, "reading"),
        Progress(1.0, "größer"),
        LogLine(Level.DEBUG, "a detail"),
        LogLine(Level.INFO, "文"),
        LogLine(Level.WARNING, "zwei\nZeilen"),
        LogLine(Level.ERROR, "bad"),
        LogLine(Level.INFO, "größer"),
    ]


def test_without_a_server_it_prints_to_stderr(script: Script) -> None:
    (script.folder.work / "a.txt").write_text("text")
    ran = script(
        """
page.progress(0.5, "half"); page.info(u"\\u6587"); page.send_mail("ann@example.org", "Hello", "You")
print(page.share("a.txt", title="A"))
""",
        channel=False,
    )
    assert ran.code == 0, ran.stderr
    assert ran.stderr.splitlines() == [
        " 50 % half", "INFO: 文", "a mail to ann@example.org: Hello", "You", "A: /Shared/shared/a.txt",
    ]  # fmt: skip
    assert ran.stdout == "/Shared/shared/a.txt\n"
    assert (script.folder.work / "shared" / "a.txt").read_text() == "text"


def test_a_broken_pipe_does_not_end_the_script(script: Script) -> None:
    ran = script("page.info('a'); page.info('b' * 60000); page.progress(1, ''); print('here')", readers=False)
    assert (ran.code, ran.stdout, ran.stderr) == (0, "here\n", "")


@pytest.mark.parametrize("number", ["", "x", "999", "99999999999999999999", "-1", "0"])
def test_a_number_that_is_no_pipe_is_no_channel(own_script: Script, number: str) -> None:
    (own_script.folder.work / "empty").touch()
    ran = own_script.folder.run(
        [BASH, "-c", 'exec "$0" -c "import knossos_script as page; page.info(1)" < empty', sys.executable],
        channel=False,
        KNOSSOS_FD=number,
    )
    assert (ran.code, ran.stderr) == (0, "INFO: 1\n")


def test_threads_and_processes_do_not_mix_their_lines(script: Script) -> None:
    ran = script(
        """
import threading
def talk(letter):
    for number in range(20):
        page.info(letter * (100 if number % 2 else 20000))
children = []
for letter in "ab":
    child = os.fork()
    if not child:
        threads = [threading.Thread(target=talk, args=(one,)) for one in (letter, letter.upper())]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        os._exit(0)
    children.append(child)
[os.waitpid(child, 0) for child in children]
"""
    )
    assert ran.code == 0, ran.stderr
    lines = [message.text for message in ran.messages if isinstance(message, LogLine)]
    assert sorted(lines) == sorted(letter * (100 if n % 2 else 20000) for letter in "abAB" for n in range(20))
    assert len(lines) == len(ran.messages)


def test_a_text_that_is_too_long_is_cut(own_script: Script) -> None:
    ran = own_script("page.info(u'\\U0001F600' * 300000)")
    assert ran.messages == [LogLine(Level.INFO, "\U0001f600" * 65536 + " ...")]


def test_arguments_are_read_without_a_parser(script: Script) -> None:
    ran = script(
        """
a = page.parse_arguments()
assert page.token() == a.auth_token == "secret", a
assert a.options == {"size": "3=4", "name": "gr\u00f6\u00dfer", "fast": True}, a
assert a.positional == ["-first", "--auth-token=other"], a
b = page.parse_arguments(["x"])
assert (b.auth_token, b.options, b.positional) == ("", {}, ["x"])
""",
        "--auth-token=secret", "--size=3=4", "--name=größer", "--fast", "-first", "--auth-token=other",
    )  # fmt: skip
    assert ran.code == 0, ran.stderr


def test_arguments_are_read_with_a_parser_of_the_scripts_own(script: Script) -> None:
    code = """
import argparse
for own in (False, True):
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int)
    parser.add_argument("file")
    if own:
        parser.add_argument("--auth-token")
    a = page.parse_arguments(parser=parser)
    assert (a.auth_token, a.size, a.file) == ("secret", 3, "a.txt"), a
"""
    ran = script(code, "--auth-token=secret", "--size=3", "a.txt")
    assert ran.code == 0, ran.stderr


def test_a_form_is_read_from_the_first_argument(script: Script) -> None:
    path = script.folder.work / ".upload_files" / "form.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"größe": 3, "file": "a.txt"}, ensure_ascii=False), "utf-8")
    code = "f = page.form(); assert f == {u'gr\\xf6\\xdfe': 3, u'file': u'a.txt'}, f"
    ran = script(code, "--auth-token=t", ".upload_files/form.json")
    assert ran.code == 0, ran.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file"), (b"{", "is no JSON:"), (b"\xff", "is no JSON:"), (b"[]", "is no JSON object.")],
)
def test_a_form_that_cannot_be_read_ends_the_script_with_a_clear_error(
    script: Script, content: bytes | None, said: str
) -> None:
    if content is not None:
        (script.folder.work / "form.json").write_bytes(content)
    ran = script("page.form(); print('not here')", "form.json")
    assert (ran.code, ran.stdout) == (2, "")
    (message,) = ran.messages
    assert isinstance(message, LogLine)
    assert message.level is Level.ERROR
    assert "form.json" in message.text
    assert said in message.text


def test_a_form_that_is_not_given_ends_the_script_with_a_clear_error(own_script: Script) -> None:
    ran = own_script("page.form()", channel=False)
    assert ran.code == 2
    assert ran.stderr == "ERROR: This script expects a file with a form (form.json) as its first argument.\n"


def test_a_shared_file_is_copied_or_moved_and_its_link_leads_to_it(script: Script) -> None:
    work, shared = script.folder.work, script.folder.shared
    (work / "größer 1.txt").write_text("one")
    (work / "b.txt").write_text("two")
    ran = script("print(page.share(u'gr\\xf6\\xdfer 1.txt', title='One')); print(page.share('b.txt', move=True))")
    assert ran.code == 0, ran.stderr
    assert ran.messages == [Shared("größer 1.txt", "One"), Shared("b.txt", "b.txt")]
    first, second = ran.stdout.splitlines()
    assert first == f"/Shared/{quote(shared.name)}/{quote('größer 1.txt')}"
    assert (shared.parent / unquote(first).removeprefix("/Shared/")).read_text() == "one"
    assert (shared.parent / unquote(second).removeprefix("/Shared/")).read_text() == "two"
    assert (work / "größer 1.txt").exists()
    assert not (work / "b.txt").exists()
    assert sorted(path.name for path in shared.iterdir()) == ["b.txt", "größer 1.txt"]


def test_names_of_files_do_not_depend_on_the_locale(script: Script) -> None:
    code = "open('x', 'w').close(); page.share('x', name=u'gr\\xf6\\xdfer.txt')"
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    assert script.shares(code, **plain) == ["größer.txt"]
    assert (script.folder.shared / "größer.txt").exists()


def test_a_file_never_takes_the_place_of_one_of_another_name(script: Script) -> None:
    shared = script.folder.shared
    (shared / "plot.png").write_text("another script's")
    names = script.shares(
        """
os.mkdir("a"); os.mkdir("b")
for path in ("a/plot.png", "b/plot.png"):
    with open(path, "w") as file:
        file.write(path)
page.share("a/plot.png")
page.share("b/plot.png")
with open("a/plot.png", "w") as file:
    file.write("new")
page.share("a/plot.png")
page.share("a/plot.png", name="../x/plot.png")
"""
    )
    assert names == ["plot-2.png", "plot-3.png", "plot-2.png", "plot-4.png"]
    assert (shared / "plot.png").read_text() == "another script's"
    assert (shared / "plot-2.png").read_text() == "new"
    assert (shared / "plot-3.png").read_text() == "b/plot.png"


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("../../etc/passwd", "passwd"),
        ("..", "file"),
        ("", "file"),
        (".hidden", "hidden"),
        ("a\\b.txt", "b.txt"),
        ("a\nb\0c.txt", "a_b_c.txt"),
        ("ü" * 300 + ".txt", "ü" * 98 + ".txt"),
        ("a" * 300, "a" * 200),
    ],
)
def test_a_name_of_a_shared_file_is_made_safe(own_script: Script, asked: str, given: str) -> None:
    assert own_script.shares(f"open('x', 'w').close(); page.share('x', name={asked!r})") == [given]
    assert [path.name for path in own_script.folder.shared.iterdir()] == [given]


def test_a_file_that_is_not_there_is_not_shared(script: Script) -> None:
    code = """
for path in ("missing", "."):
    for move in (False, True):
        try:
            page.share(path, move=move)
        except (IOError, OSError):
            print("refused")
"""
    ran = script(code)
    assert (ran.code, ran.stdout.split(), ran.messages) == (0, ["refused"] * 4, [])
    assert list(script.folder.shared.iterdir()) == []


def test_a_script_can_write_a_shared_file_itself(script: Script) -> None:
    ran = script(
        """
link, path = page.shared_file("t\u00e4ble.csv", title="The table")
with open(path, "w") as file:
    file.write("a,b")
assert page.shared_file("t\u00e4ble.csv")[1] == path
print(link)
""",
        LC_ALL="C",
    )
    assert ran.code == 0, ran.stderr
    assert ran.stdout == f"/Shared/{quote(script.folder.shared.name)}/t%C3%A4ble.csv\n"
    assert ran.messages[0] == Shared("täble.csv", "The table")
    assert (script.folder.shared / "täble.csv").read_text() == "a,b"


def test_records_of_the_log_become_escaped_html(script: Script) -> None:
    ran = script(
        """
import io, logging
log = logging.getLogger()
log.setLevel("DEBUG")
log.addHandler(page.html_log())
log.info("<b> & \\"gr\u00f6\u00dfer\\"")
log.warning(u"%s\\ntwo", u"\\u6587")
log.error("bad")
text = io.StringIO()
log.handlers = [page.html_log(text)]
log.info("there")
assert text.getvalue() == u'<div class="alert alert-info">there</div>\\n', text.getvalue()
""",
        LC_ALL="C",
    )
    assert ran.code == 0, ran.stderr
    assert ran.stdout == (
        '<div class="alert alert-info">&lt;b&gt; &amp; &quot;gr&#246;&#223;er&quot;</div>\n'
        '<div class="alert alert-warning">&#25991;<br>\ntwo</div>\n'
        '<div class="alert alert-danger">bad</div>\n'
    )


def test_a_mail_arrives_with_its_attachments(script: Script) -> None:
    (script.folder.work / "t.csv").write_bytes(b"a,b\xff")
    ran = script(
        """
page.send_mail(["ann@example.org"], u"Gr\\xf6\\xdfe\\n x", "text", html="<p>", cc="bob@example.org",
               attachments=["t.csv", ("n\u00f6te", b"\\0")])
page.send_mail("ann@example.org", "Hello", "text")
"""
    )
    assert ran.code == 0, ran.stderr
    table = Attachment("t.csv", "text/csv", b"a,b\xff")
    note = Attachment("nöte", "application/octet-stream", b"\0")
    assert ran.messages == [
        Mail(("ann@example.org",), ("bob@example.org",), "Größe x", "text", "<p>", (table, note)),
        Mail(("ann@example.org",), (), "Hello", "text", None, ()),
    ]


def test_a_mail_that_is_too_large_is_refused_in_the_script(own_script: Script) -> None:
    ran = own_script(
        """
try:
    page.send_mail("ann@example.org", "Hello", "text", attachments=[("a", b"x" * 1000000)])
except ValueError as error:
    print(error)
"""
    )
    assert ran.code == 0, ran.stderr
    assert "at most 1048576" in ran.stdout
    assert ran.messages == []


def test_a_script_can_call_back_as_the_user_who_called_it(script: Script) -> None:
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            seen.append((self.command, self.path, self.headers["Cookie"], self.rfile.read(length)))
            if self.path == "/away":
                self.send_response(302)
                self.send_header("Location", "/elsewhere")
            else:
                self.send_response(200)
            self.end_headers()
            self.wfile.write(b"answer")

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        ran = script(
            """
assert page.call("/api/info") == b"answer"
page.call("/x", {"a": u"\\xf6"})
page.call("/away")
try:
    page.call("@example.org/")
except ValueError:
    print(page.server_url())
""",
            "--auth-token=secret",
            KNOSSOS_URL=f"http://127.0.0.1:{server.server_port}/",
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert ran.code == 0, ran.stderr
    assert ran.stdout == f"http://127.0.0.1:{server.server_port}\n"
    cookie = "SessionToken=secret"
    assert seen == [
        ("GET", "/api/info", cookie, b""),
        ("POST", "/x", cookie, b"a=%C3%B6"),
        ("GET", "/away", cookie, b""),
        ("GET", "/elsewhere", None, b""),
    ]


def test_the_shell_speaks_plain_words(folder: ScriptFolder) -> None:
    ran = folder.run([BASH, "-euc", f"{SAY}\nsay progress 0.3 reading\nsay info größer\nsay 'error two\nlines'"])
    assert (ran.code, ran.stderr) == (0, "")
    assert ran.messages == [
        Progress(0.3, "reading"), LogLine(Level.INFO, "größer"), LogLine(Level.ERROR, "two lines"),
    ]  # fmt: skip


def test_a_shell_script_works_without_a_server_and_after_it(folder: ScriptFolder) -> None:
    by_hand = folder.run([BASH, "-euc", f"{SAY}\nsay info hello\necho end"], channel=False)
    assert (by_hand.code, by_hand.stdout, by_hand.stderr) == (0, "end\n", "info hello\n")
    gone = folder.run([BASH, "-euc", f"{SAY}\nsay info hello\necho end"], readers=False)
    assert (gone.code, gone.stdout) == (0, "end\n")


def test_the_lines_for_the_shell_are_those_of_the_documentation() -> None:
    assert SAY in (Path(__file__).parents[2] / "docs" / "scripts.md").read_text("utf-8")


def test_other_words_on_the_channel_are_told_as_malformed(folder: ScriptFolder) -> None:
    ran = folder.run([BASH, "-c", 'echo hello >&"$KNOSSOS_FD"'])
    assert [type(message) for message in ran.messages] == [Malformed]


def test_the_folder_of_the_helper_is_brought_up_to_date(tmp_path: Path) -> None:
    folder = provide(tmp_path / "helper")
    assert {path.name for path in folder.iterdir()} == {"knossos_script.py", "six.py"}
    before = (folder / "six.py").stat().st_mtime_ns
    (folder / "knossos_script.py").write_text("old")
    provide(folder)
    assert "def share(" in (folder / "knossos_script.py").read_text("utf-8")
    assert (folder / "six.py").stat().st_mtime_ns == before
