"""Package a mod on this machine, without any server.

Exit codes: 0 the repository JSON was written; 1 packaging failed (a download, an archive, an action); 2 the arguments,
the settings or the description are wrong; 3 something is missing (7-Zip); 130 interrupted.
Everything for people goes to standard error. An existing output file is replaced only by a complete new one.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from knossos.errors import EXIT_MISSING, EXIT_OK, KnossosError, MissingDependency, SettingsError
from knossos.packaging.command_line import Output, open_output
from knossos.packaging.conversion import Surroundings, package
from knossos.packaging.description import ConversionRequest, DescriptionInvalid, parse_request
from knossos.packaging.mirror import Mirror
from knossos.packaging.mirror_index import MirrorIndex
from knossos.settings import Settings, load_settings

EXIT_FAILED = 1
EXIT_WRONG_INPUT = 2
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and answer its exit code."""
    options = _parser().parse_args(arguments)
    with open_output(sys.stderr, quiet=options.quiet, verbose=options.verbose, json_log=options.json_log) as output:
        code = _run(options, output)
        output.done(code)
    return code


def _run(options: argparse.Namespace, output: Output) -> int:
    try:
        settings = _settings(options)
        request = _read(options.description)
        if options.check:
            for line in request.warnings:
                output.warning(line)
            output.info(f"{options.description}: {len(request.mods)} mods, and nothing is wrong with the description")
            return EXIT_OK
        _refuse_bad_target(options.output)
        with _workspace(options, settings) as (folder, chosen):
            repository = package(request, Surroundings(chosen, output, folder, _mirror(options, chosen)))
        _write(options.output, json.dumps(repository, indent=2, ensure_ascii=False) + "\n")
    except DescriptionInvalid as error:
        for one in error.errors:
            output.error(": ".join(part for part in (options.description, one["path"], one["message"]) if part))
        return EXIT_WRONG_INPUT
    except MissingDependency as error:
        output.error(error.message)
        return EXIT_MISSING
    except (SettingsError, _Unusable) as error:
        output.error(str(error))
        return EXIT_WRONG_INPUT
    except KnossosError as error:
        output.error(error.message)
        return EXIT_FAILED
    except OSError as error:
        output.error(f"{error.filename or 'this machine'}: {error.strerror or error}")
        return EXIT_FAILED
    except KeyboardInterrupt:
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
    try:
        return Settings(**{**settings.model_dump(), **changes})
    except ValueError as error:
        reason = str(error).splitlines()[2].strip().removeprefix("Value error, ")
        raise SettingsError(f"--allow-network or --mirror-url: {reason}", setting="") from error


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
    with tempfile.TemporaryDirectory(prefix="knossos-") as folder, _terminated_like_interrupted():
        work = Path(folder) / "work"
        work.mkdir()
        data = options.data.absolute() if options.data else Path(folder) / "data"
        yield work, settings.model_copy(update={"data_path": data})


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM ends the work as Ctrl-C does, so that nothing is left behind."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _mirror(options: argparse.Namespace, settings: Settings) -> Mirror | None:
    if not options.mirror:
        return None
    return Mirror(settings.mirror_folder, settings.mirror_url, MirrorIndex(settings))


def _refuse_bad_target(name: str) -> None:
    """Say at once that the result cannot be written, not after an hour of downloads."""
    folder = Path(name).absolute().parent
    if name != "-" and (Path(name).is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK)):
        raise _Unusable(f"{name}: expected a file in a folder that can be written to")


def _write(name: str, text: str) -> None:
    if name == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    path = Path(name)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.absolute().parent, prefix=f".{path.name}.", delete=False
    ) as file:
        try:
            file.write(text)
            file.flush()
            os.chmod(file.name, 0o666 & ~_umask())
            os.replace(file.name, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(file.name)
            raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


if __name__ == "__main__":
    sys.exit(main())
