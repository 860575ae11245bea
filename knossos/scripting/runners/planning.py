"""From a call of a runner to the plan that the worker follows."""

from __future__ import annotations

from knossos.scripting.plan import ResultsPlan, RunKind, RunPlan
from knossos.scripting.run_records import new_run_id
from knossos.scripting.runners.folder import Runner
from knossos.scripting.runners.inputs import Call, arguments_of
from knossos.scripting.runners.model import Results
from knossos.settings import Settings

#: Folder that every run's directory has.
OUT = "out"


def plan_of(runner: Runner, call: Call, settings: Settings) -> RunPlan:
    """The plan of one call.

    Raises:
        InvalidInput: the request lacks a value, or has one that cannot be.
    """
    file = runner.file
    arguments = arguments_of(file, call, most=settings.script_arguments, most_bytes=settings.script_argument_bytes)
    return RunPlan(
        run_id=new_run_id(),
        kind=RunKind.RUNNER,
        name=runner.name,
        program=runner.program,
        arguments=arguments,
        rundir_in_arguments=True,
        template=runner.command_rundir_base,
        folders=(OUT,),
        parent=runner.command_rundir,
        read_paths=runner.read_paths,
        limits=file.limits,
        network=file.network,
        mail=file.mail,
        attachments=file.outputs.attachments,
        results=None if file.outputs.results is None else _results(file.outputs.results),
        keep_seconds=file.keep_seconds or settings.script_result_lifetime,
    )


def _results(results: Results) -> ResultsPlan:
    columns = results.remapped_columns
    return ResultsPlan(
        source=results.kind,
        format=results.format,
        path=results.input_path or "" if results.kind == "file" else "",
        columns=tuple(column.as_plan() for column in columns) if columns else None,
    )
