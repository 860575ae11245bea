"""What a worker loads and tries before its first fork: all that jobs need is then there once, for all of them."""

from __future__ import annotations

from knossos.settings import Settings


def prepare(settings: Settings) -> None:
    """Load the rooms whose jobs it runs, and try what they need.

    Raises:
        SettingsError: scripts cannot be run as the settings want it.
        MissingDependency: 7-Zip or the sandbox is not there.
    """
    import knossos.packaging.webhook  # noqa: F401
    from knossos.packaging.self_test import self_test
    from knossos.publishing import ingest, webhook_delivery  # noqa: F401
    from knossos.publishing.repository.job import catch_up_apart
    from knossos.scripting import startup

    startup.check(settings)
    self_test(settings)
    catch_up_apart(settings)
