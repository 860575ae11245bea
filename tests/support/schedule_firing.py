"""Notices of schedules, and what these tests call."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sqlalchemy import select

from knossos.scripting.notices.states import NoticeState
from knossos.scripting.notices.tables import NoticeRow
from tests.support.schedules import ScheduleBench

HOOK = {"when": "failure", "webhook": "http://127.0.0.1:9/hook"}


def notices(bench: ScheduleBench, *states: NoticeState) -> list[NoticeRow]:
    with bench.database.reading() as session:
        return list(session.scalars(select(NoticeRow).where(NoticeRow.state.in_(states))))


def at_once(bench: ScheduleBench, count: int, do: Callable[[ScheduleBench], object]) -> None:
    """Have so many others do the same at the same moment, each with connections of its own."""
    others = [bench.another() for _ in range(count)]
    barrier = threading.Barrier(count)

    def work(one: ScheduleBench) -> None:
        barrier.wait()
        do(one)

    threads = [threading.Thread(target=work, args=(one,)) for one in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in others:
        one.database.close()
