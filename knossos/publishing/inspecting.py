"""Learning what is in the stored files of a release: several archives side by side, and none that is known already.

An archive that cannot be read is a finding about it and no failure: the others are read all the same. Only what keeps
this server from reading anything (no 7-Zip, no storage) is raised.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

from knossos.jobs import FilePhase, FileProgress
from knossos.packaging.archives import (
    ArchiveError,
    EntryBudget,
    Inspection,
    Inspections,
    Limits,
    SevenZip,
    inspect_archive,
)
from knossos.packaging.conversion.pipeline import CHECK_SECONDS, StopSignal
from knossos.packaging.reporting import Reporter
from knossos.publishing.blobs import Blobs
from knossos.publishing.checks import StoredFile
from knossos.publishing.documents import DocumentFile, ReleaseDocument
from knossos.settings import Settings

#: How much of a check is reading the archives.
READING_SHARE = 0.8

Place = tuple[int, int]


class Inspector:
    """``workspace`` is for archives that are fetched from an object store."""

    def __init__(self, settings: Settings, blobs: Blobs, reporter: Reporter, workspace: Path) -> None:
        self.inspections = Inspections(settings)
        self.limits = Limits.from_settings(settings)
        self._settings = settings
        self._blobs = blobs
        self._reporter = reporter
        self._workspace = workspace
        self._paths: dict[str, Path] = {}
        self._fetching: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    @property
    def sevenzip(self) -> SevenZip:
        return SevenZip.locate(self._settings)

    def look_at(self, document: ReleaseDocument) -> dict[Place, StoredFile]:
        """What is known of each file of a release that is stored; each content is read once."""
        files = {
            (number, index): file
            for number, package in enumerate(document.packages)
            for index, file in enumerate(package.files)
        }
        stored: dict[Place, StoredFile] = {}
        board = _Board(files, self._reporter)
        budget = EntryBudget()
        to_read: dict[tuple[str, str], list[Place]] = {}
        for place, file in files.items():
            blob = self._blobs.find(file.checksum[1])
            if blob is None:
                board.settle(place, FilePhase.FAILED if not file.urls else FilePhase.DONE, "not stored here")
                continue
            stored[place] = StoredFile(blob.size)
            if file.is_archive:
                to_read.setdefault((file.checksum[1], file.filename), []).append(place)
            else:
                board.settle(place, FilePhase.DONE)
        signal = StopSignal(self._reporter.check)

        def read(places: list[Place]) -> None:
            file, limits = files[places[0]], budget.limits_for_one(self.limits)
            result = self._read(file, stored[places[0]].size, places[0], limits, board, signal)
            for place in places:
                stored[place] = result
                board.settle(place, FilePhase.FAILED if result.trouble else FilePhase.DONE, result.trouble)

        if len(to_read) == 1:
            read(next(iter(to_read.values())))
        elif to_read:
            self._all_at_once(read, list(to_read.values()), signal)
        board.report()
        return stored

    def _all_at_once(
        self, read: Callable[[list[Place]], None], groups: list[list[Place]], signal: StopSignal
    ) -> None:  # fmt: skip
        with ThreadPoolExecutor(min(len(groups), os.cpu_count() or 1), "inspect") as threads:
            pending = {threads.submit(read, places) for places in groups}
            try:
                while pending:
                    ended, pending = wait(pending, CHECK_SECONDS, FIRST_EXCEPTION)
                    for future in ended:
                        future.result()
                    signal.check()
            except BaseException:
                signal.set()
                for future in pending:
                    future.cancel()
                raise

    def _read(
        self, file: DocumentFile, size: int, place: Place, limits: Limits, board: _Board, signal: StopSignal
    ) -> StoredFile:
        sha256 = file.checksum[1]
        try:
            known = self.inspections.load(sha256, file.filename)
            if known is not None:
                limits.check_entries(len(known.entries), file.filename)
                return StoredFile(size, known)
            board.advance(place, 0)
            found = self.inspect(self.path_of(sha256), file.filename, limits, place, board, signal)
        except ArchiveError as error:
            return StoredFile(size, None, error.message)
        self.inspections.save(sha256, found)
        return StoredFile(size, found)

    def inspect(
        self, path: Path, name: str, limits: Limits, place: Place, board: _Board, signal: StopSignal
    ) -> Inspection:
        found = inspect_archive(
            path,
            limits=limits,
            sevenzip=self.sevenzip,
            progress=lambda done, total: board.advance(place, done, total or None),
            check=signal.check,
            name=name,
        )
        count = len(found.entries)
        files = "file" if count == 1 else "files"
        self._reporter.info(f"{name}: {found.format}, {count:,} {files}, {found.total_bytes:,} bytes")
        return found

    def path_of(self, sha256: str) -> Path:
        """The stored file on this machine's disk, fetched once. Raises NoSuchObject."""
        with self._fetching[sha256]:
            if sha256 not in self._paths:
                self._paths[sha256] = self._blobs.local(sha256, self._workspace)
            return self._paths[sha256]


class _Board:
    """How far the reading of each file is; may be told from several threads."""

    def __init__(self, files: Mapping[Place, DocumentFile], reporter: Reporter) -> None:
        self._reporter = reporter
        self._lock = threading.Lock()
        self._states = {
            place: FileProgress(file.filename, FilePhase.WAITING, 0, file.filesize) for place, file in files.items()
        }
        self._weights = {place: max(1, file.filesize) for place, file in files.items()}
        self._fractions = dict.fromkeys(files, 0.0)

    def advance(self, place: Place, done: int, total: int | None = None) -> None:
        state = self._states[place]
        with self._lock:
            self._states[place] = FileProgress(state.name, FilePhase.INSPECTING, done, total)
            self._fractions[place] = min(1.0, done / total) if total else 0.0
        self.report()

    def settle(self, place: Place, phase: FilePhase, note: str = "") -> None:
        state = self._states[place]
        with self._lock:
            size = self._weights[place]
            self._states[place] = FileProgress(state.name, phase, size, size, note=note)
            self._fractions[place] = 1.0
        self.report()

    def report(self) -> None:
        with self._lock:
            states = list(self._states.values())
            weights = sum(self._weights.values()) or 1
            done = sum(self._weights[place] * fraction for place, fraction in self._fractions.items()) / weights
        self._reporter.files(states)
        busy = [state.name for state in states if state.phase is FilePhase.INSPECTING]
        self._reporter.progress(
            READING_SHARE * done, f"Reading {busy[0]}" if len(busy) == 1 else "Reading the archives"
        )
