"""In CI (``CI=true``) a skipped test is a failure: nothing may pass there for lack of a program. And hypothesis has no
clock.

A plugin; conftest.py loads it with ``pytest_plugins = ["tests.support.ci"]``.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings


def skip_is_failure() -> bool:
    return os.environ.get("CI", "").lower() in ("true", "1", "yes")


def pytest_configure() -> None:
    """How long an example takes says only how busy the machine is. CI tries the same examples each time."""
    settings.register_profile(
        "knossos", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=skip_is_failure()
    )
    settings.load_profile("knossos")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    # An expected failure also reports as skipped, and is none.
    if report.skipped and not hasattr(report, "wasxfail") and skip_is_failure():
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped, which counts as a failure in CI: {reason}"
    return report
