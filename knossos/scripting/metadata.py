"""What an operator says of a script, in a JSON file beside it: ``handle.py`` has its in ``handle.py.json``.

All of it is optional. An unknown name, a wrong type or a number out of range is an error that names the file and the
field; the script is not offered then, since its limits are not known.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from knossos.scripting.form_fields import Form

Bytes = Annotated[int, Field(ge=1, le=2**50)]
Seconds = Annotated[float, Field(gt=0, le=10 * 365 * 86400)]


class RunLimits(BaseModel):
    """Limits of a run that differ from the settings SCRIPT_*; None: those hold. They share their names and units."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    timeout_seconds: Seconds | None = None
    cpu_seconds: Seconds | None = None
    memory_bytes: Bytes | None = None
    file_bytes: Bytes | None = None
    disk_bytes: Bytes | None = None
    output_bytes: Annotated[int, Field(ge=1024, le=2**28)] | None = None
    processes: Annotated[int, Field(ge=1, le=100_000)] | None = None
    open_files: Annotated[int, Field(ge=3, le=1_000_000)] | None = None


class ScriptMetadata(BaseModel):
    """The file beside a script."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: What lists call it; its path where that is empty.
    title: Annotated[str, Field(max_length=200)] = ""
    #: What it does, in plain text.
    description: Annotated[str, Field(max_length=10_000)] = ""
    #: The form of its page, in the words of ``form_elements`` (`forms.py`); None: its page asks for arguments.
    form: Form | None = None
    #: What its standard output is.
    output: Literal["text", "html"] = "text"
    limits: RunLimits = RunLimits()
    #: Whether it may use the network of the machine.
    network: bool = False
    #: Whether it may send mail.
    mail: bool = False
    #: How many runs of it may be under way at once, whoever started them; None: as many as their owners may have.
    concurrency: Annotated[int, Field(ge=1, le=1000)] | None = None
    #: How often a run is started again whose worker was lost. Above 0 only where running it twice does no harm.
    retries: Annotated[int, Field(ge=0, le=10)] = 0
    #: Seconds for which output and files are kept; None: SCRIPT_RESULT_LIFETIME.
    keep_seconds: Seconds | None = None
