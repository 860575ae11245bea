"""Forms: from what a visitor fills in to the ``form.json`` that a script reads.

A form is described in JSON, in the words of ``form_elements``: ``{"fields": [{"type": "text", "name": "title"}]}``. The
types are ``text``, ``textarea``, ``integer``, ``double``, ``date``, ``checkbox``, ``select``, ``file``, and
``group`` for fields that belong together; ``repeat`` makes a list of what has it. `form_fields.py` reads descriptions,
`form_values.py` knows what each field takes, and this puts whole forms together: pure functions over both.

What always holds: values that passed have every field of the form, each with a value of its type, and nothing else;
what is wrong is told at the path of its field, such as ``samples.1.volume``, all at once.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from knossos.errors import InvalidInput
from knossos.scripting.configured import reason_of
from knossos.scripting.form_fields import (
    CheckboxField,
    FieldBase,
    FileField,
    Form,
    GroupField,
    Repeat,
    SelectField,
    path_of,
)
from knossos.scripting.form_values import WrongValue, is_empty, value_of

#: Errors that are told at once.
MAX_ERRORS = 200

#: Names and values of an HTML form, several of the same name too. A file is there with its name as the value.
Pairs = Iterable[tuple[str, str]]


def read_form(data: object) -> Form:
    """The form that a description says.

    Raises:
        InvalidInput: it says something that is none; ``errors`` has the paths.
    """
    try:
        return Form.model_validate(data)
    except ValidationError as error:
        errors = [{"path": path_of(one["loc"]), "message": reason_of(one)} for one in error.errors()]
        first = errors[0]
        where = f"{first['path']}: " if first["path"] else ""
        raise InvalidInput(f"This is no form: {where}{first['message']}", errors=errors) from error


def check(form: Form, values: object, file_names: Collection[str] = ()) -> dict[str, Any]:
    """The values as the script gets them.

    Args:
        values: nested, as JSON has them; numbers may be texts, as HTML forms send them.
        file_names: base names of the files that come with them; a file's value is its name.

    Raises:
        InvalidInput: something is missing or wrong; ``errors`` says at which paths.
    """
    checked = _Check(frozenset(file_names))
    found: dict[str, Any] = checked.group(form.fields, values, "")
    if checked.errors:
        count = len(checked.errors)
        fields = "One field is" if count == 1 else f"{count} fields are"
        raise InvalidInput(f"{fields} to be put right.", errors=checked.errors[:MAX_ERRORS])
    return found


def called(form: Form, path: str) -> str:
    """What the field at a path is called where it does not stand beside it: "Samples: Sample 2: Volume"."""
    fields: Sequence[FieldBase] = form.fields
    field: FieldBase | None = None
    words: list[str] = []
    for part in path.split("."):
        if field is not None and field.repeat and part.isascii() and part.isdigit():
            words.append(f"{field.row_title} {int(part) + 1}")
            continue
        field = next((one for one in fields if one.name == part), None)
        if field is None:
            break
        words.append(field.title)
        fields = field.fields if isinstance(field, GroupField) else ()
    return ": ".join(words)


def document(values: Mapping[str, Any]) -> bytes:
    """``form.json``: what the script reads."""
    return json.dumps(values, ensure_ascii=False, indent=1).encode("utf-8")


class _Check:
    def __init__(self, file_names: frozenset[str]) -> None:
        self.errors: list[dict[str, str]] = []
        self._file_names = file_names
        self._used: set[str] = set()

    def group(self, fields: Sequence[FieldBase], values: object, path: str) -> dict[str, Any]:
        if values is None:
            values = {}
        if not isinstance(values, Mapping):
            self._wrong(path, "Expected values by the names of their fields.")
            return {}
        known = {field.name for field in fields}
        for name in values:
            if name not in known:
                self._wrong(_below(path, str(name)[:64]), "There is no such field.")
        return {field.name: self._field(field, values.get(field.name), _below(path, field.name)) for field in fields}

    def _field(self, field: FieldBase, sent: object, path: str) -> Any:
        if field.repeat is None:
            return self._one(field, sent, path)
        rows = [] if sent is None else sent
        if not isinstance(rows, list):
            self._wrong(path, "Expected a list.")
            return []
        numbered = [(number, row) for number, row in enumerate(rows) if field.required or not _is_idle(field, row)]
        if len(numbered) < _least(field):
            self._wrong(path, f"At least {_least(field)} of these.")
        if len(numbered) > field.repeat.max:
            self._wrong(path, f"At most {field.repeat.max} of these.")
            return []
        return [self._one(field, row, _below(path, str(number))) for number, row in numbered]

    def _one(self, field: FieldBase, sent: object, path: str) -> Any:
        if isinstance(field, GroupField):
            return self.group(field.fields, sent, path)
        try:
            value = value_of(field, sent, self._file_names)
            if isinstance(field, FileField):
                self._use(value)
        except WrongValue as reason:
            self._wrong(path, str(reason))
            return None
        return value

    def _use(self, names: str | list[str] | None) -> None:
        """Files lie side by side, so no two of them have the same name."""
        for name in names if isinstance(names, list) else [names] if names else []:
            if name in self._used:
                raise WrongValue(f"Another file of this form is called {name}, too: give one of them another name.")
            self._used.add(name)

    def _wrong(self, path: str, message: str) -> None:
        self.errors.append({"path": path, "message": message})


def _least(field: FieldBase) -> int:
    """How many rows there are at least: a list that is required has one."""
    repeat = field.repeat or Repeat()
    return max(repeat.min, 1 if field.required else 0)


def _is_idle(field: FieldBase, row: object) -> bool:
    """Whether a row of a list was left alone, and is none. Groups and ticks always are rows."""
    return not isinstance(field, GroupField | CheckboxField) and is_empty(row)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


# --- HTML forms ------------------------------------------------------------------------------------------


def nested(form: Form, pairs: Pairs) -> dict[str, Any]:
    """The values of an HTML form whose fields are called by their paths, ready for `check`.

    A row is there where something of it is: pages have a hidden field for each, ``samples.1``. Names that belong to no
    field are left out.
    """
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    # The rows of each list, by its path: every beginning of a name that ends in a number.
    rows: dict[str, set[int]] = {}
    for name in found:
        parts = name.split(".")
        for at, part in enumerate(parts[1:], 1):
            if part.isascii() and part.isdigit() and len(part) < 5:
                rows.setdefault(".".join(parts[:at]), set()).add(int(part))
    return _nested_group(form.fields, "", found, rows)


def _nested_group(
    fields: Sequence[FieldBase], path: str, found: Mapping[str, list[str]], rows: Mapping[str, set[int]]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in fields:
        own = _below(path, field.name)
        if field.repeat is None:
            values[field.name] = _nested_one(field, own, found, rows)
        else:
            numbers = sorted(rows.get(own, ()))
            values[field.name] = [_nested_one(field, _below(own, str(n)), found, rows) for n in numbers]
    return values


def _nested_one(field: FieldBase, path: str, found: Mapping[str, list[str]], rows: Mapping[str, set[int]]) -> Any:
    if isinstance(field, GroupField):
        return _nested_group(field.fields, path, found, rows)
    sent = [value for value in found.get(path, ()) if value != ""]
    if isinstance(field, CheckboxField):
        return sent[-1] if sent else False
    if isinstance(field, SelectField | FileField):
        return sent if field.multiple else (sent[0] if len(sent) == 1 else sent)
    return sent[0] if sent else ""


def beginning(form: Form) -> dict[str, Any]:
    """The values that a form is shown with at first."""
    return {field.name: _first_rows(field) for field in form.fields}


def _first_rows(field: FieldBase) -> Any:
    return first_value(field) if field.repeat is None else [first_value(field) for _ in range(_least(field))]


def first_value(field: FieldBase) -> Any:
    """What a field, or a new row, is shown with at first."""
    if isinstance(field, GroupField):
        return {one.name: _first_rows(one) for one in field.fields}
    if isinstance(field, SelectField):
        return list(field.chosen) if field.multiple else "".join(field.chosen)
    value = getattr(field, "value", None)
    return value if isinstance(value, bool) else "" if value is None else str(value)


def with_row(form: Form, values: Mapping[str, Any], path: str, *, remove: bool = False) -> dict[str, Any]:
    """Values with a row more at the end of the list at ``path``, or without the row at ``path``; for pages without
    scripts. They are returned as they are where there is no such list, or it has as many rows as it may."""
    changed: dict[str, Any] = json.loads(json.dumps(values))
    parts = path.split(".")
    number = parts.pop() if remove else ""
    place = _list_at(form, changed, parts)
    if place is None:
        return changed
    field, rows = place
    if remove and number.isascii() and number.isdigit() and len(number) < 5 and int(number) < len(rows):
        del rows[int(number)]
    elif not remove and field.repeat is not None and len(rows) < field.repeat.max:
        rows.append(first_value(field))
    return changed


def _list_at(form: Form, values: dict[str, Any], parts: Sequence[str]) -> tuple[FieldBase, list[Any]] | None:
    fields: Sequence[FieldBase] = form.fields
    here: Any = values
    field: FieldBase | None = None
    for part in parts:
        if isinstance(here, list):
            if not (part.isascii() and part.isdigit() and len(part) < 5 and int(part) < len(here)):
                return None
            here = here[int(part)]
            continue
        field = next((one for one in fields if one.name == part), None)
        if field is None or not isinstance(here, dict):
            return None
        here = here.setdefault(part, [] if field.repeat else {})
        fields = field.fields if isinstance(field, GroupField) else ()
    return (field, here) if field is not None and field.repeat and isinstance(here, list) else None
