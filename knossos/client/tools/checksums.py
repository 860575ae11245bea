"""The command ``checksums``: fill in what old repositories lack.

Each archive is fetched once, and only where something of it is missing. What is there is compared and never changed: a
file that is not what the repository says is named, and its entries stay as they were. What always holds: the output is
written as a whole, at the end.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from knossos.client.screens import Screen
from knossos.client.tools.errors import ToolFailed
from knossos.client.tools.filling import Found, fill_mod, identity_of, wanted_files, with_defaults
from knossos.client.tools.reporting import ScreenReporter
from knossos.client.tools.sources import read_repository
from knossos.errors import KnossosError
from knossos.outgoing import OutgoingHttp
from knossos.packaging.archives import Entry, Inspection, Inspections, Limits, SevenZip
from knossos.packaging.conversion.acquire import Acquirer, Source
from knossos.packaging.conversion.board import Board
from knossos.packaging.conversion.errors import FileFailure
from knossos.packaging.conversion.items import Bundle, Item, Key, bundles_of, items_of
from knossos.packaging.conversion.pipeline import StopSignal, work_through
from knossos.packaging.description import ConversionRequest, DescriptionInvalid, Mod
from knossos.packaging.downloads import Downloader, KnownLinks
from knossos.packaging.output_file import check_target, json_pieces, write_output
from knossos.settings import Settings

#: Problems that the last message spells out; all of them are told as they come up.
SHOWN_PROBLEMS = 20


@dataclass(frozen=True)
class _Measured:
    """A file that was fetched. ``contents``: where `Inspections` has them; "" for none (a further volume of a split
    archive), None for a file that is no archive."""

    size: int
    md5: str
    sha256: str
    contents: str | None


@dataclass
class _Work:
    """What is needed for all mods, and what was found out so far."""

    settings: Settings
    reporter: ScreenReporter
    http: OutgoingHttp
    inspections: Inspections
    #: What is known of files, by `identity_of`. What archives hold lies on the disk: of all of them it is too much.
    found: dict[object, _Measured] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    fetched: int = 0

    def problem(self, text: str) -> None:
        self.problems.append(text)
        self.reporter.error(text)


def fill_checksums(settings: Settings, screen: Screen, source: str, target: str) -> None:
    """Read the repository at ``source`` (a file, "-" or an address), write the filled one to ``target``.

    Raises:
        ToolFailed: something could not be filled in or is not as the repository says; the rest is written.
    """
    check_target(target)
    http = OutgoingHttp(settings)
    with tempfile.TemporaryDirectory(prefix="knossos-") as folder:
        chosen = settings.model_copy(update={"data_path": Path(folder) / "data"})
        work = _Work(chosen, ScreenReporter(screen), http, Inspections(chosen))
        try:
            data = read_repository(source, http)
            mods = []
            for number, mod in enumerate(data["mods"]):
                work.reporter.share = (number / len(data["mods"]), (number + 1) / len(data["mods"]))
                mods.append(_fill(work, number, mod, Path(folder)))
        finally:
            http.close()
    filled = {**data, "generated": int(time.time()), "mods": mods}
    write_output(target, itertools.chain(json_pieces(filled), "\n"))
    if work.problems:
        shown = "\n".join(f"- {text}" for text in work.problems[:SHOWN_PROBLEMS])
        more = len(work.problems) - SHOWN_PROBLEMS
        what = "thing is" if len(work.problems) == 1 else "things are"
        raise ToolFailed(
            f"{target} is written, but {len(work.problems)} {what} not as it should be:\n{shown}"
            + (f"\n- and {more} more" if more > 0 else ""),
            problems=work.problems,
        )
    screen.note(f"Mods and versions: {len(mods):,}; files fetched: {work.fetched:,}: {target}")


def _fill(work: _Work, number: int, data: Any, folder: Path) -> Any:
    """One mod with all that could be filled in; as it was, where it breaks the rules of a description."""
    try:
        filled, mod = with_defaults(data)
    except DescriptionInvalid as error:
        name = data.get("id") if isinstance(data, dict) else None
        for one in error.errors:
            path = one["path"].removeprefix("mods.0").strip(".")
            place = ": ".join(part for part in (str(name or f"mods.{number}"), path) if part)
            work.problem(f"{place}: {one['message']}")
        return data
    places = wanted_files(filled)
    bundles = [
        bundle
        for bundle in bundles_of(ConversionRequest(mods=[mod]))
        if any(item.key[1:] in places for item in bundle.items)
    ]
    identities = {item.key: identity_of(_data_of(filled, item)) for _, item in _each(bundles)}
    fresh = [bundle for bundle in bundles if not all(identities[item.key] in work.found for item in bundle.items)]
    with tempfile.TemporaryDirectory(dir=folder, prefix="mod-") as workspace:
        _fetch(work, mod, fresh, identities, Path(workspace))
    known = {
        (item.key[1], item.key[2]): _found(work, work.found[identities[item.key]], item.file.filename)
        for _, item in _each(bundles)
        if identities[item.key] in work.found
    }
    for text in fill_mod(filled, mod, known):
        work.problem(f"{mod.id} {mod.version}: {text}")
    return filled


def _found(work: _Work, measured: _Measured, name: str) -> Found:
    entries: Sequence[Entry] | None = None if measured.contents is None else []
    if measured.contents:
        inspection = work.inspections.load(measured.contents, name)
        if inspection is None:
            raise KnossosError(f"{name}: what was read of it is gone from the temporary folder")
        entries = inspection.entries
    return Found(measured.size, measured.md5, measured.sha256, entries)


def _fetch(work: _Work, mod: Mod, wanted: Sequence[Bundle], identities: dict[Key, object], workspace: Path) -> None:
    """Get files of a mod, and note what is in them."""
    if not wanted:
        return
    board, signal = Board(items_of(wanted), work.reporter), StopSignal(work.reporter.check)
    acquirer = Acquirer(
        downloader=Downloader(work.settings, work.http, work.reporter),
        links=KnownLinks(work.settings),
        inspections=work.inspections,
        limits=Limits.from_settings(work.settings),
        sevenzip=SevenZip.locate(work.settings),
        mirror=None,
        workspace=workspace,
        board=board,
        reporter=work.reporter,
        check=signal.check,
    )

    def inspect(bundle: Bundle, sources: Sequence[Source]) -> Inspection | None:
        inspection = acquirer.inspect(bundle, sources)
        for item, source in zip(bundle.items, sources, strict=True):
            board.done(item, source.size)
        return inspection

    def on_failure(failure: FileFailure) -> None:
        board.failed(failure.item, failure.sentence)
        work.problem(f"{mod.id} {mod.version}: {failure.text}")

    outcome = work_through(
        wanted,
        obtain=acquirer.obtain,
        inspect=inspect,
        on_failure=on_failure,
        signal=signal,
        downloads=work.settings.download_concurrency,
        inspections=os.cpu_count() or 1,
    )
    board.report()
    for bundle in wanted:
        if bundle.first.key not in outcome.read:
            continue
        sources, inspection = [outcome.got[item.key] for item in bundle.items], outcome.read[bundle.first.key]
        contents = None if inspection is None else _key(sources)
        if inspection is not None and contents is not None:
            work.inspections.save(contents, inspection)
        for item, source in zip(bundle.items, sources, strict=True):
            mine = contents if item is bundle.first or contents is None else ""
            work.found[identities[item.key]] = _Measured(source.size, source.md5, source.sha256, mine)
            work.fetched += 1


def _key(sources: Sequence[Source]) -> str:
    """Where the contents of an archive are kept: of a split one not where those of its first volume would be."""
    if len(sources) == 1:
        return sources[0].sha256
    return hashlib.sha256("".join(source.sha256 for source in sources).encode()).hexdigest()


def _each(bundles: Sequence[Bundle]) -> Iterator[tuple[Bundle, Item]]:
    for bundle in bundles:
        yield from ((bundle, item) for item in bundle.items)


def _data_of(filled: dict[str, Any], item: Item) -> dict[str, Any]:
    _, package, position = item.key
    file: dict[str, Any] = filled["packages"][package]["files"][position]
    return file
