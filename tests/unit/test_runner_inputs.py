"""From a request to a runner's arguments."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knossos.errors import InvalidInput
from knossos.scripting.runners.inputs import MAX_ARGUMENT_BYTES, MAX_BODY_VALUES, MAX_PATH_CHARS, Call, arguments_of
from knossos.scripting.runners.model import RunnerFile

INPUTS: dict[str, Any] = {
    "path_args": [{"env_var_name": "PLATE", "path_regex": "([^/]+)", "path_regex_match_group": 1}],
    "query_args": [{"env_var_name": "SEASON", "query_var_name": "season"}],
    "body_args": [{"env_var_name": "CITY", "body_jsonpath": "$.address.city"}],
}
BODY = b'{"address": {"city": "Oslo"}}'


def runner(*arguments: str, **inputs: Any) -> RunnerFile:
    return RunnerFile.model_validate({"command": ["/bin/true", *arguments], "inputs": inputs})


def query_runner(*arguments: str, **more: Any) -> RunnerFile:
    return runner(*arguments, query_args=[{"env_var_name": "V", "query_var_name": "v", **more}])


def body_runner(path: str, **more: Any) -> RunnerFile:
    return runner("$V", body_args=[{"env_var_name": "V", "body_jsonpath": path, **more}])


def arguments(
    file: RunnerFile, path: str = "", query: dict[str, list[str]] | None = None, body: Any = b""
) -> list[str]:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return list(arguments_of(file, Call(path, query, text), most=1000, most_bytes=1_000_000))


def refusal(file: RunnerFile, *call: Any, **more: Any) -> tuple[str, str]:
    with pytest.raises(InvalidInput) as caught:
        arguments(file, *call, **more)
    (error,) = caught.value.errors
    return error["path"], error["message"]


def test_path_query_and_body_go_where_the_command_names_them() -> None:
    file = runner("fixed", "$PLATE", "--season=$SEASON", "$CITY", "in $RUNDIR/out", "$HOME", **INPUTS)
    assert arguments(file, "P7/more", {"season": ["1"], "other": ["x"]}, BODY) == [
        "fixed", "P7", "--season=1", "Oslo", "in $RUNDIR/out", "$HOME",
    ]  # fmt: skip


def test_the_longest_name_counts_and_a_name_may_be_in_the_middle_of_a_word() -> None:
    queries = [{"env_var_name": name, "query_var_name": name} for name in ("CITY", "CITYNAME", "RUN")]
    file = runner("$CITYNAME", "a$CITYb", "$CITY$CITYNAME", "$RUNDIR", "$RUNWAY", query_args=queries)
    values = {"CITY": ["c"], "CITYNAME": ["n"], "RUN": ["r"]}
    assert arguments(file, query=values) == ["n", "acb", "cn", "$RUNDIR", "rWAY"]


def test_a_value_with_a_name_in_it_is_not_replaced_again() -> None:
    queries = [{"env_var_name": name, "query_var_name": name} for name in ("A", "B")]
    file = runner("$A", "$B", query_args=queries)
    assert arguments(file, query={"A": ["$B"], "B": ["$A;`id`"]}) == ["$B", "$A;`id`"]


def test_no_value_can_become_the_runs_directory() -> None:
    assert refusal(query_runner("$V"), query={"v": ["$RUNDIR/../x"]}) == ("query.v", "expected text without $RUNDIR")
    assert refusal(query_runner("$VRUNDIR"), query={"v": ["$"]})[0] == "query.v"
    assert arguments(query_runner("$V/$RUNDIR"), query={"v": ["RUNDIR"]}) == ["RUNDIR/$RUNDIR"]


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("$.n", {"n": 7}, "7"),
        ("$.n", {"n": 1.5}, "1.5"),
        ("$.n", {"n": True}, "true"),
        ("$.n", {"n": {"a": ["ü", None]}}, '{"a":["ü",null]}'),
        ("$[1]", ["x", ""], ""),
        ("$.list[?@.id == 2].name", {"list": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]}, "b"),
    ],
)
def test_a_body_argument_is_the_matched_value(path: str, body: Any, expected: str) -> None:
    assert arguments(body_runner(path), body=body) == [expected]


def test_what_is_missing_is_named_with_its_place() -> None:
    file = runner("$PLATE", "$SEASON", "$CITY", **INPUTS)
    assert refusal(file, "", {"season": ["1"]}, BODY) == ("path", "expected what matches ([^/]+), for PLATE")
    assert refusal(file, "P7", {}, BODY) == ("query.season", "this parameter is required")
    where, what = refusal(file, "P7", {"season": ["1"]}, b"{}")
    assert (where, "finds nothing" in what) == ("body.$.address.city", True)
    assert refusal(body_runner("$.v"), body={"v": None}) == ("body.$.v", "expected a value for V, not null")


@pytest.mark.parametrize("pattern", ["(x+x+)+y", "(?=(a+)+b)a", r"([ax]*)*\1y", "(a+)+$"])
def test_no_path_keeps_a_pattern_busy(pattern: str) -> None:
    file = runner("$A", path_args=[{"env_var_name": "A", "path_regex": pattern}])
    for letter in "ax":  # Python's own expressions would take longer than the world is old
        assert refusal(file, letter * 499 + "!")[0] == "path"


def test_a_pattern_means_what_it_means_to_python() -> None:
    pattern = r"(?!x)\w+(?=/)"
    file = runner("$A", path_args=[{"env_var_name": "A", "path_regex": pattern}])
    assert arguments(file, "Zürich/1") == ["Zürich"]


def test_an_optional_group_that_matches_nothing_is_a_missing_value() -> None:
    file = runner("$A", path_args=[{"env_var_name": "A", "path_regex": "x(y)?", "path_regex_match_group": 1}])
    assert refusal(file, "x")[0] == "path"


@pytest.mark.parametrize(
    "body", [b"{", b"nonsense", b"NaN", b'{"v": 1e999}', b"[" * 5000, b"9" * 5000, b"\xff", b"\0", b'"text"', b"7"]
)
def test_a_body_that_is_no_json_object_is_refused_even_where_it_is_not_used(body: bytes) -> None:
    where, what = refusal(query_runner("$V"), query={"v": ["1"]}, body=body)
    assert where == "body"
    assert what.startswith("expected")


def test_a_body_is_needed_where_something_of_it_is() -> None:
    assert refusal(body_runner("$.v"))[0] == "body"
    assert refusal(body_runner("$.v"), body=b"[" + b"1," * MAX_BODY_VALUES + b"1]")[0] == "body"


def test_a_body_that_is_too_deep_for_its_jsonpath_is_refused() -> None:
    body = b'{"a":' * 400 + b"1" + b"}" * 400
    where, what = refusal(body_runner("$..v"), body=body)
    assert (where, what.startswith("this JSONPath cannot be used on this body")) == ("body.$..v", True)


def test_a_path_that_would_go_through_too_much_of_a_body_is_refused() -> None:
    """A small body keeps no server busy: with each ``..`` there are as many times more places as it is deep."""
    body: Any = "end"
    for _ in range(60):
        body = {"a": body}
    for path in ("$..a..a..a..a..a..a..a..a", "$..a..a..a..a..a..a..a..nowhere"):
        place, message = refusal(body_runner(path, repeat_body=True), "", {}, body)
        assert place == f"body.{path}"
        assert "more than 1000000 values" in message


def test_values_that_hold_each_other_are_counted_as_they_are_written() -> None:
    body: Any = ["x" * 100_000]
    for _ in range(80):
        body = [body]
    assert "characters together" in refusal(body_runner("$..*", repeat_body=True), "", {}, body)[1]


def test_a_text_as_the_whole_body_is_not_read_as_json_once_more() -> None:
    assert refusal(body_runner("$.v"), body=json.dumps('{"v": 1}').encode())[0] == "body"


def test_more_than_one_match_or_parameter_is_an_error_unless_the_runner_allows_it() -> None:
    body = {"list": [1, 2]}
    assert refusal(body_runner("$.list[*]"), body=body) == ("body.$.list[*]", "expected one match for V; there are 2")
    assert refusal(query_runner("$V"), query={"v": ["a", "b"]}) == ("query.v", "expected it once; it is there 2 times")
    assert arguments(body_runner("$.list[*]", repeat_body=True), body=body) == ["1", "2"]
    file = query_runner("x", "--v=$V", "$RUNDIR", "$V", repeat_query=True)
    assert arguments(file, query={"v": ["a", "b"]}) == ["x", "--v=a", "--v=b", "$RUNDIR", "a", "b"]


def nested(body: Any, deep: int) -> Any:
    for _ in range(deep):
        body = [body]
    return body


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("$..[?@..a]", [nested("end", 60)] * 1000),
        ("$..[?@[?@..a]]", [nested("end", 60)] * 1000),
        ("$..*..[?@ == 2]", nested([1] * 30_000, 60)),
    ],
)
def test_a_filter_that_would_go_through_too_much_of_a_body_is_refused(path: str, body: Any) -> None:
    place, message = refusal(body_runner(path, repeat_body=True), "", {}, body)
    assert place == f"body.{path}"
    assert "more than 1000000 values" in message


@pytest.mark.parametrize("way", ["match", "search"])
def test_a_pattern_in_a_filter_keeps_no_server_busy(way: str) -> None:
    """Python's own regular expressions would try 2 to the power of 5000 ways."""
    path = f"$[?{way}(@, '(a+)+b')]"
    assert refusal(body_runner(path), "", {}, ["a" * 5000])[1].startswith("this JSONPath finds nothing")
    assert arguments(body_runner(path), body=["a" * 5000 + "b"]) == ["a" * 5000 + "b"]


def test_a_pattern_in_a_filter_means_what_rfc_9535_says() -> None:
    body = [{"v": "abc"}, {"v": "xabc"}, {"v": 1}, {"v": "\ud800"}, {"v": "Ümit"}]
    assert arguments(body_runner("$[?match(@.v, 'a.c')].v"), body=body) == ["abc"]
    assert arguments(body_runner("$[?search(@.v, 'a.c')].v", repeat_body=True), body=body) == ["abc", "xabc"]
    assert arguments(body_runner("$[?match(@.v, '[\\\\p{Lu}].*')].v"), body=body) == ["Ümit"]
    for pattern in ("(", "a{2,1}", "(?=a)", "x" * 2000):
        assert refusal(body_runner("$[?match(@.v, $[0].p)].v"), "", {}, [{"p": pattern, "v": "a"}])[1]


def test_a_value_that_looks_like_an_option_is_refused_unless_it_cannot_be_one() -> None:
    for value in ("--help", "-", "-rf", "-1x", "--"):
        assert refusal(query_runner("$V"), query={"v": [value]})[0] == "query.v"
    for value in ("-5", "-1.5e-3", "-.5"):
        assert arguments(query_runner("$V"), query={"v": [value]}) == [value]
    assert arguments(query_runner("--", "$V"), query={"v": ["--help"]}) == ["--", "--help"]
    assert arguments(query_runner("--v=$V", "-$V"), query={"v": ["-x"]}) == ["--v=-x", "--x"]
    assert arguments(query_runner("$V", allow_options=True), query={"v": ["--help"]}) == ["--help"]


def test_what_no_argument_can_hold_is_refused() -> None:
    assert refusal(query_runner("$V"), query={"v": ["a\0b"]}) == ("query.v", "expected text without NUL")
    assert refusal(body_runner("$.v"), body=b'{"v": "\\ud800"}')[0] == "body.$.v"
    assert refusal(query_runner("$V"), query={"v": ["x" * (MAX_ARGUMENT_BYTES + 1)]})[0] == "query.v"
    assert refusal(query_runner("$V$V"), query={"v": ["x" * (MAX_ARGUMENT_BYTES // 2 + 1)]})[0] == "query.v"
    assert refusal(query_runner("$V"), "x" * (MAX_PATH_CHARS + 1), {"v": ["1"]})[0] == "path"


def test_there_are_only_so_many_arguments_and_bytes() -> None:
    call = Call(query={"v": ["xxxx"] * 10_000})
    for limits in ({"most": 1000, "most_bytes": 10**6}, {"most": 10**6, "most_bytes": 49_999}):
        with pytest.raises(InvalidInput, match="expected"):
            arguments_of(query_runner("$V", repeat_query=True), call, **limits)


@given(st.text(), st.text(alphabet="ab$V_RUNDIR -"))
def test_whatever_comes_there_is_one_argument_with_just_that_in_it_or_a_refusal(value: str, around: str) -> None:
    file = query_runner(around, "$V")
    try:
        first, last = arguments(file, query={"v": [value]})
    except InvalidInput:
        return
    assert last == value
    assert first.count("$RUNDIR") == around.count("$RUNDIR")
