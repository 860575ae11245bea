"""script-server.md over HTTP: logins, jobs, the files of homes and users, one module for each. JSON under ``/api/``.

Only people count here, by their session or a token of theirs. Programs send no Origin, and may; a page of another site
always says where it comes from, and there the session does not count. ``GET /api/info`` is in `knossos.web.info`.
"""

from knossos.web.script_server.blueprint import blueprint

__all__ = ["blueprint"]

# Each of these adds its routes to the blueprint. At the end, since they import it from here.
from knossos.web.script_server import files as files
from knossos.web.script_server import jobs as jobs
from knossos.web.script_server import sessions as sessions
from knossos.web.script_server import users as users
