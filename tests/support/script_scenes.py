"""Scripts for tests of pages: real executables in a folder, with what is said of them beside them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from knossos.accounts import Account
from knossos.jobs import Engine
from knossos.scripting.access import caller_of
from knossos.scripting.calls import Scripting
from tests.support.scenes import PlayedJob

#: Fills a page with all kinds of output, waits until the test lets it go on, and shares what it was given.
MEASURE = """\
import json, os, sys, time
import knossos_script as page

form = page.form()
folder = os.path.dirname(sys.argv[-1])
print("\\033[1mMeasuring\\033[0m \\033[32m%s\\033[0m\\033]0;title\\007" % form["title"])
print("careful <b>now</b>", file=sys.stderr)
page.progress(0.25, "reading the table")
page.warning("The table is old.")
with open(os.path.join(folder, form["table"])) as file:
    print("rows: %d" % len(file.readlines()))
while not os.path.exists(os.path.join(form["folder"], "go")):
    time.sleep(0.02)
for number in range(300):
    print("line %d" % number)
for sample in form["samples"]:
    print("sample %s %r %s" % (sample["name"], sample["volume"], sample["cold"]))
page.progress(1.0, "done")
with open(os.path.join(os.environ["SHARED_DIR"], "answer.html"), "w") as file:
    file.write("<script>alert(1)</script>")
sys.exit(int(form["code"]))
"""

#: HTML as a web script prints it, and what a hostile one would try.
WEB = """\
print('<div class="alert alert-success">All <b>12</b> rows are fine. <a href="/scripts">More</a></div>')
print('<script>document.body.dataset.ran = "yes"; parent.document.title = "taken";</script>')
print('<img src="/api/health?beacon=img" onerror="document.body.dataset.ran = 1" alt="">')
print('<iframe src="/api/health?beacon=frame"></iframe><link rel="stylesheet" href="/api/health?beacon=css">')
print('<form action="/logout" method="post"><button>Press</button></form>')
"""

#: Repeats its arguments and what lies in its folder of files, and ends with an exit code of its own.
ECHO = """\
import os, sys
arguments = [one for one in sys.argv[1:] if not one.startswith("--auth-token=")]
print(repr(arguments))
print(sorted(os.listdir(".upload_files")) if os.path.isdir(".upload_files") else "no files")
sys.exit(3 if "fail" in arguments else 0)
"""

FORM: dict[str, Any] = {
    "submit": "Measure",
    "fields": [
        {"type": "text", "name": "title", "label": "Title", "required": True, "help": "Any name."},
        {"type": "file", "name": "table", "label": "Table", "required": True, "accept": ".csv"},
        {"type": "integer", "name": "code", "label": "Exit code", "value": 0, "min": 0, "max": 99},
        {"type": "select", "name": "kind", "label": "Kind", "options": ["water", "air"], "value": "water"},
        {"type": "date", "name": "day", "label": "Day"},
        {"type": "text", "name": "folder", "label": "Folder", "required": True},
        {
            "type": "group",
            "name": "samples",
            "label": "Samples",
            "repeat": {"min": 1, "max": 3, "label": "Sample"},
            "fields": [
                {"type": "text", "name": "name", "label": "Name", "required": True},
                {"type": "double", "name": "volume", "label": "Volume", "min": 0, "required": True},
                {"type": "checkbox", "name": "cold", "label": "Cooled"},
                {"type": "text", "name": "tags", "label": "Tags", "repeat": {"max": 2, "label": "Tag"}},
            ],
        },
    ],
}


def write_script(folder: Path, name: str, code: str, **metadata: Any) -> Path:
    """Make an executable of Python code, and the file beside it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\n{code}")
    path.chmod(0o755)
    if metadata:
        path.with_name(path.name + ".json").write_text(json.dumps(metadata))
    return path


def write_scripts(folder: Path) -> None:
    write_script(folder, "measure.py", MEASURE, title="Measure samples", description="Reads a table.", form=FORM)
    write_script(folder, "tables/web.py", WEB, title="Check a table", output="html")
    write_script(folder, "tables/echo.py", ECHO)


#: What the example writes, as it would with a larger table.
_OUTPUT = (
    ("stderr", "line 4118: 'n/a' is no number, left out\nline 9023: '' is no number, left out\n"),
    ("stdout", "\x1b[1mbrine-01        \x1b[0m   4102 values, mean \x1b[32m3.41\x1b[0m\n"),
    ("stdout", "\x1b[1mbrine-02        \x1b[0m   4096 values, mean \x1b[32m3.38\x1b[0m\n"),
    ("stdout", "\x1b[1mdistilled       \x1b[0m   8190 values, mean \x1b[32m0.07\x1b[0m\n"),
    ("stderr", "\x1b[33mharbour-east has only 12 values\x1b[0m\n"),
    ("stdout", "\x1b[1mharbour-east    \x1b[0m     12 values, mean \x1b[32m2.96\x1b[0m\n"),
    ("stdout", "\x1b[1mharbour-west    \x1b[0m   4088 values, mean \x1b[32m3.02\x1b[0m\n"),
)


def play_run(scripting: Scripting, engine: Engine, name: str, account: Account) -> PlayedJob:
    """The example as it runs, played by hand."""
    started = scripting.start(scripting.catalogue.find(name), caller_of(account), (".upload_files/form.json",))
    job = PlayedJob.of(engine, started.record).start()
    scripting.runs.begin(started.run.run_id, started.record.ticket)
    for stream, text in _OUTPUT:
        job.write("output", {"stream": stream, "text": text})
    job.log("Shared summary-so-far.csv: The samples that are done")
    job.progress(0.62, "Sample 6 of 8: harbour-west")
    return job
