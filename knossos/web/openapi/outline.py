"""A schema as a few lines of text that people can read at a glance. Pure.

The shape of JSON, with a type where a value would be, ``?`` behind what may be left out, and what is said of a field
behind it. Named shapes are named, not repeated.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

_WORDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "null"}
_STEP = "  "


def outline(schema: Mapping[str, Any]) -> str:
    """The lines, without one at the end."""
    return "\n".join(_lines(schema, ""))


def kind_of(schema: Mapping[str, Any]) -> str:
    """The type of a value in a few words, for a column of a table."""
    if schema.get("format") == "binary":
        return "file"
    return " ".join(" ".join(_lines(schema, "")).split())


def about(schema: Mapping[str, Any]) -> str:
    """What is said of it: of the first alternative, where it has some."""
    found = schema.get("description") or next(
        (one["description"] for one in schema.get("anyOf", ()) if one.get("description")), ""
    )
    return " ".join(str(found).split())


def _lines(schema: Mapping[str, Any], margin: str) -> Iterator[str]:
    if "$ref" in schema:
        yield schema["$ref"].rpartition("/")[2]
    elif choices := schema.get("anyOf") or schema.get("oneOf"):
        yield from _joined([list(_lines(one, margin)) for one in choices], margin)
    elif "const" in schema:
        yield json.dumps(schema["const"])
    elif "enum" in schema:
        yield " | ".join(json.dumps(value) for value in schema["enum"])
    elif schema.get("properties"):
        yield from _fields(schema, margin)
    elif schema.get("type") == "object":
        values = schema.get("additionalProperties")
        inner = list(_lines(values, margin)) if isinstance(values, Mapping) else ["anything"]
        yield from _wrapped("{text: ", inner, "}")
    elif schema.get("type") == "array":
        parts = schema.get("prefixItems")
        if parts:
            yield "[" + ", ".join(kind_of(part) for part in parts) + "]"
        else:
            yield from _wrapped("[", list(_lines(schema.get("items") or {}, margin)), ", ...]")
    else:
        yield _WORDS.get(str(schema.get("type")), "anything")


def _fields(schema: Mapping[str, Any], margin: str) -> Iterator[str]:
    required, inside = schema.get("required", ()), margin + _STEP
    yield "{"
    for name, field in schema["properties"].items():
        lines = list(_lines(field, inside))
        said = f"  # {about(field)}" if about(field) and "$ref" not in field else ""
        mark = "" if name in required else "?"
        lines[0] = f"{inside}{json.dumps(name)}{mark}: {lines[0]}"
        lines[-1 if len(lines) == 1 else 0] += said
        yield from lines
    yield f"{margin}}}"


def _joined(blocks: list[list[str]], margin: str) -> list[str]:
    """Alternatives: long ones below each other."""
    lines = list(blocks[0])
    for block in blocks[1:]:
        if len(block) == 1:
            lines[-1] += f" | {block[0]}"
        else:
            lines[-1] += " |"
            lines += [margin + block[0], *block[1:]]
    return lines


def _wrapped(before: str, lines: list[str], after: str) -> list[str]:
    lines = [before + lines[0], *lines[1:]]
    lines[-1] += after
    return lines
