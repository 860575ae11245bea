"""What one field of a form takes: pure functions from what was sent to the value, or to the reason why not.

``static/js/forms/check.js`` has the same rules in the same words, and a test holds the two together. An empty field
that is not required is no mistake: it is "" as a text, None as a number, a day, a choice or a file.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Collection
from datetime import date
from typing import Any

from knossos import timed_patterns
from knossos.scripting.form_fields import (
    MAX_INTEGER,
    MAX_NUMBER,
    CheckboxField,
    DateField,
    DoubleField,
    FieldBase,
    FileField,
    IntegerField,
    SelectField,
    TextField,
)

#: What the values become; no file of a form may be called so.
FORM_NAME = "form.json"

NEEDED = "Fill this in."
TICK = "This has to be ticked."
CHOOSE = "Choose one of these."
CHOOSE_FILE = "Choose a file."
WHOLE_NUMBER = "Expected a whole number, such as 3."
NUMBER = "Expected a number, such as 2.5."
DAY = "Expected a day, such as 2024-05-31."
TEXT = "Expected a text."

_log = logging.getLogger(__name__)

_BLANK = re.compile(r"[ \t\r\n]*")
_WHOLE = re.compile(r"[+-]?[0-9]{1,16}")
_NUMBER = re.compile(r"[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
#: How far a number may be from its next step, in steps: numbers of a computer are not exact.
_STEP_TOLERANCE = 1e-9


class WrongValue(ValueError):
    """Why a field does not take what was sent, as a sentence for the one who sent it."""


def is_empty(value: Any) -> bool:
    """Whether a field was left alone."""
    return value is None or value == [] or (isinstance(value, str) and _BLANK.fullmatch(value) is not None)


def value_of(field: FieldBase, sent: Any, file_names: Collection[str]) -> Any:
    """The value of a field that is no group.

    Args:
        sent: what JSON or an HTML form says.
        file_names: names of the files that come with it.

    Raises:
        WrongValue
    """
    if isinstance(field, CheckboxField):
        return _ticked(field, sent)
    if is_empty(sent):
        return _nothing(field, sent)
    match field:
        case TextField():
            return _text(field, sent)
        case IntegerField():
            return _integer(field, sent)
        case DoubleField():
            return _double(field, sent)
        case DateField():
            return _day(field, sent)
        case SelectField():
            return _choice(field, sent)
        case FileField():
            return _files(field, sent, file_names)
    raise TypeError(f"{field.name} has no value of its own")


def _nothing(field: FieldBase, sent: Any) -> Any:
    if field.required:
        raise WrongValue(
            CHOOSE if isinstance(field, SelectField) else CHOOSE_FILE if isinstance(field, FileField) else NEEDED
        )
    if isinstance(field, TextField):
        # Blanks are a text, too, where that is allowed.
        return _text(field, sent) if sent else ""
    return [] if isinstance(field, SelectField | FileField) and field.multiple else None


def _ticked(field: CheckboxField, sent: Any) -> bool:
    if sent is not None and not isinstance(sent, bool) and sent not in ("", "on", "true", "false"):
        raise WrongValue("Expected yes or no.")
    ticked = sent is True or sent in ("on", "true")
    if field.required and not ticked:
        raise WrongValue(TICK)
    return ticked


def _text(field: TextField, sent: Any) -> str:
    if not isinstance(sent, str):
        raise WrongValue(TEXT)
    text = sent.replace("\r\n", "\n")
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise WrongValue("This holds a character that no text has.")
    if field.type == "text" and ("\n" in text or "\r" in text):
        raise WrongValue("This has to be one line.")
    if len(text) > field.max_length:
        raise WrongValue(f"At most {field.max_length} characters.")
    # As in browsers, \d and its like stand for ASCII only.
    if field.pattern is not None and not _is_blank(text) and not _has_form(field.pattern, text):
        raise WrongValue("This does not have the form that is expected.")
    return text


def _has_form(pattern: str, text: str) -> bool:
    try:
        return timed_patterns.is_all(pattern, text)
    except TimeoutError as error:
        _log.warning("a text would keep the pattern of a form busy for too long: %s", pattern)
        raise WrongValue("This takes too long to check.") from error


def _is_blank(text: str) -> bool:
    return _BLANK.fullmatch(text) is not None


def _integer(field: IntegerField, sent: Any) -> int:
    is_text = isinstance(sent, str) and _WHOLE.fullmatch(sent.strip(" "))
    if not is_text and not (_is_number(sent) and sent == int(sent)):
        raise WrongValue(WHOLE_NUMBER)
    number = int(sent)
    _check_range(number, field.min, field.max, MAX_INTEGER)
    _check_step(number, field.min, field.step)
    return number


def _double(field: DoubleField, sent: Any) -> float:
    is_text = isinstance(sent, str) and _NUMBER.fullmatch(sent.strip(" "))
    if not is_text and not _is_number(sent):
        raise WrongValue(NUMBER)
    number = float(sent)
    _check_range(number, field.min, field.max, MAX_NUMBER)
    _check_step(number, field.min, field.step)
    return number


def _is_number(sent: Any) -> bool:
    """Whether this is a number of JSON that is finite, also as a float."""
    return isinstance(sent, int | float) and not isinstance(sent, bool) and abs(sent) < 1e300


def _check_range(number: float, low: float | None, high: float | None, most: float) -> None:
    low, high = -most if low is None else low, most if high is None else high
    if number < low:
        raise WrongValue(f"At least {_shown(low)}.")
    if number > high:
        raise WrongValue(f"At most {_shown(high)}.")


def _check_step(number: float, low: float | None, step: float | None) -> None:
    if step is None:
        return
    steps = (number - (low or 0)) / step
    if abs(steps - math.floor(steps + 0.5)) > _STEP_TOLERANCE * max(1.0, abs(steps)):
        raise WrongValue(f"In steps of {_shown(step)}, counted from {_shown(low or 0)}.")


def _shown(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(number)


def _day(field: DateField, sent: Any) -> str:
    try:
        day = date.fromisoformat(sent) if isinstance(sent, str) and _DAY.fullmatch(sent) else None
    except ValueError:
        day = None
    if day is None:
        raise WrongValue(DAY)
    if field.min is not None and day < field.min:
        raise WrongValue(f"Not before {field.min}.")
    if field.max is not None and day > field.max:
        raise WrongValue(f"Not after {field.max}.")
    return day.isoformat()


def _choice(field: SelectField, sent: Any) -> str | list[str]:
    options = {option.value for option in field.options}
    chosen = sent if isinstance(sent, list) else [sent]
    if any(not isinstance(one, str) or one not in options for one in chosen) or (
        len(chosen) > 1 and not field.multiple
    ):
        raise WrongValue(CHOOSE)
    return list(dict.fromkeys(chosen)) if field.multiple else str(chosen[0])


def _files(field: FileField, sent: Any, file_names: Collection[str]) -> str | list[str]:
    names = sent if isinstance(sent, list) else [sent]
    if any(not isinstance(name, str) or name not in file_names for name in names):
        raise WrongValue(CHOOSE_FILE)
    if len(names) > 1 and not field.multiple:
        raise WrongValue("Choose one file only.")
    for name in names:
        if field.endings and not name.lower().endswith(field.endings):
            raise WrongValue(f"Expected a file whose name ends in {' or '.join(field.endings)}.")
        if name == FORM_NAME:
            raise WrongValue(f"A file of a form cannot be called {FORM_NAME}: give it another name.")
    return list(names) if field.multiple else str(names[0])
