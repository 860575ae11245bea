"""What tests of downloads share: a reporter that takes notes, a clock that only moves when someone sleeps."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from knossos.outgoing import OutgoingHttp
from knossos.packaging.downloads import Downloader, Hosters
from knossos.settings import Settings


class NotingReporter:
    """Takes notes of what it is told. `answers` are given to questions in turn; an exception among them is raised."""

    def __init__(self, answers: Sequence[str | Exception] = ()) -> None:
        self.lines: list[str] = []
        self.questions: list[dict[str, Any]] = []
        self.answers = list(answers)
        self.on_check: Callable[[], None] = lambda: None

    def debug(self, text: str) -> None:
        self.lines.append(f"DEBUG: {text}")

    def info(self, text: str) -> None:
        self.lines.append(f"INFO: {text}")

    def warning(self, text: str) -> None:
        self.lines.append(f"WARNING: {text}")

    def error(self, text: str) -> None:
        self.lines.append(f"ERROR: {text}")

    def progress(self, fraction: float, text: str) -> None:
        """Downloads leave the progress to their caller."""

    def files(self, files: Sequence[Any]) -> None:
        """The same."""

    def ask(self, kind: str, data: dict[str, Any], timeout_seconds: float | None = None) -> str:
        assert kind == "captcha"
        self.questions.append(data)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def check(self) -> None:
        self.on_check()


class Clock:
    """Seconds that pass only while someone sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Bench:
    """A downloader with everything around it. Loopback is allowed; pauses take no time but are counted by `clock`."""

    def __init__(self, folder: Path, hosters: Hosters | None = None, **settings: Any) -> None:
        self.target = folder / "target.part"
        settings.setdefault("allowed_private_networks", ("127.0.0.0/8",))
        settings.setdefault("read_timeout_seconds", 0.4)
        self.settings = Settings(data_path=folder / "var", **settings)
        self.http = OutgoingHttp(self.settings)
        self.reporter = NotingReporter()
        self.clock = Clock()
        self.downloader = Downloader(
            self.settings, self.http, self.reporter, hosters=hosters, sleep=self.clock.sleep, clock=self.clock
        )

    def close(self) -> None:
        self.http.close()


def hashes(data: bytes) -> tuple[str, str]:
    return hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest()
