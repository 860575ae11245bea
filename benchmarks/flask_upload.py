"""A server as Flask's documentation has it, for uploads: ``request.files`` parses the form into a temporary file.

``python -m benchmarks.flask_upload PORT FOLDER`` starts it in the same uWSGI as ours, without settings of its own.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from flask import Flask, request

PIECE_BYTES = 256 * 1024


def make_app() -> Flask:
    """One address, ``/upload``, that answers with the SHA-256 of what it has stored in BENCH_FOLDER."""
    app, folder = Flask(__name__), Path(os.environ["BENCH_FOLDER"])

    @app.get("/")
    def ready() -> str:
        return "ready"

    @app.post("/upload")
    def upload() -> str:
        digest = hashlib.sha256()
        with (folder / "stored").open("wb") as out:
            while piece := request.files["file"].stream.read(PIECE_BYTES):
                digest.update(piece)
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())
        return digest.hexdigest()

    return app


if __name__ == "__main__":
    import pyuwsgi

    os.environ["BENCH_FOLDER"] = sys.argv[2]
    options = ["--http-socket", f"127.0.0.1:{sys.argv[1]}", "--module", "benchmarks.flask_upload:make_app()"]
    options += ["--master", "--lazy-apps", "--processes", "2", "--threads", "4", "--die-on-term", "--disable-logging"]
    pyuwsgi.run([*options, "--no-orphans", "--add-header", "Connection: close", "--binary-path", sys.executable])
