"""The document on scripts says of their settings what the settings are."""

from __future__ import annotations

import re

from knossos.settings import Settings
from scripts import script_settings


def test_the_table_of_settings_is_what_scripts_script_settings_writes() -> None:
    assert script_settings.DOCUMENT.read_text("utf-8") == script_settings.text(), "run: make template"


def test_the_table_has_every_setting_of_scripts() -> None:
    listed = {name.lower() for name in re.findall(r"^\| `([A-Z0-9_]+)`", script_settings.table(), re.MULTILINE)}
    assert {name for name in Settings.model_fields if name.startswith(("script_", "server_side_"))} <= listed
    assert {"runners_dir", "role_permissions", "authtoken_config", "auth_provider", "sendmail"} <= listed
    assert "log_level" not in listed


def test_links_in_the_document_lead_to_headings_that_are_there() -> None:
    document = script_settings.DOCUMENT.read_text("utf-8")
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", document, flags=re.DOTALL), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", document)) <= anchors
