"""The command line for users of a Knossos server: ``python -m knossos.client``. It needs the server's address only."""
