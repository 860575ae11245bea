"""The menu: each area only for those who may go there, and only where it is there."""

from __future__ import annotations

from dataclasses import replace

from knossos.web.navigation import Offer, menu, operator_menu

ALL = {
    "mod_pages.mods", "owner_pages.own_mods", "pages.converter", "pages.tasks", "script_pages.scripts",
    "home_pages.files", "job_pages.jobs", "calculation_pages.calculations", "schedule_pages.schedules",
    "user_pages.users", "operator_pages.overview", "account_pages.audit",
}  # fmt: skip
STRANGER = Offer(ALL)
PERSON = Offer(ALL, logged_in=True, scripts=True, sends_scripts=True, calculations=True)


def names(offer: Offer) -> list[str]:
    return [entry.name for group in menu(offer) for entry in group.entries]


def test_a_stranger_is_led_to_what_everybody_may_see() -> None:
    assert names(STRANGER) == ["Mods", "Publish", "Convert", "Tasks"]
    assert [group.title for group in menu(STRANGER)] == ["Mods"]
    assert names(replace(STRANGER, scripts=True))[-1] == "Scripts"
    assert operator_menu(STRANGER) == ()


def test_somebody_who_is_logged_in_finds_home_and_what_they_may_run() -> None:
    assert names(PERSON)[4:] == ["Scripts", "Home", "My scripts", "Calculations", "Schedules"]
    assert names(Offer(ALL, logged_in=True))[4:] == ["Home"]
    assert "My scripts" not in names(replace(PERSON, sends_scripts=False))
    assert "Calculations" not in names(replace(PERSON, calculations=False))
    assert operator_menu(PERSON) == ()


def test_operators_find_users_and_the_state_of_the_server() -> None:
    found = operator_menu(replace(PERSON, operator=True))
    assert [entry.name for entry in found] == ["Users", "Operator", "Audit log"]


def test_nothing_leads_to_a_page_that_is_not_there() -> None:
    some = ALL - {"home_pages.files", "operator_pages.overview"}
    found = replace(PERSON, endpoints=some, operator=True)
    assert "Home" not in names(found)
    assert [entry.name for entry in operator_menu(found)] == ["Users", "Audit log"]
