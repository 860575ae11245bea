"""JSON as the standard has it: no NaN, no infinity, and no more than one can hold."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn


def read_json(text: str | bytes, most_values: int) -> Any:
    """The document.

    Raises:
        ValueError: it is none, or has more than ``most_values`` values; its text says what is wrong.
    """
    # Each value but the first has a comma, or the bracket of what it is in, before it.
    counted = map(text.count, ",[{") if isinstance(text, str) else map(text.count, (b",", b"[", b"{"))
    if sum(counted) > most_values:
        raise ValueError(f"it has more than {most_values} values")
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:100]} is too large")
    return number
