"""People who use the script server, and how it refuses."""

from __future__ import annotations

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.people import PASSWORD


def log_in(anyone: FlaskClient, name: str) -> FlaskClient:
    client = anyone.application.test_client()
    answer = client.post("/api/login", json={"username": name, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return client


def refused(answer: TestResponse, status: int, word: str = "") -> None:
    assert answer.status_code == status, answer.text
    assert answer.json is not None
    assert answer.json["error"] is True
    assert answer.json["message"]
    assert word in answer.text


def listed(client: FlaskClient, path: str = "") -> dict[str, int | None]:
    answer = client.get(f"/api/files/{path}")
    assert answer.status_code == 200, answer.text
    return {one["name"]: one.get("size") for one in answer.json or ()}
