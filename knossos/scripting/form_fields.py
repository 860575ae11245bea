"""The fields of a form as an operator describes them, in the words of ``form_elements`` (`forms.py` says which).

Owns what a description may say. What always holds of one that was read: names are unique within their group and are
paths of one step, numbers are in order, a value that is set beforehand is one that its field takes.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from knossos import timed_patterns

#: The largest whole number that a browser holds exactly, and the largest other one that a field takes.
MAX_INTEGER = 2**53 - 1
MAX_NUMBER = 1e15
#: Characters of a text: where a field does not say it, and the most that one may say.
MAX_CHARS = 10_000
MOST_CHARS = 1_000_000
#: Rows of what is repeated, options of a list, fields of a form with those of its groups, groups in groups.
MAX_ROWS = 100
MAX_OPTIONS = 1000
MAX_FIELDS = 300
MAX_DEPTH = 5

#: It begins with a letter, so that it is never a row's number, nor a word that browsers know objects by.
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=64)]
Text = Annotated[str, Field(max_length=2000)]
Integer = Annotated[int, Field(ge=-MAX_INTEGER, le=MAX_INTEGER)]
Number = Annotated[float, Field(ge=-MAX_NUMBER, le=MAX_NUMBER, allow_inf_nan=False)]


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Repeat(Model):
    """How often what has it may be there."""

    min: Annotated[int, Field(ge=0, le=MAX_ROWS)] = 0
    max: Annotated[int, Field(ge=1, le=MAX_ROWS)] = MAX_ROWS
    #: What one of them is called; as all of them where that is empty.
    label: Text = ""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min > self.max:
            raise ValueError("min is larger than max")
        return self


class FieldBase(Model):
    name: Name
    #: What people call it; its name where that is empty.
    label: Text = ""
    required: bool = False
    #: A sentence below the field.
    help: Text = ""
    repeat: Repeat | None = None

    @model_validator(mode="before")
    @classmethod
    def _default_is_a_value(cls, data: Any) -> Any:
        """``default`` is another word for ``value``."""
        if isinstance(data, dict) and "default" in data and "value" in cls.model_fields and "value" not in data:
            return {("value" if name == "default" else name): value for name, value in data.items()}
        return data

    @property
    def title(self) -> str:
        return self.label or self.name

    @property
    def row_title(self) -> str:
        """What one row is called, before its number."""
        return (self.repeat.label if self.repeat else "") or self.title


class TextField(FieldBase):
    """``text`` is one line, ``textarea`` several."""

    type: Literal["text", "textarea"]
    value: str = ""
    placeholder: Text = ""
    max_length: Annotated[int, Field(ge=1, le=MOST_CHARS)] = MAX_CHARS
    #: A regular expression that all of the text has to match, as in HTML.
    pattern: Annotated[str, Field(max_length=1000)] | None = None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.pattern is not None:
            try:
                timed_patterns.read(self.pattern, ascii_only=True)
            except ValueError as error:
                raise ValueError(f"pattern: {error}") from error
        if len(self.value) > self.max_length:
            raise ValueError("value is longer than max_length")
        return self


class OrderedField(FieldBase):
    """A field whose values have an order, and so may have a least and a largest one."""

    placeholder: Text = ""

    def _check_order(self, low: Any, value: Any, high: Any) -> None:
        if low is not None and high is not None and low > high:
            raise ValueError("min is larger than max")
        if value is not None and ((low is not None and value < low) or (high is not None and value > high)):
            raise ValueError("value is not between min and max")


class IntegerField(OrderedField):
    type: Literal["integer"]
    value: Integer | None = None
    min: Integer | None = None
    max: Integer | None = None
    #: Values are so far apart, counted from ``min``, or else from 0.
    step: Annotated[int, Field(ge=1, le=MAX_INTEGER)] | None = None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        self._check_order(self.min, self.value, self.max)
        return self


class DoubleField(OrderedField):
    type: Literal["double"]
    value: Number | None = None
    min: Number | None = None
    max: Number | None = None
    step: Annotated[float, Field(ge=1e-6, le=MAX_NUMBER, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        self._check_order(self.min, self.value, self.max)
        return self


class DateField(OrderedField):
    """Days are texts: YYYY-MM-DD."""

    type: Literal["date"]
    value: date | None = None
    min: date | None = None
    max: date | None = None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        self._check_order(self.min, self.value, self.max)
        return self


class CheckboxField(FieldBase):
    """``required``: it has to be ticked."""

    type: Literal["checkbox"]
    value: bool = False


class Option(Model):
    value: Annotated[str, Field(min_length=1, max_length=2000)]
    label: Text = ""

    @property
    def title(self) -> str:
        return self.label or self.value


def _as_option(data: Any) -> Any:
    """A text is an option that is called as its value is."""
    return {"value": data} if isinstance(data, str) else data


class SelectField(FieldBase):
    type: Literal["select"]
    options: Annotated[
        tuple[Annotated[Option, BeforeValidator(_as_option)], ...], Field(min_length=1, max_length=MAX_OPTIONS)
    ]
    multiple: bool = False
    #: One option's value; a list of them where ``multiple``.
    value: str | tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        values = [option.value for option in self.options]
        if len(set(values)) < len(values):
            raise ValueError("two options have the same value")
        if isinstance(self.value, tuple) and not self.multiple:
            raise ValueError("value is a list, and only one option can be chosen")
        if wrong := [one for one in self.chosen if one not in values]:
            raise ValueError(f"value is none of the options: {wrong[0]!r}")
        return self

    @property
    def chosen(self) -> tuple[str, ...]:
        """What is chosen beforehand."""
        return self.value if isinstance(self.value, tuple) else (self.value,) if self.value else ()


class FileField(FieldBase):
    type: Literal["file"]
    #: As in HTML: endings such as ``.csv`` and kinds such as ``image/*``, with commas between them.
    accept: Text = ""
    multiple: bool = False

    @property
    def endings(self) -> tuple[str, ...]:
        """Endings of the names that are accepted; none where they say too little, since a kind is no ending."""
        tokens = tuple(token.strip().lower() for token in self.accept.split(",") if token.strip())
        return tokens if all(token.startswith(".") for token in tokens) else ()


class GroupField(FieldBase):
    """Fields that belong together; its value is an object with theirs."""

    type: Literal["group"]
    fields: FieldList


AnyField = Annotated[
    TextField | IntegerField | DoubleField | DateField | CheckboxField | SelectField | FileField | GroupField,
    Field(discriminator="type"),
]


def _check_names(fields: tuple[FieldBase, ...]) -> tuple[FieldBase, ...]:
    seen: set[str] = set()
    for one in fields:
        if one.name in seen:
            raise ValueError(f"two fields are called {one.name!r}")
        seen.add(one.name)
    return fields


FieldList = Annotated[tuple[AnyField, ...], Field(min_length=1, max_length=MAX_FIELDS)]


class Form(Model):
    """A form: what is asked of the caller, and becomes ``form.json``."""

    #: The script that gets it. Beside a script it says nothing new.
    script: Annotated[str, Field(max_length=500)] = ""
    fields: FieldList
    #: What the button says.
    submit: Annotated[str, Field(min_length=1, max_length=60)] = "Run"

    @model_validator(mode="after")
    def _agree(self) -> Self:
        count = _count(self.fields, 1)
        if count > MAX_FIELDS:
            raise ValueError(f"there are {count} fields; at most {MAX_FIELDS} are possible")
        return self


def _count(fields: tuple[FieldBase, ...], depth: int) -> int:
    """How many fields there are. Raises ValueError where names repeat or groups are too deep in each other."""
    if depth > MAX_DEPTH:
        raise ValueError(f"groups lie more than {MAX_DEPTH} deep in each other")
    _check_names(fields)
    return sum(1 + (_count(one.fields, depth + 1) if isinstance(one, GroupField) else 0) for one in fields)


GroupField.model_rebuild()
Form.model_rebuild()


def path_of(location: tuple[int | str, ...]) -> str:
    """Where in a description something is wrong, from pydantic's words: without the types that it puts in between."""
    kept: list[int | str] = []
    for number, part in enumerate(location):
        if number > 1 and isinstance(location[number - 1], int) and location[number - 2] == "fields":
            continue
        kept.append(part)
    return ".".join(map(str, kept))
