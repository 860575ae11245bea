"""From a request to a command's arguments: what path, query and body say, put where the command names it.

Pure. What always holds: a value of a user's is one argument or a part of one, never a program, never more arguments
than the runner allows, and never a ``$NAME`` that is replaced again. Whatever is missing or cannot be is `InvalidInput`
at its place: ``path``, ``query.<name>``, ``body`` or ``body.<JSONPath>``.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from jsonpath import JSONPathError

from knossos import timed_patterns
from knossos.errors import InvalidInput
from knossos.scripting.runners.body_matches import TooManyLooks, values_at
from knossos.scripting.runners.json_paths import compiled_path
from knossos.scripting.runners.model import RUNDIR, BodyArg, Inputs, RunnerFile, name_pattern
from knossos.scripting.runners.strict_json import read_json
from knossos.setting_kinds import MIB

#: Most characters of the path that follows the endpoint.
MAX_PATH_CHARS = 500
#: Most values (members, items) of a body: a few bytes of JSON may take hundreds in memory.
MAX_BODY_VALUES = 100_000
#: Most bytes of one argument: Linux takes one byte less than 32 pages of 4 KiB.
MAX_ARGUMENT_BYTES = 32 * 4096 - 1
#: What begins like an option and is none.
_NUMBER = re.compile(r"-([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call:
    """What a request brings."""

    #: What follows the endpoint, without a slash before it.
    path: str = ""
    query: Mapping[str, Sequence[str]] | None = None
    #: The body as it came; b"" for none.
    body: bytes = b""


@dataclass(frozen=True)
class Value:
    """What stands for a name: one text, or several where the runner allows that."""

    name: str
    #: Where it came from, for messages.
    place: str
    texts: tuple[str, ...]
    may_be_option: bool


def arguments_of(runner: RunnerFile, call: Call, *, most: int, most_bytes: int) -> tuple[str, ...]:
    """What follows the program. ``$RUNDIR`` is left for the worker.

    Args:
        most, most_bytes: how many arguments there may be, and bytes in all of them.
    Raises:
        InvalidInput
    """
    values = values_of(runner.inputs, call)
    arguments = tuple(filled(runner.command[1:], values))
    if len(arguments) > most:
        _refuse("", f"expected at most {most} arguments; these are {len(arguments)}")
    size = sum(len(argument.encode()) + 1 for argument in arguments)
    if size > most_bytes:
        _refuse("", f"expected arguments of at most {most_bytes} bytes; these have {size}")
    return arguments


# --- values -----------------------------------------------------------------------------------------


def values_of(inputs: Inputs, call: Call) -> dict[str, Value]:
    """The values by the names that stand for them. A body that is there has to be JSON, whether it is used or not."""
    document = _document(call.body) if call.body or inputs.body_args else None
    found = [*_from_path(inputs, call.path), *_from_query(inputs, call.query or {}), *_from_body(inputs, document)]
    for value in found:
        for text in value.texts:
            _check_text(value.place, text)
    return {value.name: value for value in found}


def _from_path(inputs: Inputs, path: str) -> Iterator[Value]:
    if len(path) > MAX_PATH_CHARS:
        _refuse("path", f"expected at most {MAX_PATH_CHARS} characters")
    for one in inputs.path_args:
        match = _match(one.path_regex, path)
        text = None if match is None else match.group(one.path_regex_match_group)
        if text is None:
            _refuse("path", f"expected what matches {one.path_regex}, for {one.env_var_name}")
        yield Value(one.env_var_name, "path", (text,), one.allow_options)


def _match(pattern: str, path: str) -> timed_patterns.Match | None:
    try:
        return timed_patterns.match(pattern, path)
    except TimeoutError:
        _log.warning("a path would keep a runner's path_regex busy for too long: %s", pattern)
        _refuse("path", f"it takes too long to be compared with {pattern}")


def _from_query(inputs: Inputs, query: Mapping[str, Sequence[str]]) -> Iterator[Value]:
    for one in inputs.query_args:
        place, texts = f"query.{one.query_var_name}", tuple(query.get(one.query_var_name, ()))
        if not texts:
            _refuse(place, "this parameter is required")
        if len(texts) > 1 and not one.repeat_query:
            _refuse(place, f"expected it once; it is there {len(texts)} times")
        yield Value(one.env_var_name, place, texts, one.allow_options)


def _from_body(inputs: Inputs, document: Any) -> Iterator[Value]:
    for one in inputs.body_args:
        place, matches = f"body.{one.body_jsonpath}", _matches(one, document)
        if not matches:
            _refuse(place, f"this JSONPath finds nothing in the body; it is required for {one.env_var_name}")
        if len(matches) > 1 and not one.repeat_body:
            _refuse(place, f"expected one match for {one.env_var_name}; there are {len(matches)}")
        if None in matches:
            _refuse(place, f"expected a value for {one.env_var_name}, not null")
        yield Value(one.env_var_name, place, _texts(place, matches), one.allow_options)


def _matches(one: BodyArg, document: Any) -> list[Any]:
    try:
        return list(values_at(compiled_path(one.body_jsonpath), document))
    except (JSONPathError, RecursionError, TooManyLooks) as error:
        _refuse(f"body.{one.body_jsonpath}", f"this JSONPath cannot be used on this body: {error}")


def _texts(place: str, values: Sequence[Any]) -> tuple[str, ...]:
    """The values as texts; one that holds others may be there with each of those, so all are counted as they come."""
    texts, size = [], 0
    for value in values:
        texts.append(_as_text(value))
        size += len(texts[-1])
        if size > MIB:
            _refuse(place, f"expected values of at most {MIB} characters together")
    return tuple(texts)


def _document(body: bytes) -> Any:
    try:
        document = read_json(body, MAX_BODY_VALUES)
    except ValueError as error:
        _refuse("body", f"expected JSON: {error}")
    # The JSONPath library would read a text as JSON once more.
    if not isinstance(document, dict | list):
        _refuse("body", "expected a JSON object or list")
    return document


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _check_text(place: str, text: str) -> None:
    if "\0" in text:
        _refuse(place, "expected text without NUL")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        _refuse(place, "expected text; half of a character is in it")
    if size > MAX_ARGUMENT_BYTES:
        _refuse(place, f"expected at most {MAX_ARGUMENT_BYTES} bytes; this has {size}")


# --- arguments --------------------------------------------------------------------------------------


def filled(templates: Sequence[str], values: Mapping[str, Value]) -> Iterator[str]:
    """The arguments with their values in them; one with a repeated name in it comes once for each of its values."""
    pattern = name_pattern((*values, RUNDIR))
    only_operands = False
    for template in templates:
        names = pattern.findall(template)
        several = [name for name in names if name in values and len(values[name].texts) > 1]
        for number in range(len(values[several[0]].texts) if several else 1):
            argument = _replaced(pattern, template, values, number)
            _check_argument(template, argument, [values[name] for name in names if name in values], only_operands)
            yield argument
        only_operands = only_operands or template == "--"


def _replaced(pattern: re.Pattern[str], template: str, values: Mapping[str, Value], number: int) -> str:
    def text_of(match: re.Match[str]) -> str:
        if match[1] == RUNDIR:
            return match[0]
        texts = values[match[1]].texts
        return texts[number if len(texts) > 1 else 0]

    return pattern.sub(text_of, template)


def _check_argument(template: str, argument: str, used: Sequence[Value], only_operands: bool) -> None:
    if not used:
        return
    # Even where "$" is the end of a value and the name follows it in the template.
    if argument.count(f"${RUNDIR}") > template.count(f"${RUNDIR}"):
        _refuse(used[0].place, f"expected text without ${RUNDIR}")
    if len(argument.encode()) > MAX_ARGUMENT_BYTES:
        _refuse(used[0].place, f"expected at most {MAX_ARGUMENT_BYTES} bytes in an argument")
    looks_like_option = argument.startswith("-") and not template.startswith("-") and not _NUMBER.fullmatch(argument)
    if looks_like_option and not only_operands and not used[0].may_be_option:
        _refuse(used[0].place, "expected a value that does not begin with '-': the program would take it for an option")


def _refuse(place: str, message: str) -> NoReturn:
    raise InvalidInput.at(place, message)
