"""Runners: files of RUNNERS_DIR that are nearly right, calls of them, and what their commands leave as results."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from fuzz.mutation import json_bytes, mutated, mutated_json, text
from fuzz.targets import Place
from knossos.errors import KnossosError
from knossos.scripting.runners.folder import Runners
from knossos.scripting.runners.inputs import Call
from knossos.scripting.runners.outputs import parse_results
from knossos.scripting.runners.planning import plan_of
from knossos.settings import Settings

PLACE = Place.PROCESS

#: With something in every field.
WHOLE: dict[str, Any] = {
    "command": ["/bin/echo", "fixed", "$PLATE", "--season=$SEASON", "$CITY", "$RUNDIR/out"],
    "command_rundir": "/tmp",
    "command_rundir_base": "docs",
    "inputs": {
        "path_args": [{"env_var_name": "PLATE", "path_regex": "([^/]+)", "path_regex_match_group": 1}],
        "query_args": [{"env_var_name": "SEASON", "query_var_name": "season", "repeat_query": True}],
        "body_args": [{"env_var_name": "CITY", "body_jsonpath": "$.address.city", "allow_options": False}],
    },
    "outputs": {
        "results": {
            "kind": "stdout",
            "format": "csv",
            "input_path": "out/results.csv",
            "remapped_columns": [{"output_name": "a", "input_name": "b", "skip_list": ["NA"]}],
        },
        "attachments": ["*.pdf", "out/*.csv"],
    },
    "title": "Plates",
    "description": "Counts plates.",
    "limits": {"timeout_seconds": 5, "memory_bytes": 1000000},
    "network": False,
    "mail": False,
    "read_paths": ["/usr/share"],
    "concurrency": 2,
    "retries": 0,
    "keep_seconds": 60,
}
SIMPLE: dict[str, Any] = {"command": ["echo"], "outputs": {"results": {"kind": "stdout", "format": "json"}}}
#: JSONPaths that are good, deep or odd.
JSON_PATHS = (
    "$",
    "$..*",
    "$..city",
    "$[?@.a==1]",
    "$[?match(@.a,'(a+)+b')]",
    "$['a','b'][0:5:-1]",
    "$[-1]",
    "$.a[?@.b]",
    "$[::0]",
    "$" + "[*]" * 60,
    "$" + "..a" * 20,
)
RESULTS = (b"b,c\n1,2\nNA,3\n", b'{"a": [1, 2, {"b": null}]}', b'"b"\r\n"x\ny"\r\n', b"", b"\xef\xbb\xbfb\n1\n")


def inputs(random: Random) -> Iterator[bytes]:
    """The file, a call of it, and results, one after the other as JSON."""
    while True:
        document = random.choice((WHOLE, WHOLE, SIMPLE))
        if random.random() < 0.8:
            document = mutated_json(random, document)
        if random.random() < 0.4 and isinstance(document, dict):
            document["inputs"] = {
                "body_args": [{"env_var_name": "CITY", "body_jsonpath": _json_path(random), "repeat_body": True}]
            }
        body = json_bytes(
            random, mutated_json(random, {"address": {"city": "Bremen", "a": [1, {"b": 2}]}, "-x": "--y"})
        )
        results = random.choice(RESULTS)
        yield json.dumps(
            {
                "file": json_bytes(random, document).decode("latin-1"),
                "path": random.choice(("plate", text(random)[:1000])),
                "query": {"season": random.choice(([], ["1"], ["1", text(random)], [text(random)]))},
                "body": body.decode("latin-1") if random.random() < 0.9 else "",
                "results": (mutated(random, results) if random.random() < 0.8 else results).decode("latin-1"),
            }
        ).encode()


def _json_path(random: Random) -> str:
    path = random.choice(JSON_PATHS)
    return mutated(random, path.encode()).decode("utf-8", "replace")[:1000] if random.random() < 0.7 else path


def make(folder: Path) -> Callable[[bytes], None]:
    settings = Settings(data_path=folder / "data", runners_dir=folder / "runners")
    (folder / "runners").mkdir()

    def take(data: bytes) -> None:
        given = json.loads(data)
        (folder / "runners" / "config.json").write_bytes(given["file"].encode("latin-1"))
        runners = Runners(settings)
        runners.check()
        runners.all()
        runners.select(given["path"])
        try:
            runner = runners.find("config")
            call = Call(given["path"], given["query"], given["body"].encode("latin-1"))
            plan = plan_of(runner, call, settings)
            if plan.results is not None:
                json.dumps(parse_results(plan.results, io.BytesIO(given["results"].encode("latin-1"))), allow_nan=False)
        except KnossosError as error:
            str(error).encode("utf-8")

    return take
