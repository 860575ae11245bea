"""The app factory: one Flask app over given settings and engine; every module of the package brings its routes.

It connects to nothing by itself and reads no environment: each process (or test) makes its own.
"""

from __future__ import annotations

import logging

from flask import Flask, Response, jsonify
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import BaseConverter, PathConverter

from knossos.accounts import Accounts, Session, Sessions
from knossos.database import Database
from knossos.jobs import Engine
from knossos.outgoing import OutgoingHttp
from knossos.settings import Settings
from knossos.web import (
    account_pages,
    api_docs,
    assets,
    calculation_pages,
    calculations,
    chunks,
    commands,
    converter,
    drops,
    errors,
    home_pages,
    info,
    job_pages,
    linkahead,
    log_pages,
    login,
    mirror_files,
    mod_pages,
    nebula,
    operating,
    operator_pages,
    owner_pages,
    pages,
    repository_commands,
    repository_files,
    request_log,
    run_pages,
    runners,
    schedule_pages,
    schedules,
    script_commands,
    script_pages,
    script_server,
    security,
    site_menu,
    storage_files,
    task_feeds,
    template_filters,
    third_party,
    user_pages,
)
from knossos.web.authentication import current_session
from knossos.web.chunks import Chunks
from knossos.web.expectations import Expectations
from knossos.web.known_sizes import KnownSizes
from knossos.web.odd_requests import OddRequests
from knossos.web.services import EXTENSION, Services, services
from knossos.web.stopping import Stopping
from knossos.web.unread_bodies import UnreadBodies

#: Largest body in bytes of a request that says nothing else (forms of pages, answers to questions).
SMALL_BODY_BYTES = 64 * 1024

_log = logging.getLogger(__name__)


class TicketConverter(BaseConverter):
    """A ticket in a URL: digits, so few of them that nothing chokes on the number."""

    regex = r"[0-9]{1,15}"

    def to_python(self, value: str) -> int:
        return int(value)


class HomePathConverter(PathConverter):
    """A path in a home in a URL: all that follows, also where it begins with a slash."""

    part_isolating = False
    regex = r"(?s:.+?)"


def create_app(settings: Settings, engine: Engine, stopping: Stopping | None = None) -> Flask:
    """Make the app. Tables and secrets are there already (`knossos.accounts.first_start`)."""
    app = Flask("knossos.web", static_folder=None)
    app.config.update(
        MAX_CONTENT_LENGTH=SMALL_BODY_BYTES,
        MAX_FORM_MEMORY_SIZE=SMALL_BODY_BYTES,
        # Errors of the pages' own templates are mistakes of ours: never a half-rendered page.
        TEMPLATES_AUTO_RELOAD=False,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.converters["ticket"] = TicketConverter
    app.url_map.converters["sha1"] = calculations.Sha1Converter
    app.url_map.converters["home_path"] = HomePathConverter
    database = Database(settings)
    app.extensions[EXTENSION] = Services(
        settings=settings,
        engine=engine,
        database=database,
        accounts=Accounts(database),
        sessions=Sessions(settings, database),
        outgoing=OutgoingHttp(settings),
        sizes_of=KnownSizes(settings),
        stopping=stopping or Stopping(),
    )
    request_log.install(app)
    security.install(app)
    errors.install(app)
    chunks.install(app)
    assets.install(app)
    commands.install(app)
    app.cli.add_command(repository_commands.repository)
    app.cli.add_command(script_commands.scripts)
    template_filters.install(app)
    script_pages.install(app)
    site_menu.install(app)
    for module in (
        converter,
        drops,
        info,
        operating,
        api_docs,
        mirror_files,
        storage_files,
        repository_files,
        task_feeds,
        login,
        account_pages,
        log_pages,
        operator_pages,
        mod_pages,
        owner_pages,
        user_pages,
        script_pages,
        schedule_pages,
        schedules,
        run_pages,
        job_pages,
        calculation_pages,
        home_pages,
        pages,
        nebula,
        runners,
        linkahead,
        script_server,
    ):
        app.register_blueprint(module.blueprint)
    app.register_blueprint(calculations.blueprint, url_prefix=f"/{settings.calculation_path}".rstrip("/") or None)
    app.context_processor(_for_templates)
    app.add_url_rule("/api/health", view_func=_health)
    if settings.trusted_proxies:
        count = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]
    app.wsgi_app = OddRequests(UnreadBodies(Expectations(Chunks(app.wsgi_app))))  # type: ignore[method-assign]
    if lacking := third_party.missing():
        _log.warning("third_party/ lacks %s: run python -m knossos.web.third_party", ", ".join(lacking))
    return app


def _for_templates() -> dict[str, Session | None]:
    return {"visitor": current_session()}


def _health() -> Response:
    """For those who wait until the server is up: it answers, and so does Redis."""
    services().impatient.ping()
    return jsonify(status="ok")
