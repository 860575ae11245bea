"""What a run found, as a table for people. Its numbers are kept for programs in ``var/chaos.json``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from chaos.judge import Finding, Wrong
from knossos.settings import ROOT

RUN_JSON = ROOT / "var" / "chaos.json"
#: Findings that are printed at the most; the file has all.
MOST_PRINTED = 40


def summary(
    *,
    seed: int,
    seconds: float,
    faults: Mapping[str, int],
    requests: Mapping[str, int],
    outcomes: Mapping[str, int],
    watchers: Mapping[str, int],
    findings: Sequence[Finding],
    notes: Mapping[str, int],
) -> dict[str, Any]:
    """All numbers of a run, as they are kept."""
    counts = Counter(finding.wrong for finding in findings)
    return {
        "seed": seed,
        "seconds": round(seconds),
        "faults": dict(faults),
        "requests": dict(requests),
        "outcomes": dict(outcomes),
        "watchers": dict(watchers),
        "notes": dict(notes),
        **{wrong.value: counts[wrong] for wrong in Wrong},
        "findings": [finding.as_dict() for finding in findings],
        "clean": not findings,
    }


def shown(report: Mapping[str, Any]) -> str:
    """The numbers as a Markdown table, and below it what is wrong."""
    lines = ["| | | count |", "|---|---|---:|"]
    for section in ("faults", "requests", "outcomes", "watchers", "notes"):
        for name, count in sorted(report[section].items()):
            lines.append(f"| {section} | {name} | {count:,} |")
        if section in ("faults",):
            lines.append(f"| {section} | **all** | {sum(report[section].values()):,} |")
    for wrong in Wrong:
        lines.append(f"| **{wrong.value}** | | **{report[wrong.value]}** |")
    lines.append("")
    for finding in report["findings"][:MOST_PRINTED]:
        lines.append(f"{finding['wrong']}: {finding['about']}: {finding['text']}")
    if (more := len(report["findings"]) - MOST_PRINTED) > 0:
        lines.append(f"... and {more} more")
    verdict = "nothing is lost, doubled or left over" if report["clean"] else "NOT ALL IS WELL"
    lines.append(f"seed {report['seed']}, {report['seconds']} seconds: {verdict}")
    return "\n".join(lines)
