"""The tools on the client's command line: their arguments, and running them."""

from __future__ import annotations

import argparse
from typing import Any

from knossos.client.screens import Screen
from knossos.client.tools.sources import tool_settings
from knossos.errors import InvalidInput

#: Most links that are asked at once.
MAX_JOBS = 64

COMMANDS = ("mirrors", "nightlies", "checksums")


def add_tools(command: Any, talking: argparse.ArgumentParser) -> None:
    """Add the tools to the client's commands. ``talking`` has the options on how things are shown."""
    fetching = argparse.ArgumentParser(add_help=False)
    fetching.add_argument(
        "--allow-private", action="append", default=[], metavar="NETWORK",
        help="a private network that may be reached, such as 10.0.0.0/8; may be repeated",
    )  # fmt: skip
    mirrors = command.add_parser(
        "mirrors", parents=[talking, fetching], help="check every link of a repository, and write an HTML report",
        description="Ask every link of a repository what it would give. Exit code 1: something is broken.",
    )  # fmt: skip
    mirrors.add_argument("source", metavar="repo.json", help="the repository: a file, - for stdin, or an address")
    mirrors.add_argument("target", metavar="report.html", help="where the report goes; - is stdout")
    mirrors.add_argument("--jobs", type=int, default=8, metavar="N", help="links asked at once; default: %(default)s")
    mirrors.add_argument("--timeout", type=float, metavar="S", help="seconds to wait for a connection or an answer")
    nightlies = command.add_parser(
        "nightlies", parents=[talking, fetching], help="make a repository of nightly builds from a directory listing",
        description="Package every build that a directory listing has and the output has not.",
    )  # fmt: skip
    nightlies.add_argument("source", metavar="LISTING-URL", help="a listing of Apache or nginx, HTML or JSON")
    nightlies.add_argument("target", metavar="out.json", help="the repository; builds that are in it are kept")
    nightlies.add_argument("--id", required=True, help="the engine's id, such as FSO")
    nightlies.add_argument("--title", required=True, help="what players see")
    nightlies.add_argument("--description", default="", help="a text about it")
    nightlies.add_argument(
        "--base-version", default="", metavar="24.3.0", help="version of builds whose programs' names do not say it"
    )
    nightlies.add_argument("--newest", type=int, default=0, metavar="N", help="fetch only the newest N builds")
    checksums = command.add_parser(
        "checksums", parents=[talking, fetching], help="fill in what an old repository lacks",
        description="Add checksums, sizes, file lists and defaults; name what is not as the repository says.",
    )  # fmt: skip
    checksums.add_argument("source", metavar="in.json", help="the repository: a file, - for stdin, or an address")
    checksums.add_argument("target", metavar="out.json", help="where the filled repository goes; - is stdout")


def run_tool(options: argparse.Namespace, screen: Screen) -> None:
    """Do what the arguments say.

    Raises:
        KnossosError: as the tools say.
    """
    match options.command:
        case "mirrors":
            # Each of these imports what it takes when it is used: the client's other commands start without it.
            from knossos.client.tools.mirrors import check_mirrors

            if not 1 <= options.jobs <= MAX_JOBS:
                raise InvalidInput(f"--jobs: expected a number from 1 to {MAX_JOBS}")
            if options.timeout is not None and not 0 < options.timeout <= 3600:
                raise InvalidInput("--timeout: expected a number of seconds up to 3600")
            settings = tool_settings(options.allow_private, options.timeout)
            check_mirrors(settings, screen, options.source, options.target, jobs=options.jobs)
        case "nightlies":
            from knossos.client.tools.nightlies import Wanted, make_nightlies

            if options.newest < 0:
                raise InvalidInput("--newest: expected a number from 0 on")
            wanted = Wanted(options.id, options.title, options.description, options.base_version, options.newest)
            make_nightlies(tool_settings(options.allow_private), screen, options.source, options.target, wanted)
        case "checksums":
            from knossos.client.tools.checksums import fill_checksums

            fill_checksums(tool_settings(options.allow_private), screen, options.source, options.target)
