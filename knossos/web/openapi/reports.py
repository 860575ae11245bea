"""``/api/1/log/upload`` and ``/api/1/track``: what clients send without a token."""

from __future__ import annotations

from knossos.web.openapi.nebula_parts import mod_id, refusals, worked
from knossos.web.openapi.parts import Paths, form, operation, text

TAG = "Logs and counters"
ABOUT = "What players' programs send; nobody has to say who they are."


def paths() -> Paths:
    counters = {
        "event": text("What happened.", example="installed"),
        "link": text("The file that it happened to."),
        "time": text("How long it took; not kept."),
        "counter": text("What happened, in the newer form.", example="installed"),
        "mid": mod_id(),
        "version": text(),
        "dependency": text("Whether another mod needed it.", example="false"),
    }
    return {
        "/api/1/log/upload": {
            "post": operation(
                "Show somebody a log",
                body=form(log=text("The whole log.")),
                answers={200: worked("Its page is `/log/<id>`.", id=text()), **refusals(413)},
            )
        },
        "/api/1/track": {
            "post": operation(
                "Count a download",
                "`event` and `link`, or `counter`, `mid` and `version`.",
                body=form(optional=counters),
                answers={200: worked("Counted, if there is such a release."), **refusals(413)},
            )
        },
    }
