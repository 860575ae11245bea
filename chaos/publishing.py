"""Authors who upload archives in parts and publish releases, and send everything again until they have an answer."""

from __future__ import annotations

import hashlib
import random
from typing import Any

from chaos.clients import Client, Unanswered
from chaos.elsewhere import Elsewhere, archive_of
from tests.support.releases import document

#: Bytes of a part of an upload (nebula.md).
PART_BYTES = 10 * 1024 * 1024
#: One in so many uploads has more than one part.
LARGE_EVERY = 6
#: How often a release is sent before its author gives up, and reasons for which it is sent again.
TRIES = 12
AGAIN = frozenset({"still checking", "check failed", "cancelled", "timeout", "unavailable"})


class Publishing:
    """One author, with one mod."""

    def __init__(self, client: Client, rng: random.Random, elsewhere: Elsewhere) -> None:
        self._client = client
        self._rng = rng
        self._elsewhere = elsewhere
        self._mod = f"{client.name}s-mod"
        self._has_mod = False
        self._made = 0

    def one(self) -> None:
        """Upload an archive, and publish a release that has it."""
        if not self._client.token:
            self._client.log_in()
        if not self._has_mod:
            self._make_mod()
        self._made += 1
        version = f"1.0.{self._made}"
        data, files = archive_of(self._rng, f"{self._mod}-{version}")
        if self._made % LARGE_EVERY == 0:
            # A comment of a zip may not be that large, but what stands before it may be anything.
            data = self._rng.randbytes(PART_BYTES) + data
            self._upload(data)
            return
        sha256 = self._upload(data)
        self._publish(version, sha256, len(data), files)

    def _make_mod(self) -> None:
        facts = {"id": self._mod, "title": self._mod, "type": "tc", "parent": None}
        answer = self._post("mod/create", json=facts)
        if not answer.get("result") and not self._post("mod/is_editable", data={"mid": self._mod}).get("result"):
            raise Unanswered(f"mod/create: {answer}")
        known = self._client.as_person("GET", f"/api/1/mod/webhooks?mid={self._mod}", repeat=True).json()
        if not known.get("webhooks"):
            hook = {"mid": self._mod, "url": self._elsewhere.release_hook, "format": "json", "events": "release"}
            # Not repeated: a second webhook would be told of each release as well.
            answer = self._client.as_person("POST", "/api/1/mod/webhooks/add", repeat=False, data=hook).json()
            if not answer.get("result"):
                raise Unanswered(f"mod/webhooks/add: {answer}")
        self._has_mod = True

    def _upload(self, data: bytes) -> str:
        """Upload in parts, and go on where that was broken off; the SHA-256."""
        sha256 = hashlib.sha256(data).hexdigest()
        count = -(-len(data) // PART_BYTES)
        self._client.notebook.request("upload")
        for _ in range(TRIES):
            started = self._post("multiupload/start", data={"id": sha256, "size": len(data), "parts": count})
            if not started.get("done"):
                for number in sorted(set(range(count)) - set(started.get("finished_parts", []))):
                    self._send_part(sha256, number, data[number * PART_BYTES : (number + 1) * PART_BYTES])
            answer = self._post("multiupload/finish", data={"id": sha256, "checksum": sha256})
            if answer.get("result"):
                self._client.notebook.accept("upload", sha256, size=len(data))
                return sha256
            self._client.stopping.wait(1)
        raise Unanswered(f"the upload of {sha256} was never finished: {answer}")

    def _send_part(self, sha256: str, number: int, data: bytes) -> None:
        form = {"id": sha256, "part": str(number)}
        answer = self._client.as_person(
            "POST", "/api/1/multiupload/part", repeat=True, data=form, files={"file": ("upload", data)}
        )
        if answer.status_code not in (200, 404):
            raise Unanswered(f"part {number}: {answer.status_code} {answer.text[:200]}")

    def _publish(self, version: str, sha256: str, size: int, files: dict[str, bytes]) -> None:
        sent = self._release(version, sha256, size, files)
        notebook = self._client.notebook
        notebook.request("release")
        last: dict[str, Any] = {}
        sent_before = False
        for _ in range(TRIES):
            try:
                last = self._post("mod/release", json=sent)
            except Unanswered as error:
                last = {"reason": str(error)}
            # After an answer that was lost the version is there already: our own one.
            if last.get("result") or (sent_before and last.get("reason") == "duplicated version"):
                notebook.accept("release", f"{self._mod} {version}", sha256=sha256)
                return
            if last.get("reason") not in AGAIN and not last.get("message", "").startswith("Something"):
                break
            sent_before = True
            self._client.stopping.wait(1)
        notebook.refuse("release", str(last.get("reason")))
        notebook.surprise(f"the release {self._mod} {version} was refused: {last}")

    def _release(self, version: str, sha256: str, size: int, files: dict[str, bytes]) -> dict[str, Any]:
        made = document(id=self._mod, version=version).model_dump(mode="json")
        package = made["packages"][0]
        archive = {"filename": "core.zip", "dest": "", "checksum": ["sha256", sha256], "filesize": size}
        package["files"] = [archive]
        package["filelist"] = [
            {
                "filename": name,
                "archive": "core.zip",
                "orig_name": name,
                "checksum": ["sha256", hashlib.sha256(content).hexdigest()],
            }
            for name, content in files.items()
        ]
        made["title"] = self._mod
        return made

    def _post(self, path: str, **sent: Any) -> dict[str, Any]:
        """Everything here may be sent again: it is known by its sum, or by its version."""
        answer = self._client.as_person("POST", f"/api/1/{path}", repeat=True, **sent)
        found: dict[str, Any] = answer.json()
        return found
