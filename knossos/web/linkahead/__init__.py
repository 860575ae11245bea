"""What LinkAhead clients speak: logins, calling scripts, and what scripts share (linkahead.md), one module for each."""

from knossos.web.linkahead.blueprint import blueprint

__all__ = ["blueprint"]

# Each of these adds its routes to the blueprint. At the end, since they import it from here.
from knossos.web.linkahead import scripting as scripting
from knossos.web.linkahead import sessions as sessions
from knossos.web.linkahead import shared as shared
