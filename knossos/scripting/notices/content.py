"""What a notice says, as JSON for programs and as a mail for people. Pure.

What always holds: the body is the same at each try. It has neither arguments nor files of a run, since both may hold
secrets; of standard error it has the end, as the run's page shows it, and a run's token is in no output.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from knossos.accounts.secret_files import secret_key
from knossos.scripting.notices.states import NoticeEvent
from knossos.scripting.plan import RunOutcome
from knossos.settings import Settings

#: Lines and characters of the end of standard error that a notice of a failure repeats.
TAIL_LINES = 20
TAIL_CHARS = 2_000
#: Header of the body's signature, and that of the time that is signed with it: as publishing's webhooks have them.
SIGNATURE_HEADER = "X-Knossos-Signature-256"
TIME_HEADER = "X-Knossos-Timestamp"


@dataclass(frozen=True)
class ToldRun:
    """A run as a notice tells of it. Times are Unix time in seconds."""

    run_id: str
    kind: str
    name: str
    outcome: RunOutcome
    exit_code: int | None
    signal: int | None
    error: str
    started_at: float | None
    ended_at: float | None
    url: str
    stderr: str = ""

    @property
    def ended_well(self) -> bool:
        return self.outcome is RunOutcome.EXITED and self.exit_code == 0

    @property
    def seconds(self) -> float | None:
        """For how long it ran; None where it never began."""
        if self.started_at is None or self.ended_at is None:
            return None
        return round(max(0.0, self.ended_at - self.started_at), 3)


@dataclass(frozen=True)
class ToldSchedule:
    schedule_id: str
    name: str
    url: str


@dataclass(frozen=True)
class Told:
    """All that one notice says."""

    delivery: str
    event: NoticeEvent
    #: When it came to be due, Unix time in seconds.
    time: float
    title: str
    text: str
    run: ToldRun | None
    schedule: ToldSchedule | None

    @property
    def failed(self) -> bool:
        return self.run is None or not self.run.ended_well


def body(told: Told) -> bytes:
    """The body of a webhook."""
    run, schedule = told.run, told.schedule
    data: dict[str, Any] = {
        "event": told.event,
        "delivery": told.delivery,
        "time": _iso(told.time),
        "title": told.title,
        "failed": told.failed,
        "text": told.text,
        "schedule": None,
        "run": None,
    }
    if schedule is not None:
        data["schedule"] = {"id": schedule.schedule_id, "name": schedule.name, "url": schedule.url}
    if run is not None:
        data["run"] = {
            "id": run.run_id,
            "kind": run.kind,
            "name": run.name,
            "outcome": run.outcome,
            "exit_code": run.exit_code,
            "signal": run.signal,
            "error": run.error,
            "started": _iso(run.started_at),
            "ended": _iso(run.ended_at),
            "seconds": run.seconds,
            "url": run.url,
            "stderr": run.stderr,
        }
    return json.dumps(data, ensure_ascii=False).encode("utf-8", "replace")


def headers(told: Told, key: str, timestamp: int, data: bytes) -> dict[str, str]:
    """The headers of a try that is made at ``timestamp`` (Unix time in seconds)."""
    signed = hmac.new(key.encode(), str(timestamp).encode() + b"." + data, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-Knossos-Event": told.event.value,
        "X-Knossos-Delivery": told.delivery,
        TIME_HEADER: str(timestamp),
        SIGNATURE_HEADER: f"sha256={signed}",
    }


def signing_key(settings: Settings, user_id: int) -> str:
    """The key that signs what an account's webhooks are told: made of the server's, so that nothing keeps it."""
    text = f"knossos.notices\n{user_id}".encode()
    return hmac.new(secret_key(settings).encode(), text, hashlib.sha256).hexdigest()


def subject(told: Told) -> str:
    """The subject of a mail, on one line."""
    if told.event is NoticeEvent.STOPPED:
        said = "was stopped"
    elif told.event is NoticeEvent.NOT_RUN:
        said = "was not run"
    else:
        said = "failed" if told.failed else "has ended well"
    return " ".join(f"{told.title} {said}".split())


def mail_text(told: Told, site: str) -> str:
    """The text of a mail."""
    lines = [f"{subject(told)}.", ""]
    if told.text:
        lines += [told.text, ""]
    if run := told.run:
        lines += [f"What:     {told.title}" + (f" ({run.name})" if run.name != told.title else "")]
        lines += [f"End:      {_ending(run)}"]
        if run.seconds is not None:
            lines += [f"Took:     {run.seconds:g} seconds"]
        if run.ended_at is not None:
            lines += [f"Ended:    {datetime.fromtimestamp(run.ended_at, UTC):%Y-%m-%d %H:%M:%S} UTC"]
        lines += [f"More:     {run.url}"]
    if told.schedule:
        lines += [f"Schedule: {told.schedule.name}, {told.schedule.url}"]
    if told.run and told.run.stderr:
        lines += ["", "The end of standard error:", "", *(f"    {line}" for line in told.run.stderr.splitlines())]
    lines += ["", "-- ", f"You are told because you asked for it at {site}"]
    return "\n".join(lines) + "\n"


def tail(text: str) -> str:
    """The last lines of what a program wrote, as many as a notice has."""
    return "\n".join(text.strip().splitlines()[-TAIL_LINES:])[-TAIL_CHARS:]


def _ending(run: ToldRun) -> str:
    if run.outcome is RunOutcome.EXITED:
        return f"exit code {run.exit_code}"
    return run.error or run.outcome.value


def _iso(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
