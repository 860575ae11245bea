"""A runner's JSON file: the words of script-runner.md, and ours beside them.

What the file says is checked as far as it can be without looking at the machine; programs and folders are looked for by
`folder.py`. An unknown name, a wrong type or a pattern that is none is an error that names the field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from knossos import timed_patterns
from knossos.scripting.metadata import RunLimits, Seconds
from knossos.scripting.plan import CsvColumn
from knossos.scripting.runners.json_paths import compiled_path

#: The name that stands for the run's own directory; the worker puts that in.
RUNDIR = "RUNDIR"
#: Most arguments of a command as it is configured, and most inputs of each kind.
MAX_ARGUMENTS = 1000
MAX_INPUTS = 100

#: Programs that run a text among their arguments.
_INTERPRETERS = r"(ba|da|z|k|a)?sh|(python|perl|ruby|node|Rscript)[0-9.]*"
#: Their options before such a text, alone or with others in one word (``-lc``), and those that have a value of their
#: own after them.
_BEFORE_PROGRAM = r"-[A-Za-z0-9]*[ceEp].*|--(eval|print)(=.*)?"
_BEFORE_VALUE = r"[-+][A-Za-z]*[oOWX]"


def _env_name(name: str) -> str:
    if name == RUNDIR:
        raise ValueError("this name stands for the run's own directory already")
    return name


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("expected text without NUL")
    return text


def _inside(path: str) -> str:
    parts = PurePosixPath(_no_nul(path)).parts
    if not parts or path.startswith("/") or ".." in parts:
        raise ValueError("expected a path below the run's directory, such as 'out/results.csv'")
    return path


def _regex(pattern: str) -> str:
    timed_patterns.read(pattern)
    return pattern


def _json_path(path: str) -> str:
    compiled_path(path)
    return path


EnvName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$"), AfterValidator(_env_name)]
PlainText = Annotated[str, Field(max_length=10_000), AfterValidator(_no_nul)]
InsidePath = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_inside)]
Regex = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_regex)]
Path = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_json_path)]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Input(Part):
    """Where a value comes from, and the name that stands for it in the command."""

    env_var_name: EnvName
    #: Whether the value may begin with "-" where an argument begins with it: the program would take it for an option.
    allow_options: bool = False


class PathArg(Input):
    path_regex: Regex
    path_regex_match_group: Annotated[int, Field(ge=0, le=99)] = 0

    @model_validator(mode="after")
    def _has_the_group(self) -> Self:
        groups = timed_patterns.read(self.path_regex).groups
        if self.path_regex_match_group > groups:
            raise ValueError(f"path_regex_match_group: path_regex has {groups} groups")
        return self


class QueryArg(Input):
    query_var_name: Annotated[str, Field(min_length=1, max_length=200)]
    #: Whether it may come more than once; each argument that has its name in it is then repeated for each value.
    repeat_query: bool = False


class BodyArg(Input):
    body_jsonpath: Path
    #: The same for a JSONPath with more than one match.
    repeat_body: bool = False


class Inputs(Part):
    path_args: Annotated[tuple[PathArg, ...], Field(max_length=MAX_INPUTS)] = ()
    query_args: Annotated[tuple[QueryArg, ...], Field(max_length=MAX_INPUTS)] = ()
    body_args: Annotated[tuple[BodyArg, ...], Field(max_length=MAX_INPUTS)] = ()

    @property
    def all(self) -> tuple[Input, ...]:
        return (*self.path_args, *self.query_args, *self.body_args)

    @property
    def repeated(self) -> frozenset[str]:
        """Names that may stand for more than one value."""
        queries = [one.env_var_name for one in self.query_args if one.repeat_query]
        return frozenset([*queries, *(one.env_var_name for one in self.body_args if one.repeat_body)])


class Column(Part):
    output_name: Annotated[str, Field(max_length=1000)]
    input_name: Annotated[str, Field(max_length=1000)]
    skip_list: tuple[str, ...] | None = None

    def as_plan(self) -> CsvColumn:
        return CsvColumn(output_name=self.output_name, input_name=self.input_name, skip_list=self.skip_list or ())


class Results(Part):
    kind: Literal["file", "stdout", "stderr"]
    format: Literal["csv", "json"]
    input_path: InsidePath | None = None
    remapped_columns: tuple[Column, ...] | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.kind == "file" and self.input_path is None:
            raise ValueError('input_path: expected a path, since kind is "file"')
        if self.remapped_columns and self.format != "csv":
            raise ValueError('remapped_columns: expected none, since format is not "csv"')
        names = [column.output_name for column in self.remapped_columns or ()]
        if len(set(names)) < len(names):
            raise ValueError("remapped_columns: expected different output_names")
        return self


class Outputs(Part):
    results: Results | None = None
    #: Glob patterns of files in the run's directory that are kept.
    attachments: Annotated[tuple[InsidePath, ...], Field(max_length=1000)] = ()


class RunnerFile(Part):
    """All of a runner's file."""

    #: The program, and what follows it; ``$NAME`` in an argument is replaced by a value.
    command: Annotated[tuple[PlainText, ...], Field(min_length=1, max_length=MAX_ARGUMENTS)]
    #: Folder in which run directories are made; None: the task's own.
    command_rundir: PlainText | None = None
    #: Folder whose contents are copied into each run directory first.
    command_rundir_base: PlainText | None = None
    inputs: Inputs = Inputs()
    outputs: Outputs = Outputs()

    #: What lists call it; its name where that is empty.
    title: Annotated[str, Field(max_length=200)] = ""
    #: What it does, in plain text.
    description: Annotated[str, Field(max_length=10_000)] = ""
    limits: RunLimits = RunLimits()
    #: Whether it may use the network of the machine.
    network: bool = False
    #: Whether it may send mail.
    mail: bool = False
    #: Files and folders that it may read besides the system's programs and the files that its command names.
    read_paths: Annotated[tuple[PlainText, ...], Field(max_length=100)] = ()
    #: How many runs of it may be under way at once, whoever started them; None: as many as their owners may have.
    concurrency: Annotated[int, Field(ge=1, le=1000)] | None = None
    #: How often a run is started again whose worker was lost. Above 0 only where running it twice does no harm.
    retries: Annotated[int, Field(ge=0, le=10)] = 0
    #: Seconds for which output and files are kept; None: SCRIPT_RESULT_LIFETIME.
    keep_seconds: Seconds | None = None

    #: Words of the old server that say nothing here: they are taken so that its files work as they are.
    debug: Any = None
    celery_result_backend: Any = None
    celery_broker_url: Any = None

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        names = [one.env_var_name for one in self.inputs.all]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"inputs: the env_var_name {twice} is there twice")
        replaced = name_pattern((*names, RUNDIR))
        if not self.command[0] or replaced.search(self.command[0]):
            raise ValueError("command: expected a program first, without a $NAME in it")
        for option, text in _programs_in(self.command):
            if [name for name in replaced.findall(text) if name != RUNDIR]:
                raise ValueError(
                    f"command: the text after {option} is a program, into which no $NAME may go; "
                    "give values as arguments after it"
                )
        for argument in self.command[1:]:
            if len({name for name in replaced.findall(argument) if name in self.inputs.repeated}) > 1:
                raise ValueError(f"command: {argument!r} has two names in it that may be repeated")
        return self


def _programs_in(command: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each text that an interpreter in a command may run as a program, with the option before it.

    The interpreter may be called by another program (``env``, ``timeout``). What follows its own script are that
    script's arguments; there only ``-c`` and ``-e``, written alone, count.
    """
    for number, word in enumerate(command):
        if re.fullmatch(_INTERPRETERS, PurePosixPath(word).name):
            arguments = command[number + 1 :]
            yield from (pair for pair in pairwise(arguments) if pair[0] in ("-c", "-e"))
            yield from _among_options(arguments)


def _among_options(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    option, is_value = "", False
    for argument in arguments:
        is_operand = not is_value and argument[:1] not in ("-", "+")
        if option:
            yield option, argument
        if is_operand:
            return
        if not is_value and re.fullmatch(_BEFORE_PROGRAM, argument, re.DOTALL):
            option = argument.partition("=")[0][:20]
            yield option, argument
        is_value = not is_value and re.fullmatch(_BEFORE_VALUE, argument) is not None


def name_pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    """Finds ``$NAME`` of any of the names; the longest first, so that $CITY does not eat $CITYNAME."""
    return re.compile(r"\$(" + "|".join(map(re.escape, sorted(names, key=len, reverse=True))) + ")")
