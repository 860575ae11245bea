"""``/api/schedules`` and ``/api/runs/{run_id}/notice``."""

from __future__ import annotations

from typing import Any

from knossos.scripting.notices.states import NoticeWhen
from knossos.scripting.plan import RunOutcome
from knossos.scripting.schedules.states import FiringState
from knossos.scripting.schedules.wish import KINDS
from knossos.web.openapi.parts import (
    ACCOUNT,
    Paths,
    answer,
    anything,
    choice,
    const,
    errors,
    flag,
    json_body,
    many,
    obj,
    operation,
    or_null,
    path,
    query,
    ref,
    text,
    whole,
)

TAG = "Schedules"
ABOUT = "What is run at a time, or again and again, and who is told how a run has ended."


def _wanted() -> dict[str, Any]:
    return {
        "when": choice(NoticeWhen, "Of each end, or only of what did not end well."),
        "mail": flag("To the account's address."),
        "webhook": or_null(text("An address that is told by POST, signed with `signing_key`.")),
    }


def schemas() -> dict[str, Any]:
    time = or_null(text("ISO 8601."))
    return {
        "Notices": obj("What somebody is told, and how.", **_wanted()),
        "ScheduleTime": obj(
            "A time that a schedule came to.",
            due=time,
            state=choice(FiringState),
            text=text("What there is to say of it."),
            by_hand=flag("Whether its owner asked for it rather than the clock."),
            run_id=text(),
            outcome=or_null(choice(RunOutcome)),
            exit_code=or_null(whole()),
            ended=time,
        ),
        "Schedule": obj(
            "A schedule of one's own.",
            id=text(),
            name=text(),
            kind=choice(KINDS),
            script=or_null(text()),
            arguments=many(text()),
            form=anything("Values of the script's form, or null."),
            path=or_null(text("In the home; null where the script is kept with the schedule.")),
            calculation=or_null(text("The SHA-1 of its input.")),
            at=time,
            cron=or_null(text(example="30 6 * * 1-5")),
            zone=text(example="Europe/Berlin"),
            words=text("When it comes, in words."),
            enabled=flag(),
            next=time,
            stopped=text("Why it is off, where nobody has switched it off."),
            notices=ref("Notices"),
            created=time,
            last=or_null(ref("ScheduleTime")),
        ),
    }


def _body() -> dict[str, Any]:
    fields = {
        "name": text(),
        "kind": choice(KINDS),
        "script": or_null(text("For `script`: its name.")),
        "arguments": or_null(many(text())),
        "form": anything("For a script with a form: its values."),
        "path": or_null(text("For `home`: the path of a script in the home, read each time.")),
        "text": or_null(text("For `home`, instead: the script.")),
        "job": or_null(text("For `home`, instead: a run of it.")),
        "calculation": or_null(text("For `calculation`: the SHA-1 of an input that is known here.")),
        "input": or_null(text("For `calculation`, instead: the input.")),
        "at": or_null(text("A time; without an offset, in `zone`.", example="2031-05-01T06:30")),
        "cron": or_null(text("Instead: five fields.", example="30 6 * * 1-5")),
        "zone": or_null(text("IANA name; UTC unless said.", example="Europe/Berlin")),
        "enabled": flag(),
        "notices": or_null(obj(optional=_wanted())),
    }
    return json_body(
        obj(optional=fields),
        {"kind": "script", "script": "tables/clean.py", "cron": "30 6 * * 1-5", "zone": "Europe/Berlin"},
    )


def paths() -> Paths:
    one = [path("schedule_id", text(example="0b0c5a52-6f5c-4c4c-9a53-0d4b4f0f1a11"))]
    run = [path("run_id", text(example="0b0c5a52-6f5c-4c4c-9a53-0d4b4f0f1a11"))]
    schedule, done = ref("Schedule"), obj(error=const(False))
    refused = (400, 401, 403, 404, 413)
    listed = obj(schedules=many(schedule), signing_key=text("Signs what one's webhooks are told. A secret."))
    times = obj(words=text(), times=many(obj(at=or_null(text()), local=text())))
    started = answer("It is on its way.", obj(run_id=text(), page=text()))

    def op(summary: str, answers: dict[int, Any], *more: int, **how: Any) -> dict[str, Any]:
        spoken = {**answers, **errors(*refused, *more)}
        return operation(summary, answers=spoken, security=ACCOUNT, scope="run` and `scripts", **how)

    return {
        "/api/schedules": {
            "get": op("One's schedules", {200: answer("All of them.", listed)}),
            "post": op("Make a schedule", {201: answer("It was made.", schedule)}, 409, 500, body=_body()),
        },
        "/api/schedules/times": {
            "get": op(
                "When a cron expression comes next",
                {200: answer("The next times.", times)},
                parameters=[query("cron", text(example="30 6 * * 1-5"), required=True), query("zone", text())],
            )
        },
        "/api/schedules/{schedule_id}": {
            "get": op("One schedule", {200: answer("The schedule.", schedule)}, parameters=one),
            "put": op(
                "Change a schedule: the fields that are sent",
                {200: answer("As it is now.", schedule)},
                409,
                500,
                parameters=one,
                body=_body(),
            ),
            "delete": op("Remove a schedule", {200: answer("It is gone.", done)}, parameters=one),
        },
        "/api/schedules/{schedule_id}/run": {
            "post": op("Run it now", {202: started}, 409, 413, 429, 500, parameters=one)
        },
        "/api/schedules/{schedule_id}/runs": {
            "get": op(
                "The times that it came to, newest first",
                {200: answer("The times.", obj(runs=many(ref("ScheduleTime"))))},
                parameters=one,
            )
        },
        "/api/runs/{run_id}/notice": {
            "get": op("What one is told of a run", {200: answer("So far.", ref("Notices"))}, parameters=run),
            "put": op(
                "Be told when a run ends",
                {200: answer("As it is now.", ref("Notices"))},
                409,
                parameters=run,
                body=json_body(obj(optional=_wanted()), {"when": "end", "webhook": "https://example.org/hook"}),
            ),
            "delete": op(
                "Not be told of it",
                {200: answer("Done.", obj(error=const(False), removed=flag("Whether something was asked for.")))},
                parameters=run,
            ),
        },
    }
