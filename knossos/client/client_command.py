"""The command line of the client: arguments in, exit code out.

Exit codes: 0 done; 1 the task failed, its result cannot be written, or a tool found something broken; 2 the input or
the call is wrong; 3 the server cannot be reached; 4 access denied; 130 stopped watching (Ctrl-C), the task goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import suppress

from knossos.client import commands
from knossos.client.bars import plain
from knossos.client.errors import EXIT_DETACHED, EXIT_DONE, EXIT_FAILED, exit_code
from knossos.client.screens import Screen, make_screen
from knossos.client.server import Server, Task
from knossos.client.tools.command_line import add_tools, run_tool
from knossos.errors import InvalidInput, KnossosError
from knossos.packaging.interruption import raising_when_interrupted
from knossos.packaging.output_file import abandon_standard_output
from knossos.settings_file import client_key

#: Where a server listens that nobody has configured.
DEFAULT_SERVER = "http://127.0.0.1:8080"


def main(arguments: list[str] | None = None) -> int:
    """Do what the arguments say; return the exit code."""
    try:
        with raising_when_interrupted():
            return _run(_parser().parse_args(arguments))
    except KeyboardInterrupt:
        with suppress(OSError):
            sys.stderr.write("interrupted\n")
        return EXIT_DETACHED


def _run(options: argparse.Namespace) -> int:
    screen = make_screen(options.json)
    server = Server(getattr(options, "server", DEFAULT_SERVER))
    try:
        if options.json and getattr(options, "target", None) == "-":
            raise InvalidInput("--json: the events go to standard output; name a file for the repository JSON, not -")
        if not server.url.startswith(("http://", "https://")):
            raise InvalidInput("--server: expected an address such as https://fsnebula.example")
        match options.command:
            case "convert":
                key = options.key or client_key()
                if not key.isprintable():  # nor are bytes that are no UTF-8
                    raise InvalidInput("the API key (--key, KNOSSOS_API_KEY): expected printable text in UTF-8")
                commands.convert(server, screen, options.source, options.target, key, options.webhook)
            case "watch":
                commands.watch(server, screen, Task(options.ticket, options.token), options.target)
            case "cancel":
                commands.cancel(server, screen, Task(options.ticket, options.token))
            case _:
                run_tool(options, screen)
        screen.close()
    except KnossosError as error:
        _close(screen)
        try:
            _report(error, options.json)
        except OSError:
            abandon_standard_output()
        return exit_code(error)
    except OSError as error:
        abandon_standard_output()
        with suppress(OSError):
            sys.stderr.write(f"what happens cannot be written down: {error.strerror or error}\n")
        return EXIT_FAILED
    finally:
        _close(screen)
        server.close()
    return EXIT_DONE


def _close(screen: Screen) -> None:
    with suppress(OSError):
        screen.close()


def _report(error: KnossosError, as_json: bool) -> None:
    if as_json:
        entry = {"event": "error", "code": error.code, "message": error.message, **error.details}
        sys.stdout.write(json.dumps(entry, default=str) + "\n")
        sys.stdout.flush()
        return
    lines = error.message.split("\n")
    lines += [f"  {entry.get('path') or '(all of it)'}: {entry.get('message')}" for entry in _errors(error)]
    sys.stderr.write("".join(f"{plain(line)}\n" for line in lines))


def _errors(error: KnossosError) -> list[dict[str, object]]:
    return error.details.get("errors", []) if isinstance(error, InvalidInput) else []


def _parser() -> argparse.ArgumentParser:
    talking = argparse.ArgumentParser(add_help=False)
    talking.add_argument("--json", action="store_true", help="write events to stdout as one JSON object a line")
    common = argparse.ArgumentParser(add_help=False, parents=[talking])
    common.add_argument("--server", default=DEFAULT_SERVER, metavar="URL", help="default: %(default)s")
    task = argparse.ArgumentParser(add_help=False)
    task.add_argument("ticket", type=int, help="the task's number")
    task.add_argument("--token", default="", help="the task's token")
    parser = argparse.ArgumentParser(
        prog="python -m knossos.client",
        description="Have mods packaged by a Knossos server, and watch how it does that; tools for repositories.",
        epilog="Exit codes: 0 done, 1 the task failed, its result cannot be written or something is broken, "
        "2 wrong input, 3 the server cannot be reached, 4 access denied, 130 stopped watching (Ctrl-C); "
        "the task goes on and can be watched again.",
    )
    command = parser.add_subparsers(dest="command", required=True)
    convert = command.add_parser("convert", parents=[common], help="package a mod and fetch the repository JSON")
    convert.add_argument("source", metavar="mod.json", help="the mod description; - is stdin")
    convert.add_argument("target", metavar="out.json", help="where the repository JSON goes; - is stdout")
    convert.add_argument("--key", default="", help="API key; default: the variable KNOSSOS_API_KEY")
    convert.add_argument("--webhook", default="", metavar="URL", help="address that is told when the task ends")
    watch = command.add_parser("watch", parents=[common, task], help="watch a task, from its beginning")
    watch.add_argument("target", metavar="out.json", nargs="?", help="where its repository JSON goes")
    command.add_parser("cancel", parents=[common, task], help="end a task")
    add_tools(command, talking)
    return parser


if __name__ == "__main__":
    sys.exit(main())
