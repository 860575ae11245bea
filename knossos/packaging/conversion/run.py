"""A conversion from its request to its repository: get and read the files, put the mods together, mirror, write.

Owns the order of these steps. Nothing is added to the mirror before everything else has succeeded, and what links gave
is remembered only after that.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from knossos.errors import KnossosError
from knossos.outgoing import OutgoingHttp
from knossos.packaging.archives import Inspection, Inspections, Limits, SevenZip
from knossos.packaging.assembly import Assembly, Contents, assemble
from knossos.packaging.conversion.acquire import Acquirer, Source, public_links
from knossos.packaging.conversion.board import Board
from knossos.packaging.conversion.errors import FileFailure, ModFailure, files_failed, mods_failed
from knossos.packaging.conversion.items import Bundle, Item, Key, bundles_of, items_of
from knossos.packaging.conversion.logos import find_logos
from knossos.packaging.conversion.pipeline import Outcome, StopSignal, work_through
from knossos.packaging.conversion.result import repository_of
from knossos.packaging.description import ConversionRequest
from knossos.packaging.downloads import Downloader, KnownLinks
from knossos.packaging.mirror import Mirror, folder_for
from knossos.packaging.reporting import Reporter
from knossos.settings import Settings

Found = Outcome[Source, Inspection | None]


@dataclass(frozen=True)
class Surroundings:
    """What a conversion runs in. ``workspace`` is a private, empty folder; ``mirror`` None: nothing is mirrored."""

    settings: Settings
    reporter: Reporter
    workspace: Path
    mirror: Mirror | None


def package(request: ConversionRequest, around: Surroundings) -> dict[str, object]:
    """Package the mods of a request; what comes back is the repository as JSON data.

    Raises:
        ConversionFailed: with every reason.
        MirrorFailed: the archives could not be stored. Nothing of them is left there then.
    """
    reporter = around.reporter
    for line in request.warnings:
        reporter.warning(line)
    bundles = bundles_of(request)
    board = Board(items_of(bundles), reporter)
    links = KnownLinks(around.settings)
    found, acquirer = _get_and_read(bundles, board, links, around)
    board.stage(0.0, "Putting the files together")
    assemblies = _assemble(request, bundles, found, reporter, around.settings.archive_max_entries)
    logos = find_logos(request, assemblies, bundles, found, acquirer)
    reporter.check()
    public: dict[Key, list[str]] = {item.key: public_links(item, around.mirror) for item in items_of(bundles)}
    logo_links: dict[int, str] = {}
    if around.mirror is not None:
        board.stage(0.5, "Storing the archives in the mirror")
        with around.mirror.additions(reporter.check) as additions:
            for item in items_of(bundles):
                source = found.got[item.key]
                folder = folder_for(request.mods, item.mod)
                path = additions.add(source.path, folder, item.file.filename, sha256=source.sha256, md5=source.md5)
                public[item.key].append(around.mirror.link(path))
            for number, logo in logos.items():
                folder = folder_for(request.mods, request.mods[number])
                path = additions.add(logo.path, folder, f"{logo.sha256}.jpg", sha256=logo.sha256, md5=logo.md5)
                logo_links[number] = around.mirror.link(path)
    _remember(found, links, around.mirror)
    for item in items_of(bundles):
        if not public[item.key]:
            reporter.warning(f"{item.label}: no direct link is left; players cannot download it")
    repository = repository_of(
        request, assemblies, found.got, {key: list(dict.fromkeys(urls)) for key, urls in public.items()}, logo_links,
        generated=int(time.time()),
    )  # fmt: skip
    board.stage(1.0, "Done")
    return repository.as_json()


def _get_and_read(
    bundles: Sequence[Bundle], board: Board, links: KnownLinks, around: Surroundings
) -> tuple[Found, Acquirer]:
    reporter, settings = around.reporter, around.settings
    signal = StopSignal(reporter.check)
    http = OutgoingHttp(settings)
    try:
        acquirer = Acquirer(
            downloader=Downloader(settings, http, _Checked(reporter, signal)),
            links=links,
            inspections=Inspections(settings),
            limits=Limits.from_settings(settings),
            sevenzip=SevenZip.locate(settings),
            mirror=around.mirror,
            workspace=around.workspace,
            board=board,
            reporter=reporter,
            check=signal.check,
        )

        def obtain(item: Item) -> Source:
            source = acquirer.obtain(item)
            if source.downloaded is None:
                reporter.info(f"{item.label}: read from the mirror")
            elif not source.is_fresh:
                reporter.info(f"{item.label}: unchanged at {source.downloaded.url}")
            else:
                reporter.info(f"{item.label}: downloaded {source.size:,} bytes from {source.downloaded.url}")
            return source

        def inspect(bundle: Bundle, sources: Sequence[Source]) -> Inspection | None:
            inspection = acquirer.inspect(bundle, sources)
            if inspection is not None:
                for line in inspection.warnings:
                    reporter.warning(f"{bundle.first.label}: {line}")
                count = len(inspection.entries)
                reporter.info(
                    f"{bundle.first.label}: {inspection.format}, {count:,} {'file' if count == 1 else 'files'}, "
                    f"{inspection.total_bytes:,} bytes"
                )
            for item, source in zip(bundle.items, sources, strict=True):
                board.done(item, source.size, "" if source.is_fresh else "unchanged")
            return inspection

        def on_failure(failure: FileFailure) -> None:
            board.failed(failure.item, failure.sentence)
            reporter.error(failure.text)

        found: Found = work_through(
            bundles,
            obtain=obtain,
            inspect=inspect,
            on_failure=on_failure,
            signal=signal,
            downloads=settings.download_concurrency,
            inspections=os.cpu_count() or 1,
        )
    finally:
        http.close()
    board.report()
    if found.failures:
        raise files_failed(found.failures, sum(len(bundle.items) for bundle in bundles))
    return found, acquirer


def _assemble(
    request: ConversionRequest, bundles: Sequence[Bundle], found: Found, reporter: Reporter, most_entries: int
) -> list[Assembly]:
    contents: list[dict[tuple[int, int], Contents]] = [{} for _ in request.mods]
    for bundle in bundles:
        for item in bundle.items:
            source = found.got[item.key]
            inspection = found.read[bundle.first.key]
            # A volume that is not the first has no files of its own.
            entries = None if inspection is None else inspection.entries if item is bundle.first else []
            number, *place = item.key
            contents[number][place[0], place[1]] = Contents(source.size, source.md5, source.sha256, entries)
    assemblies: list[Assembly] = []
    failures: list[ModFailure] = []
    # Files and folders; actions may copy everything once.
    room = 2 * most_entries
    for number, mod in enumerate(request.mods):
        try:
            assembly = assemble(mod, contents[number], room)
        except KnossosError as error:
            failures.append(ModFailure(mod.id, error))
            reporter.error(f"{mod.id}: {error}")
            continue
        room -= assembly.installed
        for line in assembly.warnings:
            reporter.warning(f"{mod.id}: {line}")
        assemblies.append(assembly)
    if failures:
        raise mods_failed(failures)
    return assemblies


def _remember(found: Found, links: KnownLinks, mirror: Mirror | None) -> None:
    """Keep what links gave, now that the files are in the mirror."""
    if mirror is None:
        return
    sources: Mapping[Key, Source] = found.got
    for source in sources.values():
        if source.is_fresh and source.downloaded is not None:
            links.remember(source.downloaded.known)


class _Checked:
    """A reporter whose check also heeds the stop signal."""

    def __init__(self, reporter: Reporter, signal: StopSignal) -> None:
        self.debug = reporter.debug
        self.info = reporter.info
        self.warning = reporter.warning
        self.error = reporter.error
        self.progress = reporter.progress
        self.files = reporter.files
        self.ask = reporter.ask
        self.check = signal.check
