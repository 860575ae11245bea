"""The Flask side: the app factory, one module per protocol, the pages."""

from knossos.web.app import create_app
from knossos.web.stopping import Stopping

__all__ = ["Stopping", "create_app"]
