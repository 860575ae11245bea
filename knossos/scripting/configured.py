"""What is wrong in a file of the operator's, in the words of the file rather than of the library that checks it.

Pure. A runner's file, the file beside a script and AUTHTOKEN_CONFIG are all explained so: the field, and what was
expected there.
"""

from __future__ import annotations

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from knossos.packaging.description.problems import json_kind, message_of
from knossos.scripting.form_fields import path_of


def explained(error: ValidationError, before: str = "") -> str:
    """The first thing that is wrong, with its field where it has one.

    Args:
        before: where in the file what was checked stands.
    """
    first = error.errors()[0]
    reason = reason_of(first)
    of_tag = "type" if first["type"].startswith("union_tag_") else ""
    place = ".".join(filter(None, (before, path_of(first["loc"]), of_tag)))
    return f"{place}: {reason}" if place else reason


def reason_of(error: ErrorDetails) -> str:
    """What was expected there."""
    context = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            return "there is no such field"
        case "union_tag_not_found":
            return "this is required"
        case "union_tag_invalid":
            return f"expected one of {context['expected_tags']}, but this is '{context['tag']}'"
        case "greater_than":
            return f"expected a number over {context['gt']:g}"
        case "string_pattern_mismatch":
            return f"expected text that matches {context['pattern']}"
        case "string_too_long":
            return f"expected at most {context['max_length']} characters"
        case "string_too_short":
            return f"expected at least {context['min_length']} characters"
        case "tuple_type":
            return message_of({**error, "type": "list_type"})
        case "int_parsing" | "int_from_float" | "bool_parsing":
            return message_of({**error, "type": f"{error['type'].partition('_')[0]}_type"})
        case "float_type" | "float_parsing":
            return f"expected a number, but this is {json_kind(error['input'])}"
        case _:
            return message_of(error)
