"""A tiny mod of our own, packaged when a worker starts.

It shows at once, and not in the first user's task, that 7-Zip, the disk and the network's inner side work. And it is
done before any fork: what Python prepares at its first use of a thing (validators, codecs, name service, caches of type
checks) is then there in each task's process, which saves a small task some of its time.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import socket
import tempfile
import threading
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from knossos.errors import KnossosError, MissingDependency
from knossos.jobs import FileProgress
from knossos.packaging.conversion import Surroundings, package
from knossos.packaging.description import parse_request
from knossos.packaging.mirror import Mirror
from knossos.packaging.mirror_index import MirrorIndex
from knossos.settings import Settings

log = logging.getLogger(__name__)

#: Seconds for which the test's own server waits for the test's own request.
PATIENCE_SECONDS = 10
#: What is in the archive.
FILES = {"mod.ini": "[launcher]\nmodname = Self-test\n", "data/tables/a.tbl": "a" * 2000}
_LOOPBACK = "127.0.0.1"


def self_test(settings: Settings) -> None:
    """Package a mod in a temporary folder, from a server that lives as long as its one answer.

    What does not work is logged: a worker that cannot download may still do other tasks.

    Raises:
        MissingDependency: 7-Zip is not there.
    """
    try:
        _package_our_own(settings)
    except MissingDependency:
        raise
    except (KnossosError, OSError) as error:
        log.error("the self-test failed, so tasks will probably fail: %s", error)


def _package_our_own(settings: Settings) -> None:
    with tempfile.TemporaryDirectory(prefix="knossos-self-test-") as name, socket.create_server((_LOOPBACK, 0)) as door:
        folder = Path(name)
        door.settimeout(PATIENCE_SECONDS)
        server = threading.Thread(target=_answer_once, args=(door, _archive()))
        server.start()
        try:
            host, port = door.getsockname()
            here = settings.model_copy(
                update={
                    "data_path": folder,
                    "mirror_path": None,
                    "work_path": None,
                    "allowed_private_networks": (f"{_LOOPBACK}/32",),
                    "download_tries": 1,
                }
            )
            workspace = folder / "workspace"
            workspace.mkdir()
            mirror = Mirror(here.mirror_folder, f"http://{host}:{port}/mirror", MirrorIndex(here))
            request = parse_request(json.dumps(_description(f"http://{host}:{port}/self-test.zip")))
            repository: Any = package(request, Surroundings(here, _Silent(), workspace, mirror))
        finally:
            with contextlib.suppress(OSError):
                door.shutdown(socket.SHUT_RDWR)  # wakes the thread where no request has come
            server.join()
    found = [file["filename"] for file in repository["mods"][0]["packages"][0]["filelist"]]
    if sorted(found) != sorted(FILES):
        raise KnossosError(f"7-Zip found {found} in an archive of {sorted(FILES)}; is SEVENZIP a 7-Zip?")


def _description(url: str) -> dict[str, Any]:
    files = [{"filename": "self-test.zip", "urls": [url]}]
    return {"id": "self-test", "title": "Self-test", "version": "1.0.0", "packages": [{"name": "Core", "files": files}]}


def _archive() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
    return packed.getvalue()


def _answer_once(door: socket.socket, body: bytes) -> None:
    try:
        connection, _ = door.accept()
    except OSError:
        return  # the request never came; why, the test itself says
    with connection:
        connection.recv(65536)
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: "1"\r\n\r\n' % len(body) + body)


class _Silent:
    """A reporter that nobody reads."""

    def debug(self, text: str) -> None:
        pass

    info = warning = error = debug

    def progress(self, fraction: float, text: str) -> None:
        pass

    def files(self, files: Sequence[FileProgress]) -> None:
        pass

    def ask(self, kind: str, data: dict[str, Any], timeout_seconds: float | None = None) -> str:
        raise OSError("nobody is there to be asked")

    def check(self) -> None:
        pass
