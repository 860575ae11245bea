"""``/api/health``, ``/api/info`` and this description."""

from __future__ import annotations

from knossos.web.openapi.parts import Paths, answer, anything, const, errors, obj, operation, or_null, text, whole

TAG = "Server"
ABOUT = "What this server is, and whether it is well."


def paths() -> Paths:
    info = obj(
        name=text("The setting NAME.", example="Knossos"),
        version=text(example="1.0.0"),
        username=or_null(text("Who is logged in with the session of this browser.")),
        jobs_running=whole("Scripts that people have sent, and that run."),
        jobs_waiting=whole("Those that wait for their turn."),
        ws_url=text("Where the WebSockets are.", example="wss://mods.example.org"),
    )
    return {
        "/api/health": {
            "get": operation(
                "Is it up?", "For monitoring.", answers={200: answer("It is.", obj(status=const("ok"))), **errors(400)}
            )
        },
        "/api/info": {"get": operation("What is this?", answers={200: answer("This.", info), **errors(400, 401)})},
        "/api/openapi.json": {
            "get": operation(
                "This description",
                "OpenAPI 3.1. `/api/docs` shows it to people.",
                answers={200: answer("The document.", obj(openapi=text(), paths=anything())), **errors(400)},
            )
        },
    }
