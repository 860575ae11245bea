"""How the client ends, and the errors that lead there. The exit codes are fixed: scripts rely on them."""

from __future__ import annotations

from knossos.errors import AccessDenied, InvalidInput, KnossosError

#: All went well.
EXIT_DONE = 0
#: The task failed or was cancelled, or its result is gone.
EXIT_FAILED = 1
#: What was given is wrong; each error is printed with its path.
EXIT_BAD_INPUT = 2
#: The server does not answer, or not as a Knossos server does.
EXIT_UNREACHABLE = 3
#: The key or the token is wrong, or there is no such task.
EXIT_DENIED = 4
#: Ctrl-C: the task goes on without us.
EXIT_DETACHED = 130


class Unreachable(KnossosError):
    """The server at ``url`` does not answer."""

    code = "unreachable"


class TaskFailed(KnossosError):
    """The task ``ticket`` did not end well."""

    code = "task_failed"


class Detached(KnossosError):
    """The user stops watching ``ticket``, which goes on."""

    code = "detached"


def exit_code(error: KnossosError) -> int:
    """Map an error to the exit code."""
    match error:
        case InvalidInput():
            return EXIT_BAD_INPUT
        case Unreachable():
            return EXIT_UNREACHABLE
        case AccessDenied():
            return EXIT_DENIED
        case Detached():
            return EXIT_DETACHED
    return EXIT_FAILED
