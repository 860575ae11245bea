"""What the Knossos mod managers speak: the routes below ``/api/1/`` (nebula.md), one module for each subject."""

from knossos.web.nebula.blueprint import blueprint

__all__ = ["blueprint"]

# Each of these adds its routes to the blueprint. At the end, since they import it from here.
from knossos.web.nebula import account as account
from knossos.web.nebula import conversions as conversions
from knossos.web.nebula import images as images
from knossos.web.nebula import logs as logs
from knossos.web.nebula import mods as mods
from knossos.web.nebula import releases as releases
from knossos.web.nebula import team as team
from knossos.web.nebula import uploads as uploads
from knossos.web.nebula import webhooks as webhooks
