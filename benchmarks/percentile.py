"""What so many of a hundred values are at most: always one that was measured, never one beyond the greatest."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the values that ``percent`` of a hundred do not pass (nearest rank; 99 of 60: the greatest).

    Raises:
        ValueError: there are no values, or ``percent`` is not above 0 and at most 100.
    """
    if not values or not 0 < percent <= 100:
        raise ValueError(f"no value is the one that {percent} of 100 of {len(values)} do not pass")
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]
