"""The Flask side: the app factory, one module per protocol, the pages."""

from knossos.web.app import create_app

__all__ = ["create_app"]
