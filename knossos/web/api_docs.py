"""``/api/openapi.json`` and ``/api/docs``: the description of this server's API, for programs and for people."""

from __future__ import annotations

import re

from flask import Blueprint, Response, jsonify, render_template, request
from markupsafe import Markup, escape

from knossos.web.addresses import public_base
from knossos.web.openapi import document
from knossos.web.openapi.listing import groups, shapes
from knossos.web.services import services

blueprint = Blueprint("api_docs", __name__)


@blueprint.get("/api/openapi.json")
def description() -> Response:
    response = jsonify(document(_base()))
    # It is no secret, and tools in browsers want it.
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response


@blueprint.get("/api/docs")
def docs() -> str:
    described = document(_base())
    return render_template(
        "api_docs.html", about=described["info"]["description"], groups=groups(described), shapes=shapes(described)
    )


@blueprint.app_template_filter("code_words")
def code_words(text: str) -> Markup:
    """What is between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 (escaped)


def _base() -> str:
    return public_base(services().settings, request.scheme, request.host)
