"""The form of a script that brings none: its arguments and files, as a command line has them.

Pure. It is a form like any other (`forms.py`), so pages show and check it the same way; but its values become the
command line itself rather than a ``form.json``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from knossos.errors import InvalidInput
from knossos.scripting.arguments import BadArgument, fields_of
from knossos.scripting.form_fields import Form
from knossos.scripting.plan import UPLOADS
from knossos.settings import Settings

PLAIN_FORM = Form.model_validate(
    {
        "fields": [
            {
                "type": "text",
                "name": "arguments",
                "label": "Arguments",
                "help": "They follow the program's name in this order.",
                "repeat": {"label": "Argument"},
            },
            {
                "type": "group",
                "name": "named",
                "label": "Named arguments",
                "help": "Each is passed as --name=value, before the others.",
                "repeat": {"label": "Named argument"},
                "fields": [
                    {
                        "type": "text",
                        "name": "name",
                        "label": "Name",
                        "required": True,
                        "max_length": 100,
                        "pattern": r"\w[\w.\-]*",
                    },
                    {"type": "text", "name": "value", "label": "Value"},
                ],
            },
            {
                "type": "file",
                "name": "files",
                "label": "Files",
                "multiple": True,
                "help": f"The script finds them in {UPLOADS}, which is also how an argument names one of them.",
            },
        ]
    }
)


def arguments_of(settings: Settings, values: Mapping[str, Any]) -> tuple[str, ...]:
    """The command line of checked values.

    Raises:
        InvalidInput: they are too many, too long, or no arguments; ``errors`` says at which paths.
    """
    call = fields_of(settings)
    errors = []
    call.add("call", b"-")
    sent = [(f"named.{n}.name", f"-O{row['name']}", row["value"]) for n, row in enumerate(values["named"])]
    sent += [(f"arguments.{n}", f"-p{n}", text) for n, text in enumerate(values["arguments"])]
    for path, name, text in sent:
        try:
            call.add(name, text.encode("utf-8"))
        except BadArgument as error:
            errors.append({"path": path, "message": f"This cannot be passed on: {error.errors[0]['message']}."})
    if errors:
        raise InvalidInput("The arguments are to be put right.", errors=errors)
    return call.call().arguments


def values_of(arguments: Sequence[str]) -> dict[str, Any]:
    """The values of the form that gave those arguments, for running once more. Its files are gone."""
    named: list[dict[str, str]] = []
    rest = list(arguments)
    while rest and rest[0].startswith("--") and "=" in rest[0]:
        name, _, value = rest.pop(0)[2:].partition("=")
        named.append({"name": name, "value": value})
    return {"arguments": rest, "named": named, "files": []}
