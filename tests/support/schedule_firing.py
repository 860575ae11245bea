"""Notices of schedules, and what these tests call."""

from __future__ import annotations

from sqlalchemy import select

from knossos.scripting.notices.states import NoticeState
from knossos.scripting.notices.tables import NoticeRow
from tests.support.schedules import ScheduleBench

HOOK = {"when": "failure", "webhook": "http://127.0.0.1:9/hook"}


def notices(bench: ScheduleBench, *states: NoticeState) -> list[NoticeRow]:
    with bench.database.reading() as session:
        return list(session.scalars(select(NoticeRow).where(NoticeRow.state.in_(states))))
