"""What this process has counted for the operator and nobody has collected yet.

Everything may count here, at the price of adding to a number in memory; `knossos.jobs.counts` brings the sums into
Redis, where those of all processes on all machines meet. A process that is killed takes with it what it has counted
since, which is a second's worth.

What always holds: a process that is forked begins at nothing, so that nothing is counted twice.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

#: Stands between the parts of a counter's name: of the figure, and of its labels.
SEPARATOR = "\t"
#: Label of what is above the last limit, as Prometheus has it, and the part of a name that the sum is kept under.
ABOVE, SUM = "+Inf", "sum"

_lock = threading.Lock()
_counts: dict[str, float] = {}
_process = "other"


def name_process(name: str) -> None:
    """Say what kind of process this is ("web", "ws", "worker"), for figures that tell them apart."""
    global _process
    _process = name


def add(figure: str, *labels: str, amount: float = 1) -> None:
    """Count ``amount`` more of a figure of `knossos.operating.figures`, under the values of its labels."""
    name = field(figure, *labels)
    with _lock:
        _counts[name] = _counts.get(name, 0) + amount


def add_here(figure: str, amount: float = 1) -> None:
    """Count a figure whose one label is the kind of this process."""
    add(figure, _process, amount=amount)


def observe(figure: str, *labels: str, seconds: float, limits: Sequence[float]) -> None:
    """Count one duration of a histogram whose buckets end at ``limits``."""
    bucket = next((f"{limit:g}" for limit in limits if seconds <= limit), ABOVE)
    with _lock:
        for name, amount in ((field(figure, *labels, bucket), 1.0), (field(figure, *labels, SUM), seconds)):
            _counts[name] = _counts.get(name, 0) + amount


def field(figure: str, *labels: str) -> str:
    """The name under which a figure with these labels is kept."""
    return SEPARATOR.join((figure, *(" ".join(label.split())[:100] for label in labels)))


def take() -> dict[str, float]:
    """All that was counted, which is at nothing again."""
    global _counts
    with _lock:
        taken, _counts = _counts, {}
    return taken


def give_back(counts: dict[str, float]) -> None:
    """Count again what was taken and could not be brought anywhere."""
    with _lock:
        for name, amount in counts.items():
            _counts[name] = _counts.get(name, 0) + amount


def _begin_anew() -> None:
    global _lock, _counts
    _lock, _counts = threading.Lock(), {}


os.register_at_fork(after_in_child=_begin_anew)
