"""Requests that no client library would send: they are refused or read, and never an error of ours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from flask import Flask, request
from werkzeug.test import EnvironBuilder, run_wsgi_app

from knossos.web.odd_requests import OddRequests, readable_query


@pytest.fixture
def application() -> OddRequests:
    app = Flask("odd")
    app.add_url_rule("/", view_func=lambda: ascii(request.args.get("q", "")))
    return OddRequests(app.wsgi_app)


def asked(application: OddRequests, **environ: Any) -> tuple[bytes, str]:
    def called(given: Any, start_response: Any) -> Iterable[bytes]:
        given = {name: value for name, value in {**given, **environ}.items() if value is not None}
        return application(given, start_response)

    answer, status, _ = run_wsgi_app(called, EnvironBuilder("/").get_environ())
    return b"".join(answer), status[:3]


@pytest.mark.parametrize("method", [None, ""])
def test_a_request_without_a_method_is_refused(application: OddRequests, method: str | None) -> None:
    """As uWSGI hands it on where a line is ``GET`` alone."""
    assert asked(application, REQUEST_METHOD=method)[1] == "400"


@pytest.mark.parametrize(
    ("query", "read"),
    [
        ("q=a%20b", "'a b'"),
        ("q=%ff", "'%ff'"),
        ("q=\xff", "'%ff'"),
        ("q=\xc3\xa4", "'\\xe4'"),
        ("q=%25\xe0\xff", "'%%e0%ff'"),
    ],
)
def test_a_query_of_any_bytes_is_read(application: OddRequests, query: str, read: str) -> None:
    text, status = asked(application, QUERY_STRING=query)
    assert (status, text.decode().lower()) == ("200", read)


def test_a_query_that_can_be_read_stays_as_it_is() -> None:
    for query in ("", "a=b&c=%ff", "q=\xc3\xa4"):
        assert readable_query(query) == query
