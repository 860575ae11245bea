"""What the Knossos mod managers speak: the routes below ``/api/1/`` (nebula.md), one module for each subject."""

from knossos.web.nebula.blueprint import blueprint

__all__ = ["blueprint"]
