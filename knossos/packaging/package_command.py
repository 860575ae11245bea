"""Package a mod on this machine, without any server.

Exit codes: 0 the repository JSON was written; 1 packaging failed (a download, an archive, an action); 2 the arguments,
the settings or the description are wrong; 3 something is missing (7-Zip); 130 interrupted.
Everything for people goes to standard error. An existing output file is replaced only by a complete new one, which
keeps its permissions.
"""

from __future__ import annotations

import argparse
import ipaddress
import itertools
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from knossos.errors import EXIT_MISSING, EXIT_OK, KnossosError, MissingDependency, SettingsError
from knossos.packaging.command_line import Output, open_output
from knossos.packaging.conversion import ConversionFailed, Surroundings, package
from knossos.packaging.description import ConversionRequest, DescriptionInvalid, parse_request
from knossos.packaging.interruption import EXIT_INTERRUPTED, raising_when_interrupted
from knossos.packaging.mirror import Mirror
from knossos.packaging.mirror_index import MirrorIndex
from knossos.packaging.output_file import TargetUnusable, check_target, json_pieces, write_output
from knossos.settings import Settings
from knossos.settings_file import load_settings

EXIT_FAILED = 1
EXIT_WRONG_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and answer its exit code."""
    try:
        with raising_when_interrupted():
            options = _parser().parse_args(arguments)
            with open_output(
                sys.stderr, quiet=options.quiet, verbose=options.verbose, json_log=options.json_log
            ) as output:
                code = _run(options, output)
                output.done(code)
    except KeyboardInterrupt:  # before or after the work itself
        with suppress(OSError):
            sys.stderr.write("interrupted\n")
        return EXIT_INTERRUPTED
    return code


def _run(options: argparse.Namespace, output: Output) -> int:
    try:
        settings = _settings(options)
        request = _read(options.description)
        if options.check:
            for line in request.warnings:
                output.warning(line)
            count = "1 mod" if len(request.mods) == 1 else f"{len(request.mods)} mods"
            output.info(f"{options.description}: {count}, and nothing is wrong with the description")
            return EXIT_OK
        check_target(options.output)
        with _workspace(options, settings) as (folder, chosen):
            repository = package(request, Surroundings(chosen, output, folder, _mirror(options, chosen)))
        write_output(options.output, itertools.chain(json_pieces(repository), "\n"))
    except DescriptionInvalid as error:
        for one in error.errors:
            output.error(": ".join(part for part in (options.description, one["path"], one["message"]) if part))
        return EXIT_WRONG_INPUT
    except MissingDependency as error:
        output.error(error.message)
        return EXIT_MISSING
    except (SettingsError, TargetUnusable, _Unusable) as error:
        output.error(str(error))
        return EXIT_WRONG_INPUT
    except ConversionFailed as error:  # each reason was told when it came up
        if len(error.files) > 1:
            output.error(error.message.splitlines()[0])
        return EXIT_FAILED
    except KnossosError as error:
        output.error(error.message)
        return EXIT_FAILED
    except OSError as error:
        output.error(f"{error.filename or 'this machine'}: {error.strerror or error}")
        return EXIT_FAILED
    except KeyboardInterrupt:
        with suppress(OSError):  # the terminal may be gone
            output.error("interrupted; nothing was written")
        return EXIT_INTERRUPTED
    if options.output != "-":
        output.info(f"{options.output} is written")
    return EXIT_OK


class _Unusable(Exception):
    """A file that was named cannot be used."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m knossos.packaging",
        description="Package mods on this machine: download and read their archives, write the repository JSON.",
        epilog="Exit codes: 0 written, 1 packaging failed, 2 wrong input, 3 7-Zip is missing, 130 interrupted.",
    )
    parser.add_argument("description", help='the mod description (JSON); "-" reads standard input')
    parser.add_argument("output", nargs="?", default="-", help='the file to write; "-" (default) is standard output')
    parser.add_argument("-q", "--quiet", action="store_true", help="say only what is wrong")
    parser.add_argument("-v", "--verbose", action="store_true", help="say every detail")
    parser.add_argument("--json-log", action="store_true", help="write one JSON object for each event")
    parser.add_argument("--check", action="store_true", help="only check the description; download nothing")
    parser.add_argument("--mirror", type=Path, metavar="FOLDER", help="keep the archives in this public folder")
    parser.add_argument("--mirror-url", metavar="URL", help="the public address of that folder")
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="remember here what was read, so that the next time is quick"
    )
    parser.add_argument(
        "--allow-network", action="append", default=[], metavar="CIDR",
        help="a private network that downloads may reach, such as 10.0.0.0/8; may be repeated",
    )  # fmt: skip
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    settings = load_settings()
    if bool(options.mirror) != bool(options.mirror_url):
        raise SettingsError("--mirror and --mirror-url belong together", setting="MIRROR_PATH")
    changes: dict[str, object] = {
        "allowed_private_networks": (*settings.allowed_private_networks, *options.allow_network)
    }
    if options.mirror:
        changes |= {"mirror_path": options.mirror.absolute(), "mirror_url": options.mirror_url}
    for network in options.allow_network:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise SettingsError(
                f"--allow-network {network}: expected a network such as 10.0.0.0/8 or fd00::/8",
                setting="ALLOWED_PRIVATE_NETWORKS",
            ) from error
    try:
        return Settings(**{**settings.model_dump(), **changes})
    except ValueError as error:
        raise SettingsError(
            f"--mirror-url {options.mirror_url}: expected an address such as https://example.org/mods",
            setting="MIRROR_URL",
        ) from error


def _read(name: str) -> ConversionRequest:
    if name == "-":
        return parse_request(sys.stdin.buffer.read())
    path = Path(name)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise _Unusable(f"{name}: {error.strerror}") from error
    return parse_request(text, allow_includes=path.resolve().parent)


@contextmanager
def _workspace(options: argparse.Namespace, settings: Settings) -> Iterator[tuple[Path, Settings]]:
    """A temporary folder, and the settings with the folder for what is remembered; it is temporary too unless named."""
    with tempfile.TemporaryDirectory(prefix="knossos-") as folder:
        work = Path(folder) / "work"
        work.mkdir()
        data = options.data.absolute() if options.data else Path(folder) / "data"
        yield work, settings.model_copy(update={"data_path": data})


def _mirror(options: argparse.Namespace, settings: Settings) -> Mirror | None:
    if not options.mirror:
        return None
    return Mirror(settings.mirror_folder, settings.mirror_url, MirrorIndex(settings))
