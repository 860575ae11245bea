"""The direction of imports, held by reading the code: the rooms of docs/architecture.md, from the ground up."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from knossos.settings import ROOT

#: From the ground up; a room imports from its own floor only itself, and from the floors below.
FLOORS = (
    {"errors", "hashing_aside", "line_patterns", "tally", "timed_patterns", "tracing"},
    {"setting_kinds"},
    {"settings"},
    {"settings_file"},
    {"jobs", "outgoing", "database", "schema", "storage", "logs"},
    {"packaging", "accounts", "backup"},
    {"publishing", "scripting", "migrations"},
    {"homes", "operating"},
    {"web", "live", "client"},
    {"launch"},
)

#: The few that may look at a room of their own floor: migrations know the tables of all domains, and pages that poll
#: get the messages of the WebSockets.
NEIGHBOURS = {
    ("migrations", "publishing"),
    ("migrations", "scripting"),
    ("database", "schema"),
    ("web", "live.messages"),
}

FLOOR_OF = {room: number for number, floor in enumerate(FLOORS) for room in floor}

#: Who may import the two web frameworks.
FRAMEWORKS = {"flask": {"web"}, "werkzeug": {"web"}, "tornado": {"live", "client"}}

#: All but what scripts import, which is no part of the server.
MODULES = sorted(
    path for path in (ROOT / "knossos").rglob("*.py") if path.parent != ROOT / "knossos" / "scripting" / "helper"
)


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "knossos").parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Dotted names of all that a module imports, wherever in it, with the line."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import hides what it depends on"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down_only(path: Path) -> None:
    mine = room_of(path)
    if mine == "__init__":
        assert not [name for name, _ in imports(path) if name.startswith("knossos.")]
        return
    wrong = []
    for name, line in imports(path):
        parts = name.split(".")
        if parts[0] in FRAMEWORKS and mine not in FRAMEWORKS[parts[0]]:
            wrong.append(f"line {line}: {mine} must not know {parts[0]}")
        if parts[0] in {"server", "websocket_server", "worker", "cron"}:
            wrong.append(f"line {line}: nothing imports an entry point")
        if parts[0] != "knossos" or len(parts) < 2 or parts[1] in (mine, "__version__"):
            continue
        if FLOOR_OF[parts[1]] > FLOOR_OF[mine] or (
            FLOOR_OF[parts[1]] == FLOOR_OF[mine] and not {(mine, parts[1]), (mine, ".".join(parts[1:3]))} & NEIGHBOURS
        ):
            wrong.append(f"line {line}: {mine} must not import {name}")
    assert not wrong, f"{path.relative_to(ROOT)}: " + "; ".join(wrong)


def test_every_room_has_its_floor() -> None:
    assert {room_of(path) for path in MODULES} - {"__init__"} <= set(FLOOR_OF)


def test_the_page_on_the_architecture_has_every_room_on_its_floor() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| (`[^|]+) \|", page, re.MULTILINE)
    assert {room: int(floor) for floor, rooms in rows for room in re.findall(r"`(\w+)`", rooms)} == FLOOR_OF


def test_what_the_page_on_the_architecture_names_is_there() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    named = re.findall(r"`((?:web|live|packaging|publishing|scripting|homes|outgoing)/[\w/.]*)`", page)
    assert len(named) > 15
    assert [name for name in named if not (ROOT / "knossos" / name).exists()] == []


@pytest.mark.parametrize(
    "path",
    [path for path in [*MODULES, *ROOT.glob("*.py")] if path != ROOT / "knossos" / "settings_file.py"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_the_environment_is_read_in_one_file_only(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        is_environment = isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"}
        # What a WSGI server says of a request has the same name.
        is_environment = is_environment and not ast.unparse(node).startswith("request.")
        assert not is_environment, f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def test_entry_points_are_short() -> None:
    for path in ROOT.glob("*.py"):
        assert len(path.read_text("utf-8").splitlines()) < 40, path.name


def test_no_pickle_and_no_shell() -> None:
    for path in [*MODULES, *ROOT.glob("*.py")]:
        tree = ast.parse(path.read_text("utf-8"))
        assert not [name for name, _ in imports(path) if name.split(".")[0] in {"pickle", "dill", "marshal"}], path
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "shell":
                assert isinstance(node.value, ast.Constant), path
                assert node.value.value is False, path
