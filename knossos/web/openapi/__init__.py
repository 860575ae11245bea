"""What this server's HTTP API is, as an OpenAPI 3.1 document (``/api/openapi.json``), for programs, tests and a page.

One module for each subject. To describe another protocol, write a module beside these and add it to
`document.MODULES`; it has

- ``TAG`` and ``ABOUT``: the heading under which the page lists its operations, and a sentence or two below it;
- ``paths()``: path -> method -> `parts.operation` (summary, parameters, body, answers, who may);
- ``schemas()``, if it has shapes that are used more than once or deserve a name: name -> schema; `parts.ref` names one.

`parts.py` has what these are made of. Parameters of paths are in braces and have the names of the route's. Then
`tests/unit/test_openapi.py` holds that what is described are exactly the routes for programs (`SCOPE` and `PAGES`
there), and `tests/integration/test_openapi.py` asks the server everything
that the description allows, and much that it does not. Answers are written as they are, not as they should be.

Nothing here reads a request or settings: it is data.
"""

from knossos.web.openapi.document import document

__all__ = ["document"]
