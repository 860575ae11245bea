"""The live side: one process that follows the events of all jobs and brings them to everyone who watches."""

from knossos.live.application import make_application, serve
from knossos.live.hub import Hub

__all__ = ["Hub", "make_application", "serve"]
