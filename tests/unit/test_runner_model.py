"""A runner's file: what it may say, and what it is told where it says something else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from knossos.scripting.runners.model import RunnerFile

PATH = {"env_var_name": "A", "path_regex": "(.*)", "path_regex_match_group": 1}
QUERY = {"env_var_name": "A", "query_var_name": "a"}
BODY = {"env_var_name": "A", "body_jsonpath": "$.a"}
RESULTS = {"kind": "file", "format": "csv", "input_path": "a.csv"}
#: The file of script-runner.md, as it stands there.
PAGE = """
{"command": ["/scripts/run.sh", "fixed", "$BASESPACE_ID", "$SEASON", "$CITY", "$RUNDIR"],
 "command_rundir": "where run directories are made (optional)",
 "command_rundir_base": "a folder copied into each run directory first (optional)",
 "inputs": {"path_args":  [{"env_var_name": "BASESPACE_ID", "path_regex": "([^/]+)", "path_regex_match_group": 1}],
            "query_args": [{"env_var_name": "SEASON", "query_var_name": "season"}],
            "body_args":  [{"env_var_name": "CITY", "body_jsonpath": "$.address.city"}]},
 "outputs": {"results": {"kind": "file", "format": "csv", "input_path": "LIMS_results.csv",
                         "remapped_columns": [{"output_name": "plateIndex", "input_name": "Plate_384_Number",
                                               "skip_list": ["NA"]}]},
             "attachments": ["*.pdf", "LIMS_results.csv"]}}
"""


def runner(**fields: Any) -> RunnerFile:
    return RunnerFile.model_validate({"command": ["/bin/true"], **fields})


def test_the_file_of_the_protocols_page_is_one() -> None:
    file = RunnerFile.model_validate(json.loads(PAGE))
    assert file.command[0] == "/scripts/run.sh"
    assert file.outputs.results is not None
    assert file.outputs.results.remapped_columns is not None
    assert file.outputs.results.remapped_columns[0].as_plan().skip_list == ("NA",)
    assert file.inputs.body_args[0].body_jsonpath == "$.address.city"


def test_a_file_of_the_old_server_is_taken_as_it_is() -> None:
    results = {"kind": "file", "format": "json", "input_path": "a.json", "remapped_columns": None}
    fields = {"debug": False, "celery_broker_url": "redis://x", "celery_result_backend": None, "command_rundir": None}
    outputs = {"results": results, "attachments": []}
    runner(inputs={"path_args": [], "query_args": [], "body_args": []}, outputs=outputs, **fields)


@pytest.mark.parametrize(
    ("fields", "place", "says"),
    [
        ({"command": []}, "command", "at least 1 item"),
        ({"command": "/bin/true x"}, "command", "valid tuple"),
        ({"command": [""]}, "", "command: expected a program first"),
        ({"command": ["$A"], "inputs": {"query_args": [QUERY]}}, "", "command: expected a program first"),
        ({"command": ["/bin/true", "a\0"]}, "command.1", "without NUL"),
        ({"comand": 1}, "comand", "not permitted"),
        ({"inputs": {"path_args": [{**PATH, "path_regex": "("}]}}, "inputs.path_args.0.path_regex", "regular"),
        ({"inputs": {"path_args": [{**PATH, "path_regex_match_group": 2}]}}, "inputs.path_args.0", "has 1 groups"),
        ({"inputs": {"body_args": [{**BODY, "body_jsonpath": "$["}]}}, "inputs.body_args.0.body_jsonpath", "JSONPath"),
        ({"inputs": {"body_args": [{**BODY, "body_jsonpath": "a.b"}]}}, "inputs.body_args.0.body_jsonpath", "JSONPath"),
        (
            {"inputs": {"body_args": [{**BODY, "body_jsonpath": "$[?@==1e999]"}]}},
            "inputs.body_args.0.body_jsonpath",
            "JS",
        ),
        ({"inputs": {"query_args": [{**QUERY, "env_var_name": "A-B"}]}}, "inputs.query_args.0.env_var_name", "pattern"),
        ({"inputs": {"query_args": [{**QUERY, "env_var_name": "RUNDIR"}]}}, "inputs.query_args.0.env_var_name", "own"),
        ({"inputs": {"query_args": [QUERY], "body_args": [BODY]}}, "", "the env_var_name A is there twice"),
        ({"outputs": {"results": {**RESULTS, "format": "xml"}}}, "outputs.results.format", "'csv' or 'json'"),
        ({"outputs": {"results": {"kind": "file", "format": "csv"}}}, "outputs.results", "input_path: expected"),
        ({"outputs": {"results": {**RESULTS, "input_path": "../a.csv"}}}, "outputs.results.input_path", "below"),
        ({"outputs": {"attachments": ["/etc/*"]}}, "outputs.attachments.0", "below the run's directory"),
        ({"limits": {"memory": 7}}, "limits.memory", "not permitted"),
        ({"retries": -1}, "retries", "greater than or equal to 0"),
        ({"concurrency": "many"}, "concurrency", "valid integer"),
    ],
)
def test_what_cannot_be_is_an_error_at_its_field(fields: dict[str, Any], place: str, says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        runner(**fields)
    first = caught.value.errors()[0]
    assert ".".join(map(str, first["loc"])) == place
    assert says in first["msg"]


def test_columns_have_names_of_their_own_and_only_csv_has_columns() -> None:
    column = {"output_name": "a", "input_name": "b"}
    with pytest.raises(ValidationError, match="different output_names"):
        runner(outputs={"results": {**RESULTS, "remapped_columns": [column, column]}})
    with pytest.raises(ValidationError, match='format is not "csv"'):
        runner(outputs={"results": {**RESULTS, "format": "json", "remapped_columns": [column]}})


def test_no_value_can_get_into_the_text_of_a_program() -> None:
    inputs = {"query_args": [QUERY]}
    for program in ("/bin/sh", "bash", "/usr/bin/python3.11", "Rscript"):
        with pytest.raises(ValidationError, match="the text after -c is a program"):
            runner(command=[program, "-c", "echo $A"], inputs=inputs)
        runner(command=[program, "-c", 'cd $RUNDIR; echo "$1"', "x", "$A"], inputs=inputs)
    runner(command=["/usr/bin/tar", "-c", "$A"], inputs=inputs)


@pytest.mark.parametrize(
    "command",
    [
        ["/bin/sh", "-ec", "echo $A"],
        ["/bin/bash", "-lc", "echo $A"],
        ["/bin/bash", "-euo", "pipefail", "-xc", "echo $A"],
        ["/bin/sh", "-ec", "--", "echo $A"],
        ["/usr/bin/env", "bash", "-lc", "echo $A"],
        ["/usr/bin/timeout", "5", "/bin/sh", "-c", "echo $A"],
        ["python3", "-Ic", "print('$A')"],
        ["python3", "-cprint('$A')"],
        ["perl", "-ne", "print '$A'"],
        ["perl", "-E", "say '$A'"],
        ["node", "--eval=console.log('$A')"],
        ["node", "-p", "'$A'"],
    ],
)
def test_however_the_option_before_a_program_is_written_no_value_gets_into_it(command: list[str]) -> None:
    with pytest.raises(ValidationError, match="is a program, into which no"):
        runner(command=command, inputs={"query_args": [QUERY]})


@pytest.mark.parametrize(
    "command",
    [
        ["/bin/bash", "-lc", 'echo "$1"', "name", "$A"],
        ["/bin/bash", "-e", "/srv/run.sh", "$A"],
        ["python3", "-E", "/srv/run.py", "--price", "$A"],
        ["python3", "/srv/run.py", "-name", "$A"],
        ["python3", "-m", "tool", "$A"],
        ["/usr/bin/env", "LANG=C", "/srv/run", "$A"],
    ],
)
def test_what_follows_a_program_may_be_a_value(command: list[str]) -> None:
    runner(command=command, inputs={"query_args": [QUERY]})


def test_an_argument_has_one_repeated_name_at_most() -> None:
    repeated = [{"env_var_name": name, "query_var_name": name, "repeat_query": True} for name in ("A", "B")]
    with pytest.raises(ValidationError, match="two names"):
        runner(command=["/bin/true", "$A$B"], inputs={"query_args": repeated})
