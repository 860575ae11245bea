"""The no-op of the peers, in a module that imports nothing, so that loading it costs them nothing."""


def nothing() -> None:
    """Do nothing."""
