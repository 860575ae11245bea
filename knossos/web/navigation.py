"""What the menu of every page and the start page lead to: each area only for those who may go there. Pure.

Which areas there are, and in which order, stands here alone; who visits and what this server offers, callers say.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """An area of the site. ``endpoint`` is its page, ``blueprints`` are those whose pages belong to it."""

    name: str
    about: str
    endpoint: str
    blueprints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    title: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Offer:
    """Who visits, and what there is for them."""

    #: The endpoints of the app.
    endpoints: Container[str]
    logged_in: bool = False
    operator: bool = False
    #: Whether there is a script or a runner that the visitor may call.
    scripts: bool = False
    #: Whether people may send scripts of their own.
    sends_scripts: bool = False
    #: Whether the visitor may see calculations.
    calculations: bool = False


def menu(offer: Offer) -> list[Group]:
    """The areas, in groups; a group without one is left out."""
    person = offer.logged_in
    mods = (
        (True, Entry("Mods", "Find a mod, and install it.", "mod_pages.mods", ("mod_pages",))),
        (True, Entry("Publish", "Your mods: releases, teams, webhooks.", "owner_pages.own_mods", ("owner_pages",))),
        (True, Entry("Convert", "Have the description of a mod packaged.", "pages.converter")),
        (True, Entry("Tasks", "What waits, runs and has ended, live.", "pages.tasks")),
    )
    compute = (
        (
            offer.scripts,
            Entry("Scripts", "What this server runs for you.", "script_pages.scripts", ("script_pages", "run_pages")),
        ),
        (person, Entry("Home", "Your files: upload, look at, download.", "home_pages.files", ("home_pages",))),
        (
            person and offer.sends_scripts,
            Entry("My scripts", "Write a script, and run it in your home.", "job_pages.jobs", ("job_pages",)),
        ),
        (
            offer.calculations,
            Entry(
                "Calculations",
                "Inputs, live output and results.",
                "calculation_pages.calculations",
                ("calculation_pages",),
            ),
        ),
        (
            person and (offer.scripts or offer.sends_scripts or offer.calculations),
            Entry("Schedules", "Run at a time, or again and again.", "schedule_pages.schedules", ("schedule_pages",)),
        ),
    )
    groups = (Group("Mods", _there(offer, mods)), Group("Scripts and files", _there(offer, compute)))
    return [group for group in groups if group.entries]


def operator_menu(offer: Offer) -> tuple[Entry, ...]:
    """What operators find in the menu of their account."""
    return _there(
        offer,
        (
            (offer.operator, Entry("Users", "Accounts: add, change, remove.", "user_pages.users", ("user_pages",))),
            (
                offer.operator,
                Entry("Operator", "How the server does.", "operator_pages.overview", ("operator_pages",)),
            ),
            (offer.operator, Entry("Audit log", "Who did what, and when.", "account_pages.audit")),
        ),
    )


def _there(offer: Offer, candidates: tuple[tuple[bool, Entry], ...]) -> tuple[Entry, ...]:
    return tuple(entry for may, entry in candidates if may and entry.endpoint in offer.endpoints)
