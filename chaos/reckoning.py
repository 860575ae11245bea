"""The reckoning: everything that was found out goes before the judge.

What always holds: whatever cannot be asked for is a finding itself, and does not end the reckoning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import Any

from chaos.gathering import Gathering
from chaos.judge import Finding, Wrong, judge_fate, judge_proof, judge_task, judge_unfinished, judge_watch
from chaos.notebook import Notebook, Watch
from knossos.jobs import JobRecord


def reckon(gathering: Gathering, notebook: Notebook, late: Collection[int], faults: int) -> Iterator[Finding]:
    """What is wrong with a deployment that has come to rest. ``late`` are the tickets of tasks that should have ended,
    ``faults`` is how many were done. What the server itself has to answer comes last: it may hang."""

    def of_task(record: JobRecord) -> list[Finding]:
        return judge_task(record, gathering.log(record.ticket))

    def of_watch(watch: Watch) -> list[Finding]:
        return judge_watch(_name(watch), list(watch.seen), gathering.log(watch.ticket))

    yield from judge_proof(Counter(one.kind for one in notebook.accepted), faults)
    yield from judge_unfinished(gathering.engine.records(list(late)))
    for record in gathering.records:
        yield from _judged(f"task {record.ticket}", of_task, record)
    for watch in notebook.watches:
        yield from _judged(_name(watch), of_watch, watch)
    for name, look in gathering.looks():
        yield from _judged(name, lambda look: judge_fate(look()), look)


def _judged(name: str, judge: Callable[[Any], list[Finding]], about: Any) -> list[Finding]:
    try:
        return judge(about)
    except Exception as error:  # a server that cannot be asked, or says what nobody can read
        return [Finding(Wrong.WRONG, name, f"nobody can find out what became of it: {error!r}"[:300])]


def _name(watch: Watch) -> str:
    return f"{watch.name} of task {watch.ticket}"
