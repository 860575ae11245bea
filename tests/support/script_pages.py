"""Forms that are sent to the pages of scripts, and runs that the test plays."""

from __future__ import annotations

import re
from html import unescape

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from knossos.scripting.calls import Scripting
from knossos.web.services import EXTENSION, Services

SAME_ORIGIN = {"Origin": "http://localhost"}


def scripting_of(client: FlaskClient) -> Scripting:
    found: Services = client.application.extensions[EXTENSION]
    return found.scripting


def text_of(answer: TestResponse) -> str:
    """What a page says, without its markup."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())
