"""What a setting may be: its type, its bounds, and the words for it when it is something else.

The upper bounds are far beyond what makes sense; they keep out what would overflow a clock, a counter of Redis or the
machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from knossos.line_patterns import read_pattern

#: Bytes in a mebibyte and a gibibyte, so that defaults read well.
MIB = 1024**2
GIB = 1024**3


def as_tuple(value: Any) -> Any:
    """Accept a list where a tuple is meant, and refuse a bare string, whose letters would become items."""
    if isinstance(value, str):
        raise ValueError("expected a tuple such as ('one', 'two'); a tuple of one needs its comma: ('one',)")
    return tuple(value) if isinstance(value, list | tuple | set | frozenset) else value


#: What one line of a plot is made of, and how many a plot has at most.
_PLOT_KEYS = ("pattern", "label", "unit")
_MOST_LINES = 8
_MOST_LABEL_CHARS = 60


def as_plot_lines(value: Any) -> Any:
    """Lines of a plot, each with a pattern that can be read, a label and perhaps a unit."""
    if not isinstance(value, list | tuple) or len(value) > _MOST_LINES:
        raise ValueError(f"expected a tuple of at most {_MOST_LINES} dictionaries; of one it is ({{...}},)")
    for number, line in enumerate(value, 1):
        if not isinstance(line, dict) or not {"pattern", "label"} <= set(line) or set(line) - set(_PLOT_KEYS):
            raise ValueError(f"line {number}: expected a dictionary with pattern, label and perhaps unit")
        if not all(
            isinstance(text, str) and len(text) <= _MOST_LABEL_CHARS for text in (line["label"], line.get("unit", ""))
        ):
            raise ValueError(f"line {number}: label, unit: expected texts of at most {_MOST_LABEL_CHARS} characters")
        if not line["label"].strip():
            raise ValueError(f"line {number}: label: expected a text, since it stands beside the plot")
        if not isinstance(line["pattern"], str):
            raise ValueError(f"line {number}: pattern: expected a text")
        try:
            read_pattern(line["pattern"])
        except ValueError as error:
            raise ValueError(f"line {number}: pattern: {error}") from error
    return tuple(value)


def whole(least: int, most: int) -> Any:
    """A whole number within bounds."""
    return Field(ge=least, le=most, description=f"a whole number from {least} to {most}")


def number(least: float, most: float, unit: str = "") -> Any:
    """A number within bounds."""
    return Field(
        ge=least, le=most, description=f"a number {f'of {unit} ' if unit else ''}from {least:.10g} to {most:.10g}"
    )


Text = Annotated[str, Field(description="a text in quotation marks")]
Flag = Annotated[bool, Field(description="True or False")]
Folder = Annotated[Path, Field(description="the path of a folder, in quotation marks")]
FolderOrNone = Annotated[Path | None, Field(description="the path of a folder, in quotation marks, or None")]
Strings = Annotated[
    tuple[str, ...], BeforeValidator(as_tuple), Field(description="a tuple of texts such as ('one', 'two')")
]
Options = Annotated[
    dict[str, str], Field(description='a dictionary of texts such as {"endpoint": "https://s3.example.org"}')
]
Grants = Annotated[
    dict[str, Annotated[tuple[str, ...], BeforeValidator(as_tuple)]],
    Field(description='a dictionary of tuples such as {"curators": ("SCRIPTING:EXECUTE:tables/*",)}'),
]
PlotLines = Annotated[
    tuple[dict[str, str], ...],
    BeforeValidator(as_plot_lines),
    Field(description="a tuple of dictionaries with a pattern, a label and a unit"),
]
Address = Annotated[
    tuple[str, Annotated[int, Field(ge=0, le=65535)]],
    Field(description="a host and a port from 1 to 65535, such as ('127.0.0.1', 8080)"),
]
Level = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"], Field(description='"DEBUG", "INFO", "WARNING" or "ERROR"')
]
Provider = Annotated[
    Literal["knossos", "auth0", "oidc", "none"], Field(description='"knossos", "auth0", "oidc" or "none"')
]
#: From a millisecond to ten years.
Seconds = Annotated[float, number(0.001, 10 * 365 * 86400, "seconds")]
#: Up to a pebibyte.
Bytes = Annotated[int, whole(1, 1024 * 1024 * GIB)]
Count = Annotated[int, whole(1, 1_000_000_000)]
#: Of what each takes a process, a thread or a connection, or makes someone wait.
Few = Annotated[int, whole(1, 1000)]
FewOrNone = Annotated[int, whole(0, 1000)]
