"""What a user is told of a job that ended with an error: no mistake of the server where a machine lacks something."""

from __future__ import annotations

import errno

import pytest
from sqlalchemy.exc import OperationalError

from knossos.errors import InvalidInput
from knossos.jobs.failures import explain

CASES = [
    (InvalidInput("It is wrong."), "invalid_input"),
    (OSError(errno.ENOSPC, "No space left on device", "/a/secret/path"), "disk_full"),
    (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk_full"),
    (OperationalError("SELECT 1", {}, Exception("terminating connection")), "database_unavailable"),
    (OSError(errno.EACCES, "Permission denied", "/a/secret/path"), "internal"),
    (ZeroDivisionError("a secret of the server"), "internal"),
    (None, "internal"),
]


@pytest.mark.parametrize(("error", "code"), CASES)
def test_each_error_has_its_code_and_tells_no_secret(error: BaseException | None, code: str) -> None:
    failure = explain(error, 60)
    assert failure.code == code
    assert "secret" not in failure.message
