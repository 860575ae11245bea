"""The menu for templates: who visits, and what this server offers them, handed to `navigation.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from flask import Flask, current_app, g

from knossos.scripting.calculations.calculations import is_offered
from knossos.web.authentication import current_session
from knossos.web.navigation import Entry, Group, Offer, menu, operator_menu
from knossos.web.services import services


def install(app: Flask) -> None:
    """Give templates ``site_menu()``, ``operator_menu()`` and ``site_name()``."""
    app.jinja_env.globals.update(site_menu=_menu, operator_menu=_operator_menu, site_name=_name)


def _menu() -> list[Group]:
    return menu(_offer())


def _operator_menu() -> tuple[Entry, ...]:
    return operator_menu(_offer())


def _name() -> str:
    return services().settings.name


def _offer() -> Offer:
    if "offer" not in g:
        session, settings = current_session(), services().settings
        g.offer = Offer(
            endpoints=current_app.view_functions,
            logged_in=session is not None,
            operator=session is not None and session.is_operator,
            scripts=cast("Callable[[], bool]", current_app.jinja_env.globals["has_scripts"])(),
            sends_scripts=bool(settings.command),
            calculations=is_offered(settings)
            and (settings.calculation_open or (session is not None and session.is_operator)),
        )
    offer: Offer = g.offer
    return offer
